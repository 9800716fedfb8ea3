"""A stage program that does nothing but end, as a file of its storage says: ``fake/STAGE`` holds the ends of its
starts, in their order, as JSON; all further ones succeed.

It imports nothing of the project, and is run by any interpreter.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = "fake"
STARTS = "starts"
"""A line for each start, once it is ready for its end: stage, index, process and the end that it comes to."""
ORPHAN = "orphan"
"""The process that a start has left behind, which SIGTERM does not end, and which writes the time into this file."""
SAVED = "saved"
"""What a start that is asked to end has saved."""


def main() -> int:
    """The exit code of this start."""
    spec = json.loads(os.environ["STAGE_SPEC"])
    folder = Path(os.environ["STORAGE_MOUNT"]) / FOLDER
    folder.mkdir(exist_ok=True)
    stage, index = spec["stage"], os.environ.get("JOB_COMPLETION_INDEX", "0")
    end = _next_end(folder, stage, index)
    if end == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if end == "save":
        signal.signal(signal.SIGTERM, lambda number, frame: _save(folder))
    if end == "finish":
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    if "orphan" in end:
        _leave_orphan(folder, "titled" in end)
    if "compiled" in end:
        cache = folder.parent / os.environ["COMPILE_CACHE"] / "jax"
        cache.mkdir(parents=True, exist_ok=True)
        (cache / f"{stage}-cache").write_text("half a program")
    if "environment" in end:
        (folder / f"{stage}.json").write_text(json.dumps(dict(os.environ)))
    print(json.dumps({"type": "progress", "stage": stage, "done": 1, "total": 4, "unit": "rows"}), flush=True)
    with (folder / STARTS).open("a") as starts:
        starts.write(f"{stage} {index} {os.getpid()} {end}\n")
    match end:
        case "crash" | "crash, compiled":
            print("out of luck", file=sys.stderr)
            return 1
        case "permanent":
            return _say(
                65, type="failure", stage=stage, reason="MissingColumn", message="No such column.", permanent=True
            )
        case "hang" | "hang, compiled" | "environment and hang" | "stubborn" | "orphan" | "save":
            time.sleep(600)
        case "finish":
            # It is done before it would end.
            signal.pause()
    return _say(0, type="result", stage=stage, fingerprint=spec["fingerprint"])


def _next_end(folder: Path, stage: str, index: str) -> str:
    """Shards have their own count of starts; what is written for the stage holds for the first."""
    try:
        ends = json.loads((folder / stage).read_text())
    except FileNotFoundError:
        return "success"
    before = (
        [line for line in (folder / STARTS).read_text().splitlines() if line.split()[:2] == [stage, index]]
        if (folder / STARTS).exists()
        else []
    )
    return ends[len(before)] if index == "0" and len(before) < len(ends) else "success"


def _save(folder: Path) -> None:
    """As a training at its termination: it takes a moment."""
    time.sleep(0.5)
    (folder / SAVED).touch()
    os._exit(143)


def _leave_orphan(folder: Path, titled: bool) -> None:
    code = (
        "import ctypes, os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        # As setproctitle does, by which vLLM names its engine: the title is written over arguments and environment.
        "if sys.argv[2:] and not os.environ.get('SPT_NOENV'):\n"
        "    begin, end = map(int, pathlib.Path('/proc/self/stat').read_text().rpartition(')')[2].split()[47:49])\n"
        "    ctypes.memset(begin, 0, end - begin)\n"
        "while True:\n"
        "    pathlib.Path(sys.argv[1] + '-new').write_text(f'{os.getpid()} {time.time()}')\n"
        "    os.replace(sys.argv[1] + '-new', sys.argv[1])\n"
        "    time.sleep(0.02)\n"
    )
    title = ["a title"] if titled else []
    subprocess.Popen([sys.executable, "-c", code, str(folder / ORPHAN), *title], start_new_session=True)
    while not (folder / ORPHAN).exists():
        time.sleep(0.01)


def _say(code: int, **message: object) -> int:
    Path(os.environ["TERMINATION_LOG"]).write_text(json.dumps(message))
    return code


if __name__ == "__main__":
    sys.exit(main())

"""Fills a directory with the demo's teacher, student and data set."""

import argparse
import shutil
import sys
import time
from pathlib import Path

from demo.inputs.cache import CHECKOUT, DemoInputsError, ensure_models, teacher_python
from demo.inputs.staging import FILE_MODE, is_copy, readable_directory, staged

CONVERSATIONS = CHECKOUT / "examples" / "data" / "conversations.jsonl"
# Name in the cache -> name in OUT_DIR/models.
MODELS = {"teacher": "smollm2-135m-instruct", "student": "smollm2-6-layers"}


def write_inputs(out_dir: Path) -> None:
    """Makes OUT_DIR/models/* and OUT_DIR/datasets/conversations.jsonl; what has these names and differs is replaced.

    Everything is copied, not linked: whatever happens to the files in OUT_DIR, the cache stays good.
    """
    cached = ensure_models(teacher_python())
    readable_directory(out_dir)
    models = readable_directory(out_dir / "models")
    for cached_name, name in MODELS.items():
        if not is_copy(models / name, cached / cached_name):
            with staged(models / name) as directory:
                shutil.copytree(cached / cached_name, directory, dirs_exist_ok=True)
        print(f"{cached_name}: {models / name}", flush=True)

    datasets = readable_directory(out_dir / "datasets")
    if not is_copy(datasets / CONVERSATIONS.name, CONVERSATIONS):
        partial = datasets / f".{CONVERSATIONS.name}"
        shutil.copyfile(CONVERSATIONS, partial)
        partial.chmod(FILE_MODE)
        partial.replace(datasets / CONVERSATIONS.name)
    print(f"data set: {datasets / CONVERSATIONS.name}", flush=True)


def main() -> int:
    """The command line; the exit code is 1 when the user has to put something right."""
    parser = argparse.ArgumentParser(prog="python -m demo_inputs", description=__doc__)
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="the directory to fill; made if it is missing")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        write_inputs(arguments.out_dir.resolve())
    except DemoInputsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"done in {time.monotonic() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

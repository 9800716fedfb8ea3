"""What `make quickstart` and `make demo` say about a machine on which they can't begin: a line, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.bootstrap import go_on

CHECKOUT = Path(__file__).resolve().parents[2]
WITHOUT_HOME = (
    "import pwd, sys\n"
    "def unknown(uid):\n"
    "    raise KeyError(uid)\n"
    "pwd.getpwuid = unknown\n"
    "from {module} import main\n"
    "sys.exit(main())\n"
)


@pytest.mark.parametrize(("module", "argument"), [("demo.bootstrap", "quickstart"), ("testbed.cli", "build")])
def test_without_a_home_directory_the_variables_to_set_are_told(module: str, argument: str, tmp_path: Path) -> None:
    path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images", ""))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME.format(module=module), argument],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "there is no home directory" in done.stderr and "DISTILLATION_CACHE or XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [None, "not a program"])
def test_an_interpreter_that_cant_be_run_is_told_with_its_remedy(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "operator-0123" / "bin" / "python"
    python.parent.mkdir(parents=True)
    if content is not None:
        python.write_text(content)
    assert go_on(python, "quickstart", []) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"quickstart: {python} can't be run (")
    assert line.endswith(f"): delete {tmp_path / 'operator-0123'} and start again, which makes it anew")


def test_a_shell_without_home_finds_a_python_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "python3.12"
    program.write_text('#!/bin/sh\ntest "$1" = -c || echo "began: $*"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "quickstart"], cwd=CHECKOUT, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("began: -m demo.bootstrap quickstart\n", "")

"""Environments that share files share their bytecode."""

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

from distillation_operator.local import bytecode


def environment(folder: Path, **modules: str) -> Path:
    """An environment of these modules."""
    packages = folder / "lib" / "packages"
    packages.mkdir(parents=True)
    for name, text in modules.items():
        (packages / f"{name}.py").write_text(text)
    return folder


def compiled(folder: Path, module: str) -> Path:
    return Path(cache_from_source(str(folder / "lib" / "packages" / f"{module}.py")))


def complete(folder: Path, *others: Path) -> None:
    subprocess.run([sys.executable, bytecode.__file__, str(folder), *map(str, others)], check=True)


def test_the_same_file_is_compiled_once_and_another_of_that_name_by_itself(tmp_path: Path) -> None:
    first = environment(tmp_path / "first", same="A = 1\n", other="B = 1\n", broken="print 'old'\n")
    complete(first)
    second = environment(tmp_path / "second", other="B = 22\n")
    (second / "lib" / "packages" / "same.py").hardlink_to(first / "lib" / "packages" / "same.py")
    complete(second, first)
    assert compiled(second, "same").samefile(compiled(first, "same"))
    assert not compiled(second, "other").samefile(compiled(first, "other"))
    assert not compiled(first, "broken").exists()
    command = [sys.executable, "-v", "-c", "import same, other; print(same.__file__, other.B)"]
    folder = second / "lib" / "packages"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == f"{folder}/same.py 22\n"
    # Python takes it for this file's bytecode, and isn't compiling it again.
    assert f"code object from '{compiled(second, 'same')}'" in done.stderr


def test_tests_and_what_no_program_imports_are_left_out(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    wanted = [
        packages / "numpy" / "core.py",
        packages / "mine" / "numba" / "a.py",
        packages / "google" / "cloud" / "b.py",
    ]
    others = [
        packages / "numpy" / "tests" / "c.py",
        packages / "numba" / "d.py",
        packages / "google/cloud/aiplatform/e.py",
    ]
    for path in (*wanted, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("A = 1\n")
    complete(tmp_path)
    assert all(Path(cache_from_source(str(path))).exists() for path in wanted)
    assert not any(Path(cache_from_source(str(path))).exists() for path in others)

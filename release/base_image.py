"""A base image from nothing but packages: the C library and what CPython's own modules link to, and CPython 3.12.

It has no shell and no package manager, so what the Dockerfiles ask of a base is little.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from testbed.commands import output
from testbed.environments import interpreter

USER = 65532
# What compiled packages link to besides: C++, OpenMP.
_MORE = ("libc6", "libgcc-s1", "libstdc++6", "libgomp1")
_NOT_NEEDED = (
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "__pycache__",
    "config-*",
    "*.a",
    "*.pyc",
    "_tkinter*",
)
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def make(root: Path, downloads: Path) -> None:
    """Fill the folder ``root``."""
    downloads.mkdir(parents=True, exist_ok=True)
    packages = sorted({*_MORE, *packages_of(libraries())})
    subprocess.run(["apt-get", "download", "-qq", *packages], cwd=downloads, check=True, stderr=subprocess.DEVNULL)
    for package in sorted(downloads.glob("*.deb")):
        output(["dpkg-deb", "--extract", str(package), str(root)])
    shutil.rmtree(root / "usr/share", ignore_errors=True)
    _python(root / "usr/local")
    for name, text in _FILES.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def libraries() -> set[Path]:
    """The shared libraries that the interpreter and its modules link to."""
    dynamic = interpreter().parent.parent / "lib" / "python3.12" / "lib-dynload"
    found: set[Path] = set()
    for binary in [interpreter(), *dynamic.glob("*.so")]:
        if "_tkinter" in binary.name:
            continue
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
        found.update(Path(path) for path in re.findall(r"=> (/\S+)", done.stdout))
    return found


def packages_of(files: Iterable[Path]) -> set[str]:
    """The Debian packages that these files belong to."""
    found: set[str] = set()
    for file in files:
        # Debian's list has the paths from before /lib became a link.
        for path in (file, file.resolve(), Path(str(file.resolve()).removeprefix("/usr"))):
            done = subprocess.run(["dpkg", "--search", str(path)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found.add(done.stdout.split(":")[0])
                break
    return found


def _python(target: Path) -> None:
    source = interpreter().parent.parent
    (target / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy2(interpreter(), target / "bin" / "python3.12")
    for library in (source / "lib").glob("libpython3.12.so.*"):
        # Where the loader looks without being told; without the debugger's symbols.
        placed = target.parent / "lib" / "x86_64-linux-gnu" / library.name
        output(["strip", "--strip-unneeded", "-o", str(placed), str(library)])
    ignored = shutil.ignore_patterns(*_NOT_NEEDED)
    shutil.copytree(source / "lib" / "python3.12", target / "lib" / "python3.12", ignore=ignored, dirs_exist_ok=True)
    site = target / "lib" / "python3.12" / "site-packages"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()

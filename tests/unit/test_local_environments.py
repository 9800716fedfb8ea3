"""The images' environments on this machine: made once, and whole or not at all."""

import errno
import os
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from distillation_operator.local import bytecode, environments
from distillation_operator.local.cache import cache, locked
from distillation_operator.local.downloads import size_of
from distillation_operator.local.installer import PreparationError, found_uv, logged_to, registry, uv
from distillation_operator.local.locks import IMAGES

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a cache"
    monkeypatch.setenv("DISTILLATION_CACHE", str(folder))
    return folder


class Installer:
    """Makes environments without packages, and keeps the commands that it was given."""

    def __init__(self, fails_at: str = "never") -> None:
        self.commands: list[list[str]] = []
        self._fails_at = fails_at

    def __call__(self, argv: Sequence[str], variables: Mapping[str, str], held: int) -> None:
        self.commands.append(list(argv))
        if argv[1] == "venv":
            venv.create(argv[-1], with_pip=False)
        if self._fails_at in argv:
            raise PreparationError("out of disk")

    def made(self) -> list[str]:
        return [Path(argv[-1]).name.rsplit("-", 1)[0] for argv in self.commands if argv[1] == "venv"]


def said(lines: list[str]) -> str:
    return "\n".join(lines)


def test_without_environments_the_error_has_the_command_that_makes_them() -> None:
    with pytest.raises(PreparationError, match=r"for converter, trainer .* distillation-operator local --prepare$"):
        environments.prepared(["trainer", "converter"])


def test_the_command_named_for_a_teacher_on_tpus_makes_its_environment() -> None:
    """``--prepare`` alone makes those of this machine, which may have no chips."""
    with pytest.raises(PreparationError, match=r"distillation-operator local FILE --storage DIR --prepare$"):
        environments.prepared(["trainer", "teacher-tpu"])


def test_an_image_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PreparationError, match=r"no image 'techer'; there are fetcher, .* teacher"):
        environments.prepared(["techer"])


def test_an_interpreter_is_that_of_the_images_environment() -> None:
    environments.build(["fetcher"], Installer(), print)
    program = environments.prepared(["fetcher", "fetcher"])["fetcher"]
    done = subprocess.run([program, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{environments.folder('fetcher')}\n"


def test_what_is_made_is_not_made_again() -> None:
    environments.build(["trainer"], Installer(), print)
    again = Installer()
    environments.build(["fetcher", "trainer"], again, print)
    assert again.made() == ["fetcher"]
    third = Installer()
    environments.build(["fetcher", "trainer"], third, print)
    assert third.commands == []


@pytest.mark.parametrize("moment", ["venv", "pip", "compile"])
def test_an_environment_that_was_not_finished_is_made_anew(moment: str) -> None:
    command = bytecode.__file__ if moment == "compile" else moment
    with pytest.raises(PreparationError, match="out of disk"):
        environments.build(["fetcher"], Installer(fails_at=command), print)
    (environments.folder("fetcher") / "left-over").touch()
    assert environments.missing(["fetcher"]) == ["fetcher"]
    environments.build(["fetcher"], Installer(), print)
    assert environments.missing(["fetcher"]) == []
    assert not (environments.folder("fetcher") / "left-over").exists()


def test_an_environment_whose_interpreter_has_gone_is_made_anew() -> None:
    environments.build(["fetcher"], Installer(), print)
    program = environments.python("fetcher")
    program.unlink()
    # As an upgrade of the base installation leaves it.
    program.symlink_to("/opt/python-3.12.1/bin/python3.12")
    with pytest.raises(PreparationError, match="no Python environment here for fetcher"):
        environments.prepared(["fetcher"])
    environments.build(["fetcher"], Installer(), print)
    subprocess.run([environments.prepared(["fetcher"])["fetcher"], "-c", ""], check=True)


def test_two_at_once_make_each_environment_once() -> None:
    waits = threading.Event()
    lines: list[str] = []

    class Slow(Installer):
        def __call__(self, argv: Sequence[str], variables: Mapping[str, str], held: int) -> None:
            waits.wait(timeout=60)
            super().__call__(argv, variables, held)

    def say(line: str) -> None:
        lines.append(line)
        if "another process makes it" in line:
            waits.set()

    installer = Slow()
    threads = [
        threading.Thread(target=environments.build, args=(names, installer, say))
        for names in (["trainer", "fetcher", "converter"], ["converter", "fetcher", "trainer"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(installer.made()) == ["converter", "fetcher", "trainer"]
    assert "environment fetcher: another process makes it; waiting for that" in said(lines)


def test_what_a_killed_process_has_started_holds_the_lock(tmp_path: Path) -> None:
    lock, alive = tmp_path / "lock", tmp_path / "alive"
    # As `kill -9` leaves it: the child goes on.
    child = (
        "import os, subprocess, sys\n"
        "from distillation_operator.local.cache import locked\n"
        "from pathlib import Path\n"
        "with locked(Path(sys.argv[1])) as held:\n"
        "    subprocess.Popen(['sh', '-c', 'sleep 1; rm \"$0\"', sys.argv[2]], pass_fds=[held])\n"
        "    os._exit(0)\n"
    )
    alive.touch()
    subprocess.run([sys.executable, "-c", child, str(lock), str(alive)], check=True)
    waited: list[float] = []
    with locked(lock, lambda: waited.append(time.monotonic())):
        assert not alive.exists()
    assert waited


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk:
        free = 2**30

    monkeypatch.setattr("shutil.disk_usage", lambda path: Disk)
    lines: list[str] = []
    with pytest.raises(PreparationError, match=r"has 1\.0 GiB free .* about 10\.7 GiB: .*XDG_CACHE_HOME"):
        environments.prepare(["converter", "trainer", "teacher", "fetcher"], lines.append)
    assert "up to 4.1 GiB to download, 10.7 GiB on disk" in said(lines)
    assert not (cache() / "venvs").exists()


def test_a_cache_that_cant_be_written_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(PreparationError, match=r"the cache /.*/file/below can't be made \(Not a directory\): name ano"):
        environments.prepare(["fetcher"], print)
    with pytest.raises(PreparationError, match=r"/file/below.*: Not a directory"):
        environments.build(["fetcher"], Installer(), print)


def test_what_environments_share_is_counted_once_or_with_each_copy() -> None:
    alone = size_of(["trainer"]).disk + size_of(["converter"]).disk
    together = size_of(["trainer", "converter"])
    assert together == size_of(["converter"])
    assert size_of(["trainer", "converter"], shared=False).disk == alone
    assert size_of(["trainer", "converter"], shared=False).download == together.download
    assert size_of(["trainer"], present=["converter"]).download == 0


def test_a_failed_command_is_told_with_the_end_of_its_output(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "python.log"
    run = logged_to(log)
    run(["sh", "-c", "echo an earlier command"], {}, 0)
    with pytest.raises(PreparationError, match=r"sh ended with exit code 3 \(log: .*python\.log\)\n  a hash is wrong$"):
        run(["sh", "-c", "echo a hash is wrong >&2; exit 3"], {}, 0)
    with pytest.raises(PreparationError, match="can't run nothing-of-that-name: No such file"):
        run(["nothing-of-that-name"], {}, 0)


def test_without_uv_a_locked_one_is_installed_by_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distillation_operator.local.installer.found_uv", lambda: None)
    ran: list[list[str]] = []
    lines: list[str] = []

    def run(argv: Sequence[str], variables: Mapping[str, str], held: int) -> None:
        ran.append(list(argv))
        if "venv" in argv:
            Path(argv[-1]).mkdir()

    uv(run, lines.append)
    program = uv(run, lines.append)
    assert len(ran) == 2 and len(lines) == 1
    assert {"--require-hashes", "--no-deps", str(CHECKOUT / "requirements" / "installer.txt")} < set(ran[1])
    assert program.is_relative_to(cache())


def test_a_registry_that_pip_is_to_use_is_uvs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_CERT", "SSL_CERT_FILE", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://registry.example/simple")
    assert registry() == {"UV_DEFAULT_INDEX": "https://registry.example/simple"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert registry() == {}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/big"}, "/big/distillation-operator"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/distillation-operator"),
        ({"XDG_CACHE_HOME": ""}, "/home/someone/.cache/distillation-operator"),
        ({"XDG_CACHE_HOME": "/big", "DISTILLATION_CACHE": "/own"}, "/own"),
    ],
)
def test_the_cache_is_where_the_standard_has_it(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTILLATION_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache() == Path(expected)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose uid has no passwd entry."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "XDG_CACHE_HOME", "DISTILLATION_CACHE", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("nobody")
def test_without_a_home_the_variables_that_name_a_cache_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(PreparationError, match=r"no home directory.*DISTILLATION_CACHE or XDG_CACHE_HOME"):
        environments.prepared(["fetcher"])
    with pytest.raises(PreparationError, match=r"no home directory.*DISTILLATION_CACHE or XDG_CACHE_HOME"):
        environments.build(["fetcher"], Installer(), print)
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("distillation_operator.local.environments.build", lambda wanted, run, say: None)
    environments.prepare(["fetcher"], print)


def test_a_cache_in_the_home_of_nobody_is_told_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLATION_CACHE", "~nobody-of-that-name/cache")
    with pytest.raises(PreparationError, match=r"DISTILLATION_CACHE.*~nobody-of-that-name/cache.*absolute path"):
        cache()


def test_a_lock_that_cant_be_written_is_told_and_what_fails_under_it_is_not_taken_for_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"/file.* can't be written: Not a directory"
    with pytest.raises(PreparationError, match=message), locked(tmp_path / "file" / "below" / "lock"):
        pass
    with pytest.raises(OSError, match="No space left"), locked(tmp_path / "lock"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_wheel_finds_its_locks_in_itself_and_a_changed_lock_makes_another_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    show = (
        "from distillation_operator.local import environments, locks\n"
        "print(*(locks.lock(name) for name in (*locks.IMAGES, 'installer')), sep='\\n')\n"
        "print(environments.folder('fetcher').name)\n"
    )
    run = [sys.executable, "-c", show]
    found = subprocess.run(run, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, check=True)
    *locks, folder = found.stdout.decode().splitlines()
    assert all(Path(lock).is_relative_to(installed) and Path(lock).exists() for lock in locks)
    assert len(locks) == len(IMAGES) + 1
    assert folder == environments.folder("fetcher").name
    with Path(locks[0]).open("a") as lock:
        lock.write("# another\n")
    changed = subprocess.run(run, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, check=True)
    assert changed.stdout.decode().splitlines()[-1] != folder


def test_uv_next_to_the_interpreter_is_found() -> None:
    assert found_uv() == Path(sys.executable).with_name("uv")

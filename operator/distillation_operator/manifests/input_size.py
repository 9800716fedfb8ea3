"""Whether what each stage's program is told fits into one environment variable, which is all that it is told by."""

import json
from collections.abc import Iterator

from distillation_api import reasons
from distillation_api.contract import STAGE_SPEC_ENV
from distillation_api.spec import DistillationJobSpec
from distillation_operator.manifests.pod import encoded, encoded_input
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.graph import build_pipeline

_LONGEST_STRING = 131_072
"""Bytes of one string of an environment that Linux takes, with its end (MAX_ARG_STRLEN)."""
LONGEST_INPUT = _LONGEST_STRING - len(f"{STAGE_SPEC_ENV}=") - 1
_SURELY_FITS = 32_768
"""Bytes of an encoded spec of which no stage is told too much: a stage has the spec as a text inside JSON, at most
twice as long, and besides it what else it needs of it. It spares nearly all jobs from being taken apart each time."""
_SHOWN = 3
"""Members that a refusal names."""


def too_large(spec: DistillationJobSpec) -> Cause | None:
    """Why no kernel would start a stage of this spec, if so: told before the stages before it are paid for."""
    if len(encoded(spec.to_json_dict())) <= _SURELY_FITS:
        return None
    sizes = {stage.name: len(encoded_input(stage)) for stage in build_pipeline(spec).values()}
    name, size = max(sizes.items(), key=lambda stage: stage[1])
    if size <= LONGEST_INPUT:
        return None
    largest = sorted(_texts(spec.to_json_dict(), "spec"), key=lambda text: text[1], reverse=True)[:_SHOWN]
    members = ", ".join(f"{path} ({count:,} bytes)" for path, count in largest)
    return Cause.of(
        reasons.INPUT_TOO_LARGE,
        f"spec: Invalid value: stage {name} would be told {size:,} bytes, and its pod could not start with more than "
        f"{LONGEST_INPUT:,}; a character that isn't ASCII takes 6 or 7, and the evaluation is told the spec besides. "
        f"Shorten the longest: {members}",
    )


def _texts(value: object, path: str) -> Iterator[tuple[str, int]]:
    """Each text of a spec with its bytes as JSON."""
    if isinstance(value, str):
        yield path, len(json.dumps(value))
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(member, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")

"""Stages as they are put together: each gets its needs from the outputs that its program names, and its fingerprint."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from distillation_api.contract import Program, ReadsOutput, Work, output_directory
from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.fingerprint import fingerprint
from distillation_operator.pipeline.placement import Placement, on_cpu
from distillation_operator.pipeline.recorded_outputs import RecordedOutput
from distillation_operator.pipeline.stage import Image, Stage


class Builder:
    """The stages of one spec so far, each after all that it reads."""

    def __init__(self, spec: DistillationJobSpec, recorded: Mapping[str, RecordedOutput]) -> None:
        """``recorded``: what stages were asked to write before, which no fingerprint of today replaces."""
        self.spec = spec
        self.stages: dict[str, Stage] = {}
        self._recorded = recorded

    @property
    def cpu(self) -> Placement:
        """Where a stage of one pod without accelerator runs."""
        return on_cpu(self.spec.conversion.resources)

    def add(
        self,
        name: str,
        program: Program,
        image: Image,
        placement: Placement,
        after: Iterable[Stage] = (),
        needs_token: bool = False,
    ) -> Stage:
        """Add a stage. ``after``: gates, which must be complete though it reads nothing of theirs. They determine none
        of its outputs, so its fingerprint doesn't know them."""
        writers = {stage.output: stage.name for stage in self.stages.values()}
        read = tuple(dict.fromkeys(writers[output] for output in outputs_read(program)))
        needs = tuple(dict.fromkeys((*read, *(gate.name for gate in after))))
        recorded = self._recorded.get(name)
        if recorded is None:
            mark = fingerprint(program, {need: self.stages[need].fingerprint for need in read})
            directory = None
        else:
            mark, directory = recorded.fingerprint, recorded.directory
        stage = Stage(
            name=name,
            program=program,
            needs=needs,
            image=image,
            placement=placement,
            fingerprint=mark,
            output=directory or output_directory(self.spec.storage.prefix, Work(name, mark)),
            needs_token=needs_token,
        )
        self.stages[name] = stage
        return stage

    def all_before(self, *stages: Stage) -> list[Stage]:
        """Those stages and all that they need, in dataflow order."""
        wanted = {stage.name for stage in stages}
        for stage in reversed(self.stages.values()):
            if stage.name in wanted:
                wanted.update(stage.needs)
        return [stage for stage in self.stages.values() if stage.name in wanted]


def outputs_read(program: Program) -> Iterator[str]:
    """The output directories of other stages that a program names, in the order of its members."""
    return _outputs_in(program, leaving_out=program.report_only)


def _outputs_in(value: object, is_output: bool = False, leaving_out: Iterable[str] = ()) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name, is_marked in _marks(type(value)):
            if name not in leaving_out:
                yield from _outputs_in(getattr(value, name), is_marked)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _outputs_in(member, is_output)
    elif isinstance(value, str) and is_output:
        yield value


@functools.cache
def _marks(model: type[BaseModel]) -> tuple[tuple[str, bool], ...]:
    """The members of a class, and whether a text in one names the output of another stage."""
    return tuple((name, _is_marked(field.rebuild_annotation())) for name, field in model.model_fields.items())


def _is_marked(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated and any(isinstance(note, ReadsOutput) for note in annotation.__metadata__):
        return True
    return any(_is_marked(argument) for argument in get_args(annotation))

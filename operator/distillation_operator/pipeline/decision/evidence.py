"""What the pods of an attempt prove by their ends alone.

A program's result is its last word: what it names stands in the storage by then. The condition of the Job or JobSet
says the same a second or more later, since its controller counts pods in batches and removes their finalizers first.
"""

from collections.abc import Iterable

from distillation_api.contract import GenerateProgram, StageResult
from distillation_operator.pipeline.observed import Child, Pod
from distillation_operator.pipeline.stage import Stage

Place = tuple[int, int]
"""Slice, and index in it."""


def reported(stage: Stage, pods: Iterable[Pod]) -> list[Pod]:
    """The pods whose results are the stage's: one of each shard; of pods that work as one the first that reports. None
    are returned where one is missing.
    """
    # By place: a pod that was replaced after it had reported its result must not count twice.
    by_place = {_place(pod): pod for pod in pods if pod.result and pod.result.fingerprint == stage.fingerprint}
    if not stage.is_indexed:
        return [by_place[min(by_place)]] if by_place else []
    shards = sorted(_places(stage))
    return [by_place[shard] for shard in shards] if by_place.keys() >= set(shards) else []


def proof(stage: Stage, child: Child, pods: Iterable[Pod]) -> list[Pod]:
    """The pods whose results prove that the attempt has done its work, whatever its Job or JobSet says of it: each of
    its pods has ended well, and those that report have reported their results. None are returned without that proof.
    """
    pods = list(pods)
    if any(pod.alive for pod in pods):
        return []
    done = {_place(pod): pod for pod in pods if pod.complete and child.owns(pod)}
    if not _places(stage) <= done.keys():
        return []
    return reported(stage, done.values())


def results_of(pods: Iterable[Pod]) -> list[StageResult]:
    """What pods have reported."""
    return [pod.result for pod in pods if pod.result is not None]


def _place(pod: Pod) -> Place:
    return pod.slice, pod.index


def _places(stage: Stage) -> set[Place]:
    """Where an attempt has pods."""
    if isinstance(stage.program, GenerateProgram):
        return {(0, shard) for shard in range(stage.program.shards)}
    placement = stage.placement
    return {(number, host) for number in range(placement.slices) for host in range(placement.hosts)}

"""A job is at rest only where a decision on the whole of it would change nothing."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.decision.at_rest import at_rest
from distillation_operator.pipeline.decision.job import decide
from distillation_operator.pipeline.observed import Observed
from support.scenario import small_spec

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REASONS = ("Completed", "SpecValid", "RetryRefused", "RetryWaits", "InternalError", "StageFailed")


def job(**members: Any) -> dict[str, Any]:
    metadata = {"name": "j", "namespace": "ml", "uid": "u", "generation": 2, "resourceVersion": "1"}
    made = {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJob"}
    return {**made, "metadata": {**metadata, **members.pop("metadata", {})}, "spec": small_spec(), **members}


def conditions(reasons: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "type": kind, "status": "True", "reason": reason, "message": "m", "observedGeneration": 2,
            "lastTransitionTime": "2026-11-25T10:00:00Z",
        }
        for kind, reason in reasons.items()
    ]  # fmt: skip


statuses = st.fixed_dictionaries(
    {"phase": st.sampled_from(["Complete", "Failed", "Running", "Suspended"])},
    optional={
        "observedGeneration": st.sampled_from([1, 2]),
        "reason": st.sampled_from(["Odd", "StageFailed"]),
        "completionTime": st.just("2026-11-25T11:00:00Z"),
        "heededRetry": st.sampled_from(["generate/1", "generate/2"]),
        "earlierRetries": st.lists(st.sampled_from(["generate/1", "generate/3"]), max_size=2, unique=True),
        "conditions": st.dictionaries(
            st.sampled_from(["Accepted", "Complete", "Failed", "Stalled"]), st.sampled_from(REASONS)
        ).map(conditions),
        "stages": st.lists(
            st.builds(
                lambda state, reason: {"name": "generate", "state": state, "reason": reason},
                st.sampled_from(["Complete", "Failed"]),
                st.sampled_from(["Odd", "DegenerateAnswers"]),
            ),
            max_size=1,
        ),
    },
)


@settings(max_examples=400, deadline=None)
@given(statuses, st.sampled_from([None, "", "generate/1", "generate/9", "x" * 300]))
def test_what_is_at_rest_would_not_be_changed(status: dict[str, Any], request: str | None) -> None:
    annotations = {} if request is None else {"distillation.dev/retry": request}
    made = job(status=status, metadata={"annotations": annotations})
    if at_rest(made) is None:
        return
    parsed = DistillationJob.parse(made)
    decision = decide(parsed, Observed(fresh=True), NOW)
    assert decision.status == parsed.status
    assert (decision.create, decision.delete, decision.requeue_after) == ((), (), None)


FINAL = {
    "phase": "Complete",
    "observedGeneration": 2,
    "completionTime": "2026-11-25T11:00:00Z",
    "conditions": conditions({"Complete": "Completed", "Accepted": "SpecValid"}),
}


def test_a_finished_job_is_at_rest_until_somebody_changes_it_or_asks_for_a_retry() -> None:
    assert at_rest(job(status=FINAL)) is not None
    assert at_rest(job(status=FINAL, metadata={"generation": 3})) is None
    assert at_rest(job(status=FINAL, metadata={"deletionTimestamp": "2026-11-25T12:00:00Z"})) is None
    assert at_rest(job(status=FINAL, metadata={"annotations": {"distillation.dev/retry": "generate/1"}})) is None


def test_what_can_not_be_read_is_not_at_rest() -> None:
    odd: list[Any] = [None, [], "x", {}, {**FINAL, "conditions": [3]}, {**FINAL, "completionTime": "soon"}]
    assert [at_rest(job(status=status)) for status in odd] == [None] * len(odd)

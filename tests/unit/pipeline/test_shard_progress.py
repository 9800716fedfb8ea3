"""Progress of a generation is that of all shards, and goes one way whatever becomes of their pods."""

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from distillation_api.contract import Progress, StageResult
from distillation_api.status import StageProgress, StageStatus
from distillation_operator.pipeline.observed import FailureClass
from distillation_operator.pipeline.status.shard_progress import with_shard_progress
from support.scenario import BEFORE_GENERATE, Given, Seen


def generating(shards: int = 2) -> Given:
    given = Given(generation={"shards": shards}).done(*BEFORE_GENERATE).child("generate")
    for index in range(shards):
        given.shard(index)
    return given


def shown(seen: Seen) -> tuple[int, int]:
    progress = seen.stage("generate").progress
    assert progress is not None
    return progress.done, progress.total


def test_a_shard_that_ends_stays_counted() -> None:
    given = generating().says("generate", 148, 148, index=0, unit="rows")
    given.says("generate", 104, 148, index=1, unit="rows")
    assert shown(given.decide()) == (252, 296)
    given.ended_pod("generate", index=0, succeeded=True, result=given.result("generate", counts={"read": 148}))
    assert shown(given.decide()) == (252, 296)
    given.last_lines.clear()
    assert shown(given.decide()) == (252, 296), "after a restart of the operator too"


def test_a_lost_pod_leaves_what_its_shard_had_told() -> None:
    given = generating().says("generate", 60, 100, index=0, unit="rows").says("generate", 50, 100, index=1, unit="rows")
    assert shown(given.decide()) == (110, 200)
    given.no_pods().shard(1)
    assert shown(given.decide()) == (110, 200)
    given.says("generate", 90, 100, index=1, unit="rows")
    assert shown(given.decide()) == (150, 200)
    # The new pod finds its whole chunks, and answers again what the old one had at work.
    given.shard(0).says("generate", 40, 100, index=0, unit="rows")
    assert shown(given.decide()) == (150, 200)
    given.says("generate", 70, 100, index=0, unit="rows")
    assert shown(given.decide()) == (160, 200)


def test_a_drain_of_all_pods_is_no_step_back() -> None:
    given = generating().says("generate", 30, 100, index=0, unit="rows").says("generate", 30, 100, index=1, unit="rows")
    given.decide()
    given.no_pods().pod("generate", index=0).pod("generate", index=1)
    given.last_lines.clear()
    seen = given.decide()
    assert (seen.stage("generate").state, shown(seen)) == ("Pending", (60, 200))


def test_the_total_has_shards_that_have_not_told_yet() -> None:
    given = generating(shards=4).says("generate", 10, 100, index=2, unit="rows")
    assert shown(given.decide()) == (10, 400)
    assert given.decide().status.progress == "2%"


def test_the_end_is_told_by_those_that_run() -> None:
    given = generating().says("generate", 100, 100, index=0, unit="rows", rate=5.0)
    given.says("generate", 40, 100, index=1, unit="rows", rate=0.5)
    given.ended_pod("generate", index=0, succeeded=True, result=given.result("generate", counts={"read": 100}))
    assert given.decide().stage("generate").estimated_completion_time == "2026-11-25T12:03:00Z"


def test_another_attempt_begins_anew() -> None:
    given = generating().says("generate", 90, 100, index=0, unit="rows")
    given.decide()
    given.no_pods().failed("generate", FailureClass.DISRUPTION)
    given.decide()
    given.child("generate", attempt=1).shard(0, attempt=1).says("generate", 10, 100, index=0, attempt=1, unit="rows")
    assert shown(given.decide()) == (10, 200)


def test_outputs_name_those_of_all_shards() -> None:
    given = generating(shards=3).completed("generate")
    for index in range(3):
        outputs = {"completions": f"p/generate/h/shard-{index}", "ledger": f"p/generate/h/shard-{index}/ledger.jsonl"}
        given.ended_pod("generate", index=index, succeeded=True, result=given.result("generate", outputs=outputs))
    assert given.decide().stage("generate").outputs == {
        "completions": "p/generate/h/shard-*",
        "ledger": "p/generate/h/shard-*/ledger.jsonl",
    }


LINES = st.builds(
    Progress,
    stage=st.just("generate"),
    done=st.integers(-(2**53), 2**53),
    total=st.integers(-(2**53), 2**53),
    unit=st.just("rows"),
)
RESULTS = st.builds(
    StageResult,
    stage=st.just("generate"),
    fingerprint=st.just("f"),
    counts=st.dictionaries(st.just("read"), st.integers(-5, 2**53)),
)
BEFORE = st.none() | st.integers(0, 2**53).flatmap(
    lambda total: st.builds(StageProgress, done=st.integers(0, total), total=st.just(total), unit=st.just("rows"))
)


def test_more_to_do_is_not_more_that_is_done() -> None:
    given = generating().says("generate", 33, 100, index=0, unit="rows")
    assert shown(given.decide()) == (33, 200)
    given.says("generate", 0, 7000, index=1, unit="rows")
    for _ in range(3):
        assert shown(given.decide()) == (33, 7100)


@hypothesis_given(BEFORE, st.dictionaries(st.integers(0, 9), LINES), st.dictionaries(st.integers(0, 9), RESULTS))
def test_whatever_programs_print_no_row_is_taken_back_or_made_up(
    before: StageProgress | None, last: dict[int, Progress], results: dict[int, StageResult]
) -> None:
    def look(status: StageStatus) -> StageStatus:
        return with_shard_progress(status, 4, list(last.values()), last, results)

    seen = look(StageStatus(name="generate", state="Running", progress=before))
    after = seen.progress
    if after is None:
        assert before is None and not {*last, *results} & {*range(4)}
        return
    assert 0 <= after.done <= after.total < 2**63
    reported = look(StageStatus(name="generate", state="Running")).progress
    if reported is not None:
        shown_before = before.done if before is not None else 0
        assert min(shown_before, after.total) <= after.done <= max(shown_before, reported.done)
    assert look(seen) == seen, "looking again changes nothing"


@pytest.mark.parametrize("outputs", [({"a": "x/1"}, {}), ({"a": "x/1"}, {"a": "x/1/2"}), ({"a": "x/1"}, {"b": "x/2"})])
def test_pods_that_name_unlike_outputs_do_no_harm(outputs: tuple[dict[str, str], dict[str, str]]) -> None:
    given = generating().completed("generate")
    for index, named in enumerate(outputs):
        given.ended_pod("generate", index=index, succeeded=True, result=given.result("generate", outputs=named))
    assert given.decide().stage("generate").outputs == {"a": "x/1"}

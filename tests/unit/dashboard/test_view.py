"""What the dashboard makes of a job: of a good one, an old one, one without a status, and one of odd forms."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation_operator.dashboard.board import Health
from distillation_operator.dashboard.details import details
from distillation_operator.dashboard.lenient import number, text, time
from distillation_operator.dashboard.pages import Pages
from distillation_operator.dashboard.row import PHASES, row
from support import dashboard_jobs
from support.dashboard_jobs import HOSTILE, condition, job

KEY = ("ml", "one")
PAGES = Pages("run", "all namespaces", has_reports=False)


def body(made: dict[str, Any]) -> str:
    return PAGES.body(KEY, made, Health(loaded=True))


def test_a_running_job() -> None:
    shown = details(KEY, job("one", dashboard_jobs.running(43)))
    assert (shown.row.phase, shown.row.stage, shown.row.percent, shown.row.loss) == ("Running", "train-one", 43, "1.92")
    assert shown.idle == "10% before the first token or step (podStart 5%, compile 5%)"
    assert shown.problems == []
    training = next(stage for stage in shown.stages if stage.name == "train-one")
    assert training.label == "Running 43 %"
    assert training.progress == "430 of 1,000 steps, 2.5 steps/s"
    assert training.chip_hours == "10.00"
    assert (training.attempt, training.failures, training.disruptions) == (1, 1, 0)
    assert training.needs == ("convert-student", "pack-one")


def test_a_failed_job_says_once_what_to_do() -> None:
    (problem,) = details(KEY, job("one", dashboard_jobs.failed())).problems
    assert (problem.title, problem.stage, problem.severe) == ("Failed: TooFewRows", "prepare-dataset", True)
    assert problem.advice.remedy.startswith("Lower `steps`")
    assert "<code>steps</code>" in body(job("one", dashboard_jobs.failed()))


@pytest.mark.parametrize(
    ("kind", "status", "reason", "title"),
    [
        ("Accepted", "False", "NotAllowedHere", "Not accepted: NotAllowedHere"),
        ("Suspended", "True", "BudgetReached", "Suspended: BudgetReached"),
        ("Stalled", "True", "InternalError", "Stalled: InternalError"),
        ("Failed", "True", "OfANewerOperator", "Failed: OfANewerOperator"),
    ],
)
def test_a_condition_that_asks_for_something(kind: str, status: str, reason: str, title: str) -> None:
    made = job("one", {"phase": "Pending", "conditions": [condition(kind, status, reason, "so it is")]})
    (problem,) = details(KEY, made).problems
    assert problem.title == title
    assert problem.advice.message == "so it is"


def test_a_stage_that_waits_by_itself_asks_for_nothing_and_one_that_cant_go_on_does() -> None:
    stages = [
        {"name": "generate", "state": "Pending", "reason": "PodsStarting"},
        {"name": "pack-one", "state": "Waiting", "reason": "InputsMissing", "message": "generate"},
        {"name": "fetch-teacher", "state": "Pending", "reason": "PodsRefused", "message": "no such account"},
        {"name": "fetch-student", "state": "Pending", "reason": "SomeWordOfKubernetes", "message": "oh"},
        {"name": "prepare-dataset", "state": "Pending", "reason": "Unschedulable", "message": "0/3 nodes"},
        {"name": "export", "state": "Complete", "reason": "PodsRefused"},
    ]
    found = details(KEY, job("one", {"phase": "Pending", "stages": stages})).problems
    assert [problem.stage for problem in found] == ["fetch-teacher", "fetch-student", "prepare-dataset"]


def test_a_job_that_no_operator_has_seen_shows_the_plan() -> None:
    shown = details(KEY, job("one"))
    assert shown.row.phase_text == "Not yet seen by the operator"
    assert [stage.name for stage in shown.stages] == dashboard_jobs.stage_names()
    assert {node.name for node in shown.layouts["wide"].nodes} == set(dashboard_jobs.stage_names())


def test_a_job_whose_spec_is_of_another_version_has_its_stages_without_a_graph() -> None:
    made = job("one", dashboard_jobs.running())
    made["spec"]["somethingNew"] = True
    shown = details(KEY, made)
    assert shown.layouts == {}
    assert len(shown.stages) == len(dashboard_jobs.stage_names())


def test_a_status_of_an_old_operator() -> None:
    old = {
        "conditions": [{"type": "Complete", "status": "True"}],
        "stages": [{"name": "generate", "state": "Complete"}],
    }
    made = row(KEY, job("one", old))
    assert (made.phase, made.percent, made.loss, made.chip_hours) == ("Complete", None, "", "")
    assert "generate" in body(job("one", old))


@pytest.mark.parametrize("phase", ["Complete", "Failed", None])
def test_the_end_of_a_job_without_its_time_is_that_of_its_condition(phase: str | None) -> None:
    kind = phase or "Failed"
    status = {"startTime": "2026-11-20T09:00:00Z", "conditions": [condition(kind, "True", "So")], "stages": []}
    made = job("one", {**status, "phase": phase, "estimatedCompletionTime": "2026-11-20T11:00:00Z"})
    for page in (PAGES.row(KEY, made), body(made)):
        assert "1 h 0 min" in page and 'datetime="2026-11-20T10:00:00Z"' in page
        assert "data-since" not in page


@pytest.mark.parametrize(
    "conditions", [[], [condition("Complete", "False", "So")], [{"type": "Complete", "status": "True"}]]
)
def test_what_has_ended_nobody_knows_when_does_not_count_on(conditions: list[dict[str, Any]]) -> None:
    stages = [{"name": "generate", "state": state, "startTime": "2026-11-20T09:00:00Z"} for state in PHASES]
    status = {"phase": "Complete", "startTime": "2026-11-20T09:00:00Z", "conditions": conditions, "stages": stages}
    made = job("one", {**status, "estimatedCompletionTime": "2026-11-20T11:00:00Z"})
    for page in (PAGES.row(KEY, made), body(made)):
        assert "\N{EN DASH}" in page and "data-since" not in page and "expected" not in page.lower()


def test_an_ended_stage_of_a_running_job_does_not_count_on() -> None:
    begun = {"name": "generate", "startTime": "2026-11-20T09:00:00Z"}
    running = {"phase": "Running", "stages": [{**begun, "state": "Running"}]}
    over = {"phase": "Running", "stages": [{**begun, "state": "Failed"}]}
    assert body(job("one", running)).count("data-since") == 2
    assert body(job("one", over)).count("data-since") == 1


def test_results_of_a_bucket_are_links_and_those_of_a_claim_are_paths() -> None:
    of_bucket = details(KEY, job("one", dashboard_jobs.complete(), storage={"gcs": {"bucket": "b"}}))
    report = of_bucket.results["Report"]
    assert report.link == "https://storage.cloud.google.com/b/distillation/evaluate/abc/report.html"
    assert of_bucket.results["Exported model"].link.startswith("https://console.cloud.google.com/storage/browser/b/")
    of_claim = details(KEY, job("one", dashboard_jobs.complete()))
    assert of_claim.results["Report"].link == ""
    assert [(score.before, score.after, score.change) for score in of_claim.scores] == [
        ("2.0", "1.5", "\N{MINUS SIGN}25.0%"),
        ("0.9", "0.3", "\N{MINUS SIGN}66.7%"),
    ]


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/html,x", "gs://b/javascript:x", '"><script>'])
def test_no_result_becomes_a_link_to_anywhere_else(target: str) -> None:
    made = job("one", {"results": {"publishedModel": target, "report": target}}, storage={"gcs": {"bucket": "b"}})
    for place in details(KEY, made).results.values():
        assert place.link.startswith(("https://console.cloud.google.com/", "https://storage.cloud.google.com/"))
    assert 'href="javascript' not in body(made) and "<script>" not in body(made)


def test_what_a_preview_has_found() -> None:
    preview = {
        "acceptedShare": "0.93",
        "estimatedSeconds": 5400,
        "estimatedChipHours": "12.0",
        "memoryGiB": {"generate": "8"},
        "facts": [{"stage": "preflight", "name": "kernel", "value": "6.1", "asExpected": False}, {"stage": "x"}],
    }
    shown = body(job("one", {"phase": "Running", "preview": preview}))
    for part in ("93%", "1.5 h", "12.0", "8 GiB", "NOT as expected"):
        assert part in shown


def test_a_place_of_any_bytes_is_on_the_page() -> None:
    pages = Pages("run", "/srv/\udcff", has_reports=True)
    assert "/srv/\N{REPLACEMENT CHARACTER}" in pages.jobs([], Health(), "run.1").encode().decode()


def test_secrets_and_environments_are_not_shown() -> None:
    made = job("one", dashboard_jobs.running())
    made["spec"]["pod"] = {"env": [{"name": "PASSWORD", "value": "hunter2"}]}
    made["metadata"]["annotations"] = {"note": "hunter2"}
    assert "hunter2" not in body(made) + PAGES.row(KEY, made)


def test_hostile_texts_are_escaped_everywhere() -> None:
    status = dashboard_jobs.failed(HOSTILE)
    hostile = {
        "state": HOSTILE,
        "reason": HOSTILE,
        "name": HOSTILE,
        "metrics": {HOSTILE: HOSTILE},
        "outputs": {HOSTILE: HOSTILE},
    }
    status |= {
        "phase": HOSTILE,
        "loss": HOSTILE,
        "stages": [hostile],
        "results": {"report": HOSTILE, "klBefore": HOSTILE},
    }
    made = job(HOSTILE, {**status, "currentStage": HOSTILE})
    key = (text(HOSTILE), text(HOSTILE))
    pages = PAGES.body(key, made, Health()) + PAGES.row(key, made) + PAGES.job(key, None, Health(), "run.1")
    pages += PAGES.jobs([(key, made)], Health(note=text(HOSTILE)), "run.1")
    assert "<script>window" not in pages and "<img" not in pages
    assert "\u202e" not in pages and "\x1b" not in pages


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2026-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "phase", "conditions", "stages", "results", "preview", "lastFailures", "loss", "chipHours", "progress", "startTime",
]  # fmt: skip
STAGE_FIELDS = [
    "name",
    "state",
    "progress",
    "metrics",
    "counts",
    "outputs",
    "attempts",
    "chipSeconds",
    "chipSecondsIdle",
]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4),
    st.dictionaries(st.sampled_from(STAGE_FIELDS), ANYTHING, max_size=4),
    ANYTHING,
)
def test_no_form_of_an_object_breaks_the_page(status: dict[str, Any], stage: dict[str, Any], spec: Any) -> None:
    for whole in ({**status, "stages": [stage]}, status):
        made = {"metadata": {"creationTimestamp": spec, "name": spec}, "spec": spec, "status": whole}
        (body(made) + PAGES.row(KEY, made)).encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-1", "1e999", True, None, [], "x", 10**400])
def test_what_is_no_number(value: object) -> None:
    assert number(value) is None


def test_texts_are_cut_and_cleaned() -> None:
    assert text("x" * 9999, 10) == "x" * 9 + "…"
    assert text("a\x1b[1m\ud800\u202eb\nc") == "a\ufffd[1m\ufffd\ufffdb\nc"
    assert text({"a": 1}) == text(None) == ""


@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01T00:00:00Z", None, 5, {}])
def test_what_is_no_time(value: object) -> None:
    assert time(value) is None


@pytest.mark.parametrize("value", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00"])
def test_times_are_in_utc(value: str) -> None:
    found = time(value)
    assert found is not None and found.isoformat() == "2026-01-01T00:00:00+00:00"

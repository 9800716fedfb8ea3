"""``watch`` without a cluster: what it shows, how it ends, and what it does while there is no API server."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client
from rich.console import Console

from distillation_operator.cli import main
from distillation_operator.commands import watch
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.stage_table import describe

RUNNING = {
    "name": "train-first",
    "state": "Running",
    "attempt": 1,
    "progress": {"done": 43, "total": 100, "unit": "steps", "rate": "2.5"},
    "metrics": {"loss": "1.92"},
}
RESULTS = {"crossEntropyBefore": "2.0", "crossEntropyAfter": "1.5", "exportedModel": "distillation/export/abc/model"}


def job(*stages: dict[str, Any], ended: str | None = None, **status: Any) -> dict[str, Any]:
    """A DistillationJob with a status."""
    conditions = [
        {"type": kind, "status": str(kind == ended), "message": "2 of 2 stages are complete."}
        for kind in ("Complete", "Failed")
    ]
    whole = {"phase": ended or "Running", "stages": list(stages), "conditions": conditions, **status}
    return {"metadata": {"namespace": "ml", "name": "one"}, "status": whole}


class Recorder:
    """A view that remembers."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.told: list[str] = []

    def show(self, job: dict[str, Any]) -> None:
        self.shown.append(job)

    def tell(self, text: str) -> None:
        self.told.append(text)


def follow(
    monkeypatch: pytest.MonkeyPatch, *script: dict[str, Any] | Exception, seconds: float = 0
) -> tuple[dict[str, Any], Recorder]:
    """Follow an API server that behaves like the script, with so many seconds between two looks at the clock."""
    steps: Iterator[dict[str, Any] | Exception] = iter(script)

    def states(*_: object) -> Iterator[dict[str, Any]]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    monkeypatch.setattr(watch, "_states", states)
    view = Recorder()
    clock = itertools.count(step=seconds)
    api = client.CustomObjectsApi(client.ApiClient())
    last = watch.follow(api, "ml", "one", view, sleep=lambda _: None, clock=lambda: next(clock))
    return last, view


def test_followed_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    last, view = follow(monkeypatch, job(RUNNING), job(ended="Complete"), job(RUNNING))
    assert watch.ended(last) == "Complete"
    assert len(view.shown) == 2


def test_broken_connections_are_waited_for_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = urllib3.exceptions.ProtocolError("connection broken")
    last, view = follow(
        monkeypatch, job(RUNNING), refused, refused, ConnectionResetError(), job(RUNNING), job(ended="Failed")
    )
    assert watch.ended(last) == "Failed"
    assert view.told == ["no answer from the API server (ProtocolError); trying again", "connected again"]


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_server_in_trouble_is_waited_for(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    _, view = follow(monkeypatch, client.ApiException(status, "Trouble"), job(ended="Complete"))
    assert view.told == [f"the API server answers {status} Trouble; trying again", "connected again"]


def test_an_old_resource_version_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    _, view = follow(monkeypatch, job(RUNNING), client.ApiException(410, "Gone"), job(ended="Complete"))
    assert view.told == []


def test_no_such_object(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="there is no DistillationJob one in namespace ml"):
        follow(monkeypatch, client.ApiException(404, "Not Found"))


UNSEEN = {"metadata": {"namespace": "ml", "name": "one"}}


def test_of_a_job_without_status_one_line_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [UNSEEN] * 5
    _, view = follow(monkeypatch, *states, job(RUNNING), job(ended="Complete"), seconds=10)
    (hint,) = view.told
    assert hint.startswith("no operator has written a status for 15 s.")
    assert "namespace ml" in hint


def test_an_operator_has_some_seconds_for_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    _, view = follow(monkeypatch, UNSEEN, UNSEEN, job(RUNNING), job(ended="Complete"), seconds=5)
    assert view.told == []


def test_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    view = watch.LineView()
    waiting = {"name": "export", "state": "Waiting"}
    for state in (job(RUNNING, waiting), job(RUNNING, waiting), job({**RUNNING, "state": "Complete"}, waiting)):
        view.show(state)
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "job: Running",
        "train-first: Running 43%, 43/100 steps, 2.5 steps/s, loss 1.92, attempt 1",
        "export: Waiting",
        "train-first: Complete 43%, 43/100 steps, 2.5 steps/s, loss 1.92, attempt 1",
    ]


def test_an_object_without_status_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    watch.LineView().show(UNSEEN)
    assert "not yet seen by the operator" in capsys.readouterr().out


def test_the_live_table_has_a_bar_for_each_stage() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=120, force_terminal=True, color_system=None)
    console.print(watch.live_table(job(RUNNING, {"name": "export", "state": "Waiting"})))
    head, first, second = screen.getvalue().splitlines()
    assert head.split() == ["ml/one", "Running"]
    assert "━" in first
    assert "43/100 steps" in first
    assert "Waiting" in second


def test_the_results() -> None:
    assert watch.results(job(ended="Complete", results=RESULTS, chipHours="12.4")) == [
        "ml/one: Complete. 2 of 2 stages are complete.",
        "Held-out cross-entropy: 2.0 before, 1.5 after, 25.0% less",
        "Exported model: distillation/export/abc/model",
        "Chip-hours: 12.4",
    ]


def test_what_is_to_be_looked_at_in_a_complete_job_is_among_its_results() -> None:
    degenerate = {"reason": "DegenerateAnswers", "message": "The student's answers degenerate."}
    stages = [{"name": "export", "state": "Complete"}, {"name": "evaluate", "state": "Complete", **degenerate}]
    assert watch.results(job(*stages, ended="Complete", results=RESULTS))[3:] == [
        "evaluate: The student's answers degenerate."
    ]


def test_who_stops_watching_is_told_that_the_job_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), watch.goes_on("one -n ml"):
        raise KeyboardInterrupt
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "the job goes on; to follow it again: distillation-operator watch one -n ml\n"


@pytest.mark.parametrize(
    ("storage", "root"),
    [
        ({"gcs": {"bucket": "some-bucket"}}, "gs://some-bucket"),
        ({"persistentVolumeClaim": {"claimName": "distillation"}}, "pvc://distillation"),
    ],
)
def test_student_and_report_can_be_copied(storage: dict[str, Any], root: str) -> None:
    found = {
        "exportedModel": "p/export/a/model",
        "report": "p/evaluate/b/report.html",
        "publishedModel": "gs://other/m",
    }
    ended = {**job(ended="Complete", results=found), "spec": {"storage": storage}}
    assert watch.results(ended)[1:] == [
        f"Exported model: {root}/p/export/a/model",
        f"Report: {root}/p/evaluate/b/report.html",
        "Published model: gs://other/m",
    ]
    assert watch.results(ended, "/data")[1:3] == [
        "Exported model: /data/p/export/a/model",
        "Report: /data/p/evaluate/b/report.html",
    ]


def test_the_results_tell_what_of_the_chips_time_went_to_starts() -> None:
    idle = [{"imports": 100, "compile": 300}, {"compile": 100}, {}]
    stages = [{"name": "s", "state": "Complete", "chipSeconds": 1000, "chipSecondsIdle": parts} for parts in idle]
    assert watch.results(job(*stages, ended="Complete", chipHours="0.8"))[-1] == (
        "Chip-hours: 0.8, of which 17% before the first token or step (imports 3%, compile 13%)"
    )


def test_a_server_that_never_answered_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match=r"no cluster: no answer from the API server \(ConnectionRefusedError\)"):
        follow(monkeypatch, ConnectionRefusedError())


@pytest.mark.parametrize("content", [None, "not a kubeconfig", "a: [", "apiVersion: v1\nkind: Config\n"])
def test_no_cluster_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    assert main(["watch", "one", "--kubeconfig", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("distillation-operator: no cluster: ")


PREVIEW = {
    "memoryGiB": {"preview-generate": "8"},
    "facts": [
        {"stage": "preview-generate", "name": "lockedMemory", "value": "at most 8 MiB", "asExpected": False},
        {"stage": "preview-generate", "name": "uid", "value": "1000"},
    ],
}


def previewed(*, held: bool) -> dict[str, Any]:
    """A job whose preview is complete."""
    done = {"type": "Previewed", "status": "True", "reason": "PreviewDone", "message": "The preview is complete: x."}
    message = "The preview is complete: x. Set spec.preview.then to Continue to go on."
    stopped = {"type": "Suspended", "status": str(held), "reason": "PreviewDone", "message": message}
    made = job(RUNNING, preview=PREVIEW)
    made["status"]["conditions"] += [done, stopped]
    return made


def test_what_a_preview_has_found_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    view = watch.LineView()
    for held in (True, True, False):
        view.show(previewed(held=held))
    told = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in told if line.startswith("preview")] == [
        "preview: The preview is complete: x. Set spec.preview.then to Continue to go on.",
        "preview: preview-generate: 8 GiB of memory",
        "preview: preview-generate: lockedMemory at most 8 MiB (NOT as expected)",
        "preview: preview-generate: uid 1000",
        "preview: The preview is complete: x.",
    ]


def test_the_context_chooses_cluster_and_namespace(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    contexts = [
        {"name": name, "context": {"cluster": name, "user": "me", **({"namespace": name} if name != "here" else {})}}
        for name in ("here", "there")
    ]
    clusters = [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in ("here", "there")]
    users = [{"name": "me", "user": {}}]
    kubeconfig = {"contexts": contexts, "clusters": clusters, "users": users, "current-context": "here"}
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **kubeconfig}))
    for context, server, place in ((None, "here", "default"), ("there", "there", "there")):
        api, namespace = watch.connect(str(file), context)
        assert api.api_client.configuration.host == f"https://{server}.example"
        assert namespace == place
    with pytest.raises(CommandError, match="nowhere"):
        watch.connect(str(file), "nowhere")


def test_of_an_evaluation_the_scores_are_shown_and_what_is_to_be_looked_at() -> None:
    scores = {"answerTokensAfter": "48", "crossEntropyAfter": "7.3", "crossEntropyBefore": "13.8", "klAfter": "5.7"}
    stage = {"name": "evaluate", "state": "Complete", "metrics": scores, "message": "The answers degenerate."}
    assert describe(stage) == "crossEntropyBefore 13.8, crossEntropyAfter 7.3, klAfter 5.7, The answers degenerate."


def test_what_a_stage_of_a_preview_has_measured_is_not_told_twice() -> None:
    stage = {**RUNNING, "metrics": {"loss": "1.92", "measured.unitSeconds": "2"}}
    assert describe(stage) == describe(RUNNING)

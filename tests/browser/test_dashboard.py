"""The dashboard as its user meets it: a real browser, a real API server, and nothing that goes wrong in the console."""

import asyncio
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from playwright.sync_api import expect

from distillation_api.resource import GROUP, PLURAL
from distillation_operator.dashboard.board import Board
from distillation_operator.dashboard.cluster import Cluster
from support import dashboard_jobs
from support.audit import events
from support.browser import PHONE, Window
from support.dashboard import MANY, Open, Start
from support.eventually import eventually
from support.objects import Jobs
from testbed.cluster import Testbed

# Several waits of a test may each come near their own limit, on a busy machine. Fixtures have a limit of their own.
pytestmark = pytest.mark.timeout(240, func_only=True)


def job_path(jobs: Jobs, name: str) -> str:
    return f"job?namespace={jobs.namespace}&name={name}"


def tab_to(shown: Window, text: str, most: int = 60) -> dict[str, Any]:
    """Press Tab until an element of this text has the focus; every one on the way is in sight and marked."""
    for _ in range(most):
        shown.page.keyboard.press("Tab")
        focused = shown.focused()
        assert focused["inSight"] and focused["marked"], focused
        if text in focused["text"]:
            return focused
    pytest.fail(f"{text!r} never had the focus")


def test_an_empty_cluster_says_so_and_jobs_come_and_go(start: Start, window: Open, jobs: Jobs) -> None:
    page = window(start("-n", jobs.namespace)).open()
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("#empty")).to_have_text("There are no DistillationJobs here.")
    jobs.create(dashboard_jobs.job("first"))
    row = page.locator("#rows tr")
    expect(row).to_contain_text("Not yet seen by the operator")
    jobs.set_status("first", dashboard_jobs.running(43))
    expect(row).to_contain_text("43 %")
    jobs.set_status("first", dashboard_jobs.failed())
    expect(row).to_contain_text("TooFewRows")
    jobs.delete("first")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#count")).to_have_text("0 jobs")


def test_many_jobs_are_filtered_and_only_the_changed_row_is_touched(start: Start, window: Open, many: Jobs) -> None:
    page = window(start("-n", many.namespace)).open()
    expect(page.locator("#count")).to_have_text(f"{MANY} jobs")
    expect(page.locator("#rows tr:visible")).to_have_count(MANY)
    page.evaluate(
        """() => {
          window.touched = new Set();
          new MutationObserver((changes) => changes.forEach((change) => {
            const node = change.target.nodeType === 1 ? change.target : change.target.parentElement;
            if (!node.closest("time")) window.touched.add(node.closest("tr")?.dataset.name ?? node.id);
          })).observe(document.getElementById("rows"),
            { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    many.set_status("job-101", dashboard_jobs.running(99, loss="0.123"))
    expect(page.locator('#rows tr[data-name="job-101"]')).to_contain_text("0.123")
    assert page.evaluate("[...window.touched]") == ["job-101"]

    page.locator("#filter").fill("JOB-12")
    expect(page.locator("#count")).to_have_text(f"10 of {MANY} jobs")
    expect(page.locator("#rows tr:visible")).to_have_count(10)
    page.locator("#phase").select_option("Running")
    expect(page.locator("#count")).to_have_text(f"1 of {MANY} jobs")
    page.reload()
    expect(page.locator("#count")).to_have_text(f"1 of {MANY} jobs")
    page.locator("#filter").fill("no such job")
    expect(page.locator("#empty")).to_have_text("No job fits the filter.")


def test_all_namespaces_are_shown_and_one_can_be_chosen(start: Start, window: Open, many: Jobs, jobs: Jobs) -> None:
    jobs.create(dashboard_jobs.job("alone"))
    page = window(start()).open()
    page.locator("#namespace").select_option(jobs.namespace)
    expect(page.locator("#rows tr:visible")).to_have_count(1)
    expect(page.locator("#rows tr:visible")).to_contain_text("alone")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_stands_out_of_a_phones_screen(start: Start, window: Open, jobs: Jobs, dark: bool) -> None:
    dashboard = start("-n", jobs.namespace)
    jobs.create(dashboard_jobs.job("a-name-as-long-as-the-name-of-a-job-can", storage={"gcs": {"bucket": "b" * 60}}))
    for name, status in (
        ("a-name-as-long-as-the-name-of-a-job-can", dashboard_jobs.complete()),
        ("runs", dashboard_jobs.running()),
        ("broken", dashboard_jobs.failed("x" * 500)),
    ):
        if name != "a-name-as-long-as-the-name-of-a-job-can":
            jobs.create(dashboard_jobs.job(name))
        jobs.set_status(name, status)
    shown = window(dashboard, width=PHONE, dark=dark)
    expect(shown.open().locator("#rows tr")).to_have_count(3)
    assert shown.overflow() == []
    for name in ("a-name-as-long-as-the-name-of-a-job-can", "runs", "broken"):
        expect(shown.open(job_path(jobs, name)).locator("#live-text")).to_have_text("Live")
        shown.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert shown.overflow() == []


def test_everything_is_reached_by_keyboard(start: Start, window: Open, jobs: Jobs) -> None:
    for name in ("first", "second", "third"):
        jobs.create(dashboard_jobs.job(name))
    jobs.set_status("second", dashboard_jobs.running())
    shown = window(start("-n", jobs.namespace))
    page = shown.open()
    expect(page.locator("#count")).to_have_text("3 jobs")
    page.keyboard.press("/")
    assert shown.focused()["id"] == "filter"
    page.keyboard.type("sec/")
    expect(page.locator("#count")).to_have_text("0 of 3 jobs")
    page.keyboard.press("Backspace")
    expect(page.locator("#count")).to_have_text("1 of 3 jobs")
    tab_to(shown, "second")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("second")
    expect(page.locator("#live-text")).to_have_text("Live")
    tab_to(shown, "train-one")
    page.keyboard.press("Enter")
    expect(page.locator("#stage-train-one")).to_be_in_viewport()
    tab_to(shown, "More of train-one")
    page.keyboard.press("Enter")
    expect(page.locator("#stage-train-one")).to_contain_text("Chips idle")
    expect(page.locator("#stage-train-one dl")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(page.locator("#filter")).to_have_value("sec")
    expect(page.locator("#count")).to_have_text("1 of 3 jobs")
    page.locator("#filter").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("3 jobs")


def test_a_job_changes_under_the_readers_eyes(start: Start, window: Open, jobs: Jobs) -> None:
    jobs.create(dashboard_jobs.job("one"))
    shown = window(start("-n", jobs.namespace))
    page = shown.open(job_path(jobs, "one"))
    expect(page.locator("#body")).to_contain_text("Not yet seen by the operator")
    expect(page.locator("svg.wide .node")).to_have_count(len(dashboard_jobs.stage_names()))
    jobs.set_status("one", dashboard_jobs.running(43))
    card = page.locator("#stage-train-one")
    expect(card).to_contain_text("430 of 1,000 steps, 2.5 steps/s")
    expect(card).to_contain_text("chip-hours 10.00")
    expect(page.locator("#wide-train-one")).to_contain_text("Running 43 %")
    opened = card.locator("summary")
    opened.focus()
    page.keyboard.press("Enter")
    jobs.set_status("one", dashboard_jobs.running(44, loss="1.5"))
    expect(page.locator("#wide-train-one")).to_contain_text("Running 44 %")
    expect(card.locator("dl")).to_be_visible()
    expect(opened).to_be_focused()
    jobs.set_status("one", dashboard_jobs.failed())
    attention = page.locator(".problems")
    expect(attention).to_contain_text("Failed: TooFewRows prepare-dataset")
    expect(attention).to_contain_text("What to do: Lower steps or perDeviceBatchSize")
    expect(page.locator(".failures")).to_contain_text("node-7")
    jobs.set_status("one", {**dashboard_jobs.complete(), "lastFailures": []})
    expect(page.locator(".results")).to_contain_text("\N{MINUS SIGN}25.0%")
    jobs.delete("one")
    expect(page.locator("#body")).to_contain_text("it was deleted, or never existed")


def test_hostile_texts_are_texts(start: Start, window: Open, jobs: Jobs) -> None:
    hostile = dashboard_jobs.HOSTILE
    jobs.create(dashboard_jobs.job("one"))
    status = dashboard_jobs.failed(hostile)
    status["stages"][0] |= {"metrics": {hostile[:40]: "1"}, "counts": {hostile[:40]: 1}, "outputs": {hostile: hostile}}
    jobs.set_status("one", {**status, "currentStage": hostile, "results": {"report": hostile}})
    shown = window(start("-n", jobs.namespace))
    page = shown.open()
    expect(page.locator("#rows tr")).to_have_count(1)
    page.locator("#rows a").click()
    expect(page.locator(".problems")).to_contain_text("<script>window.hacked = 1</script><img src=x")
    jobs.set_status("one", {"loss": "<i>3"})
    expect(page.locator(".summary")).to_contain_text("<i>3")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#main script, #main img, #main i").count() == 0


def test_the_page_says_when_it_is_stale_and_catches_up(
    testbed: Testbed, start: Start, window: Open, jobs: Jobs
) -> None:
    jobs.create(dashboard_jobs.job("one"))
    page = window(start("-n", jobs.namespace)).open()
    expect(page.locator("#live-text")).to_have_text("Live")
    testbed.kill("kube-apiserver")
    expect(page.locator("#live-text")).to_have_text("Stale")
    expect(page.locator("#banner")).to_contain_text("no answer from the API server")
    expect(page.locator("#rows tr")).to_have_count(1)
    testbed.restart("kube-apiserver")
    eventually("the status is set", lambda: _tried(jobs, "one", dashboard_jobs.running(7)))
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#rows tr")).to_contain_text("7 %")


def test_a_silent_connection_is_noticed(testbed: Testbed, jobs: Jobs) -> None:
    """As after a network that forgets a connection: the API server stands still and nothing is closed."""

    async def follow() -> None:
        board = Board()
        cluster = Cluster(board, str(testbed.kubeconfig), [jobs.namespace], watch_seconds=2, slack_seconds=1)
        await cluster.connect()
        following = asyncio.create_task(cluster.run())
        try:
            await _until(board, lambda: board.health.loaded)
            testbed.kill("kube-apiserver", signal.SIGSTOP)
            await _until(board, lambda: "no answer" in board.health.problem)
            testbed.kill("kube-apiserver", signal.SIGCONT)
            await _until(board, lambda: not board.health.problem)
        finally:
            testbed.kill("kube-apiserver", signal.SIGCONT)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    _in_its_own_loop(follow())


def test_jobs_are_listed_anew_where_the_watch_would_begin_too_long_ago(testbed: Testbed, jobs: Jobs) -> None:
    class Forgetful(Cluster):
        """As after a night's sleep: the version that it watches from first is the oldest of all."""

        lists = 0

        async def _list(self, scope: str, place: str) -> str:
            version = await super()._list(scope, place)
            self.lists += 1
            return version if self.lists > 1 else "1"

    async def follow() -> None:
        board = Board()
        cluster = Forgetful(board, str(testbed.kubeconfig), [jobs.namespace])
        following = asyncio.create_task(cluster.run())
        try:
            await _until(board, lambda: board.health.loaded)
            jobs.create(dashboard_jobs.job("one"))
            await _until(board, lambda: board.job((jobs.namespace, "one")) is not None)
            assert cluster.lists == 2
            assert board.health.problem == ""
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    _in_its_own_loop(follow())


def test_a_dashboard_that_was_ended_is_missed(start: Start, window: Open, jobs: Jobs) -> None:
    jobs.create(dashboard_jobs.job("one"))
    dashboard = start("-n", jobs.namespace)
    shown = window(dashboard)
    page = shown.open()
    expect(page.locator("#live-text")).to_have_text("Live")
    assert dashboard.end() == (0, "")
    expect(page.locator("#live-text")).to_have_text("Disconnected")
    expect(page.locator("#banner")).to_contain_text("The dashboard doesn't answer")
    # The browser itself says that nobody listens.
    assert all("ERR_CONNECTION_REFUSED" in what or "ERR_INCOMPLETE_CHUNKED" in what for what in shown.wrong)
    shown.wrong.clear()


def test_a_user_of_one_namespace_sees_that_one(
    testbed: Testbed, api_client: client.ApiClient, start: Start, window: Open, jobs: Jobs, many: Jobs, tmp_path: Path
) -> None:
    jobs.create(dashboard_jobs.job("mine"))
    dashboard = start(kubeconfig=_kubeconfig_of_reader(api_client, testbed, jobs.namespace, tmp_path))
    page = window(dashboard).open()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#note")).to_contain_text(f"Only namespace {jobs.namespace}")
    expect(page.locator("#live-text")).to_have_text("Live")
    refused = window(start("-n", many.namespace, kubeconfig=tmp_path / "kubeconfig")).open()
    told = f"refuses to show DistillationJobs in namespace {many.namespace}"
    expect(refused.locator("#banner")).to_contain_text(told)


def test_the_dashboard_only_reads(testbed: Testbed, start: Start, window: Open, jobs: Jobs) -> None:
    jobs.create(dashboard_jobs.job("one"))
    expect(window(start("-n", jobs.namespace)).open().locator("#rows tr")).to_have_count(1)

    def asked() -> set[tuple[str, str]]:
        own = [
            event
            for event in events(testbed.audit_log)
            if event.get("userAgent", "").startswith("distillation-operator-dashboard")
        ]
        return {(event["verb"], event["objectRef"]["resource"]) for event in own}

    eventually("it lists and watches", lambda: {("list", PLURAL), ("watch", PLURAL)} == asked(), seconds=30)


def _tried(jobs: Jobs, name: str, status: dict[str, Any]) -> bool:
    """Set a status just after a restart, when the client's own connection may be a broken one."""
    try:
        jobs.set_status(name, status)
    except Exception:
        return False
    return True


def _in_its_own_loop(made: Coroutine[Any, Any, None]) -> None:
    """Run it to its end. Playwright has the loop of this thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, made).result()


async def _until(board: Board, holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await board.wait(board.revision, 30)


def _kubeconfig_of_reader(api_client: client.ApiClient, testbed: Testbed, namespace: str, folder: Path) -> Path:
    """The testbed's, as an account that may list and watch the jobs of one namespace, which its context names."""
    core: Any = client.CoreV1Api(api_client)
    rbac: Any = client.RbacAuthorizationV1Api(api_client)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "reader"}})
    rules = [{"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["list", "watch"]}]
    rbac.create_namespaced_role(namespace, {"metadata": {"name": "reader"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]
    rbac.create_namespaced_role_binding(
        namespace, {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": subjects}
    )
    request = {"spec": {"expirationSeconds": 3600}}
    token = core.create_namespaced_service_account_token("reader", namespace, request).status.token
    written = yaml.safe_load(testbed.kubeconfig.read_text())
    for user in written["users"]:
        user["user"] = {"token": token}
    for context in written["contexts"]:
        context["context"]["namespace"] = namespace
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(written))
    return path

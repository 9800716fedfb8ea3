"""A control plane with jobs, the dashboard as a process, and a browser."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from kubernetes import client, config
from playwright.sync_api import Browser, expect

from support import dashboard_jobs
from support.browser import DESKTOP, Window, browser
from support.cluster import apply_crd
from support.dashboard import MANY, Dashboard, Open, Start
from support.objects import Jobs
from support.time_limit import within
from testbed.cluster import Testbed
from testbed.site import Depth

expect.set_options(timeout=30_000)
FIXTURES = 900.0
"""Seconds at most of all fixtures of a test: for the first one a control plane, and Debian's Chromium where it is
missing.
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """A limit for the fixtures, which the timeout of the tests doesn't count."""
    with within(FIXTURES, f"the fixtures of {item.name} are set up"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """As for the set-up."""
    with within(FIXTURES, f"the fixtures of {item.name} are torn down"):
        return (yield)


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """The control plane, with the committed CRD established."""
    made = Testbed("pytest-browser", Depth.CONTROL_PLANE)
    made.up()
    try:
        apply_crd(made)
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def api_client(testbed: Testbed) -> client.ApiClient:
    """The administrator's client."""
    return config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call, no-any-return]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser."""
    with browser(tmp_path_factory.mktemp("browser") / "install.log") as made:
        yield made


@pytest.fixture
def jobs(api_client: client.ApiClient) -> Iterator[Jobs]:
    """The jobs of a namespace of the test's own."""
    yield from _namespace(api_client)


@pytest.fixture(scope="session")
def many(api_client: client.ApiClient) -> Iterator[Jobs]:
    """Many jobs of one namespace: job-000 and so on, of which every tenth runs."""
    for made in _namespace(api_client):

        def create(number: int, jobs: Jobs = made) -> None:
            name = f"job-{number:03}"
            jobs.create(dashboard_jobs.job(name))
            if number % 10 == 1:
                jobs.set_status(name, dashboard_jobs.running(number % 100))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(create, range(MANY)))
        yield made


@pytest.fixture
def start(testbed: Testbed) -> Iterator[Start]:
    """Starts a dashboard with these arguments."""
    started: list[Dashboard] = []

    def begin(*arguments: str, kubeconfig: Path = testbed.kubeconfig) -> Dashboard:
        started.append(Dashboard(kubeconfig, *arguments))
        return started[-1]

    yield begin
    for dashboard in started:
        code, errors = dashboard.end()
        assert (code, errors) == (0, "")


@pytest.fixture
def window(chromium: Browser) -> Iterator[Open]:
    """Opens windows of a dashboard; nothing may go wrong in them."""
    opened: list[Window] = []

    def open_window(dashboard: Dashboard, width: int = DESKTOP, dark: bool = False) -> Window:
        opened.append(Window(chromium, dashboard.address, width, dark))
        return opened[-1]

    yield open_window
    wrong = [what for one in opened for what in one.wrong]
    for one in opened:
        one.close()
    assert wrong == []


def _namespace(api_client: client.ApiClient) -> Iterator[Jobs]:
    core = client.CoreV1Api(api_client)
    name = f"browser-{uuid4().hex[:6]}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield Jobs(client.CustomObjectsApi(api_client), name)
    core.delete_namespace(name)

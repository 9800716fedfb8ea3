"""Which cluster of a kubeconfig the dashboard reads."""

import asyncio
from pathlib import Path

import pytest
import yaml

from distillation_operator.cli import main
from distillation_operator.controller.kube import Kube, context_namespace


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """One with two clusters; the first one's context is the current one."""
    names = ("first", "second")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.invalid:6443"}} for name in names],
        "users": [{"name": name, "user": {"token": "t"}} for name in names],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": f"of-{name}"}} for name in names
        ],
        "current-context": "first",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize(("context", "cluster"), [(None, "first"), ("first", "first"), ("second", "second")])
def test_the_context_names_cluster_and_namespace(kubeconfig: str, context: str | None, cluster: str) -> None:
    async def address() -> str:
        kube = await Kube.connect(kubeconfig, "test", context)
        try:
            return str(kube.api.configuration.host)
        finally:
            await kube.close()

    assert asyncio.run(address()) == f"https://{cluster}.invalid:6443"
    assert context_namespace(kubeconfig, context) == f"of-{cluster}"


def test_a_context_that_the_kubeconfig_lacks_is_refused(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--port", "0", "--kubeconfig", kubeconfig, "--context", "third"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("distillation-operator: no cluster: ") and "third" in told


def test_a_context_without_any_kubeconfig_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["dashboard", "--port", "0", "--context", "third"]) == 1
    assert capsys.readouterr().err.startswith("distillation-operator: no cluster: ")


def test_files_have_no_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--file", ".", "--context", "third"]) == 1
    assert "leave out --namespace, --kubeconfig and --context" in capsys.readouterr().err

"""Argo CD's health check and actions, run by a real Lua 5.1 on test data in the layout of Argo CD's own tests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime, lua_type

from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus
from distillation_operator.commands.validation import validate
from distillation_operator.pipeline.decision.retry_request import pending_retry_request

CHECKOUT = Path(__file__).resolve().parents[3]
ROOT = CHECKOUT / "argocd" / "resource_customizations" / "distillation.dev" / "DistillationJob"
ACTIONS = ROOT / "actions"
HEALTH_TESTS = yaml.safe_load((ROOT / "health_test.yaml").read_text())["tests"]
ACTION_TESTS = yaml.safe_load((ACTIONS / "action_test.yaml").read_text())

Object = dict[str, Any]


def run(script: Path, obj: Object) -> Any:
    """What a script makes of an object; as in Argo CD it is given as the global ``obj``."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = table(lua, obj)
    lua.globals().require = lambda name: lua.globals()[name]
    return plain(lua.execute(script.read_text()))


def table(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: table(lua, member) for key, member in value.items()})
    if isinstance(value, list):
        return lua.table_from([table(lua, item) for item in value])
    return value


def plain(value: Any) -> Any:
    if lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and all(isinstance(key, int) for key in keys):
        return [plain(value[key]) for key in keys]
    return {key: plain(value[key]) for key in keys}


def read(path: Path) -> Object:
    return dict(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("case", HEALTH_TESTS, ids=lambda case: case["inputPath"])
def test_health(case: Object) -> None:
    assert run(ROOT / "health.lua", read(ROOT / case["inputPath"])) == case["healthStatus"]


@pytest.mark.parametrize("case", ACTION_TESTS["discoveryTests"], ids=lambda case: case["inputPath"])
def test_which_actions_are_offered(case: Object) -> None:
    found = run(ACTIONS / "discovery.lua", read(ACTIONS / case["inputPath"]))
    assert found == {told["name"]: {"disabled": told["disabled"]} for told in case["result"]}


@pytest.mark.parametrize("case", ACTION_TESTS["actionTests"], ids=lambda case: case["action"])
def test_an_action(case: Object) -> None:
    made = run(ACTIONS / case["action"] / "action.lua", read(ACTIONS / case["inputPath"]))
    assert made == read(ACTIONS / case["expectedOutputPath"])
    assert validate(made) == []


def test_a_retry_is_what_the_operator_honours() -> None:
    made = run(ACTIONS / "retry" / "action.lua", read(ACTIONS / "testdata" / "failed.yaml"))
    job = DistillationJob.parse({**made, "metadata": {**made["metadata"], "uid": "u"}, "status": None})
    request = pending_retry_request(job.metadata.annotations, DistillationJobStatus())
    assert request is not None
    stage, nonce = request.split("/", 1)
    assert stage == "prepare-dataset" and nonce.startswith("20")


def test_every_action_is_discovered() -> None:
    found = run(ACTIONS / "discovery.lua", read(ACTIONS / "testdata" / "running.yaml"))
    assert sorted(found) == sorted(path.name for path in ACTIONS.iterdir() if (path / "action.lua").exists())


def test_the_config_map_carries_the_same_scripts() -> None:
    data = read(CHECKOUT / "argocd" / "argocd-cm.yaml")["data"]
    assert data["resource.customizations.health.distillation.dev_DistillationJob"] == (ROOT / "health.lua").read_text()
    actions = yaml.safe_load(data["resource.customizations.actions.distillation.dev_DistillationJob"])
    assert actions["discovery.lua"] == (ACTIONS / "discovery.lua").read_text()
    assert {told["name"]: told["action.lua"] for told in actions["definitions"]} == {
        name: (ACTIONS / name / "action.lua").read_text() for name in ("suspend", "resume", "retry")
    }


def test_the_applications_are_objects() -> None:
    for name in ("application", "operator"):
        application = read(CHECKOUT / "argocd" / f"{name}.yaml")
        assert (application["kind"], application["apiVersion"]) == ("Application", "argoproj.io/v1alpha1")
        assert json.dumps(application["spec"]["syncPolicy"]["syncOptions"]).count("ServerSideApply=true") == 1

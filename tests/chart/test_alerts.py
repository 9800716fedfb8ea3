"""Alerts and dashboard, read by Prometheus' own tool."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.controller.metrics import Metrics
from testbed import debian
from testbed.helm import CHART
from testbed.layout import build_log

ALERTS = CHART / "alerts" / "alerts.yaml"
DASHBOARD = CHART / "dashboards" / "distillation.json"
METRIC = re.compile(r"\bdistillation_[a-z_]+")


@pytest.fixture(scope="module")
def promtool() -> Any:
    """Debian's promtool."""
    debian.install(("prometheus",), build_log("debian"))

    def run(*arguments: str, folder: Path) -> None:
        done = subprocess.run(
            ["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def metric_names() -> set[str]:
    metrics = Metrics()
    metrics.watch_queue(lambda: 0)
    metrics.watch_jobs(lambda: [])
    names: set[str] = set()
    for metric in metrics.registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
        names.update(metric.name + suffix for suffix in suffixes)
    return names


def expressions_of_dashboard() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_alerts_and_panels_ask_for_metrics_that_there_are() -> None:
    asked = METRIC.findall(ALERTS.read_text()) + METRIC.findall("\n".join(expressions_of_dashboard()))
    assert asked
    # Texts name a histogram as a whole.
    families = {name.removesuffix("_count") for name in metric_names()}
    assert set(asked) <= metric_names() | families


def test_prometheus_reads_the_alerts_and_the_panels(promtool: Any, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text())
    records = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions_of_dashboard())]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    promtool("check", "rules", "alerts.yaml", "panels.yaml", folder=tmp_path)


def test_the_alerts_fire_when_they_should_and_only_then(promtool: Any, tmp_path: Path) -> None:
    stage = '{namespace="ml", name="job", stage="train-one", pod="%s"}'
    job = '{namespace="ml", name="job"}'

    def case(series: dict[str, str], minutes: int, alert: str, labels: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [
                {"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": [{"exp_labels": one} for one in labels]}
            ],
        }

    def warning(**labels: str) -> dict[str, str]:
        return {"severity": "warning", **labels}

    stalled = warning(namespace="ml", name="job", stage="train-one")
    progress = "distillation_stage_progress_ratio" + stage
    budget = {
        "distillation_job_chip_hours" + job: "0+2x60",
        "distillation_job_budget_chip_hours" + job: "100x60",
    }
    alive = {'distillation_leader{pod="a"}': "1x100", 'distillation_leader{pod="b"}': "0x100"}
    conflicts = 'distillation_reconcile_errors_total{reason="Conflict"}'
    tests = [
        case({progress % "a": "0.4x100", progress % "b": "0.4x100"}, 60, "DistillationStageStalled", [stalled]),
        case({progress % "a": "0+0.001x100"}, 60, "DistillationStageStalled", []),
        case({progress % "a": "0.4x100"}, 20, "DistillationStageStalled", []),
        case({progress % "a": "1x100"}, 60, "DistillationStageStalled", []),
        case(budget, 40, "DistillationBudgetNear", []),
        case(budget, 50, "DistillationBudgetNear", [{"severity": "info", "namespace": "ml", "name": "job"}]),
        case(alive, 30, "DistillationNoLeader", []),
        case({'distillation_leader{pod="a"}': "0x100"}, 30, "DistillationNoLeader", [{"severity": "critical"}]),
        case({}, 30, "DistillationNoLeader", [{"severity": "critical"}]),
        case(
            {'distillation_reconcile_errors_total{reason="Forbidden"}': "0+60x100"},
            60,
            "DistillationReconcilesFail",
            [warning(reason="Forbidden")],
        ),
        case({conflicts: "0+60x100"}, 60, "DistillationReconcilesFail", []),
        case({'distillation_jobs{phase="Failed"}': "0x29 1x70"}, 35, "DistillationJobFailed", [{"severity": "info"}]),
        case({'distillation_jobs{phase="Failed"}': "0x29 1x70"}, 60, "DistillationJobFailed", []),
        case({"distillation_queue_depth": "200x100"}, 30, "DistillationQueueLong", [warning()]),
    ]  # fmt: skip
    (tmp_path / "alerts.yaml").write_text(_without_annotations(ALERTS.read_text()))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["alerts.yaml"], "tests": tests}))
    promtool("test", "rules", "tests.yaml", folder=tmp_path)


def _without_annotations(text: str) -> str:
    """The rules as they are; their texts are for people."""
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    return yaml.safe_dump(rules)

"""What a scanner of others finds in the manifests of chart and stages: nothing but what is excepted with a reason."""

import time
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from support.helm import BUILT, Helm
from support.scanner import Finding, jobs_of, scan, write_objects
from testbed import toolchain
from testbed.console import silence
from testbed.helm import CHART
from testbed.layout import CHECKOUT

GOLDEN = CHECKOUT / "tests" / "chart" / "golden"
CHILDREN = CHECKOUT / "tests" / "unit" / "manifests" / "golden"
EXCEPTIONS = CHECKOUT / "tests" / "chart" / "scanner-exceptions.yaml"
LONGEST_SECONDS = 60
"""Of one scan, with its environment made: more would be felt in the lane."""


class Scan(NamedTuple):
    """What one run told."""

    findings: set[Finding]
    passed: int
    seconds: float


class Exempted(NamedTuple):
    """A check that may fail, where, and why."""

    check: str
    where: list[str]
    why: str

    def covers(self, finding: Finding) -> bool:
        return finding.check == self.check and any(
            fnmatch(f"{finding.file} {finding.kind}", pattern) for pattern in self.where
        )


def exceptions() -> list[Exempted]:
    return [Exempted(**read) for read in yaml.safe_load(EXCEPTIONS.read_text())]


@pytest.fixture(scope="module")
def scanned(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """The golden manifests of the chart and of all stages, which other tests hold to be what is rendered."""
    toolchain.build(silence, ["scanner"])
    folder = tmp_path_factory.mktemp("manifests")
    for path in GOLDEN.glob("*.yaml"):
        write_objects(folder / f"chart-{path.name}", list(yaml.safe_load_all(path.read_text())))
    for path in CHILDREN.glob("*/*.yaml"):
        write_objects(folder / f"stage-{path.parent.name}-{path.name}", jobs_of(yaml.safe_load(path.read_text())))
    policies = ("--show-only", "templates/stage-networkpolicy.yaml", "--set", "namespaces={demo,ml}")
    rendered = helm("template", "distillation", str(CHART), "--kube-version", "1.34.4", *BUILT, *policies)
    write_objects(folder / "policies.yaml", [made for made in yaml.safe_load_all(rendered.stdout) if made])
    begun = time.monotonic()
    findings, passed = scan(folder)
    return Scan(findings, passed, time.monotonic() - begun)


def test_nothing_is_found_but_what_is_excepted(scanned: Scan) -> None:
    allowed = exceptions()
    left = {finding for finding in scanned.findings if not any(one.covers(finding) for one in allowed)}
    assert left == set()


def test_no_exception_is_there_for_nothing(scanned: Scan) -> None:
    unused = [
        (one.check, pattern)
        for one in exceptions()
        for pattern in one.where
        if not any(one._replace(where=[pattern]).covers(finding) for finding in scanned.findings)
    ]
    assert unused == []


def test_each_exception_says_why() -> None:
    for one in exceptions():
        assert len(one.why) > 40, one.check


def test_every_manifest_was_looked_at_in_little_time(scanned: Scan) -> None:
    manifests = len(list(GOLDEN.glob("*.yaml"))) + len(list(CHILDREN.glob("*/*.yaml")))
    assert scanned.passed > 50 * manifests
    assert scanned.seconds < LONGEST_SECONDS


def test_the_scanner_would_tell(tmp_path: Path) -> None:
    """Of a stage's pod that is otherwise as it is: a scanner that sees no pod in the file would pass all."""
    spoilt = {
        "CKV_K8S_19": {"hostNetwork": True},
        "CKV_K8S_17": {"hostPID": True},
        "CKV_K8S_23": {"securityContext": {"runAsNonRoot": False}},
    }
    for check, member in spoilt.items():
        [made] = jobs_of(yaml.safe_load((CHILDREN / "smollm2-cpu" / "train-teacher-data.yaml").read_text()))
        made["spec"]["template"]["spec"].update(member)
        write_objects(tmp_path / f"{check}.yaml", [made])
    findings, _ = scan(tmp_path)
    assert {(check, check) for check in spoilt} <= {(finding.check, finding.file) for finding in findings}

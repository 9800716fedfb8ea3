"""The repository uses the hook that it offers, and its hooks need no other host."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIGURATION = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
HOOKS: dict[str, dict[str, Any]] = {hook["id"]: hook for repo in CONFIGURATION["repos"] for hook in repo["hooks"]}


def test_no_hook_is_downloaded() -> None:
    assert [repo["repo"] for repo in CONFIGURATION["repos"]] == ["local"]
    assert {hook["language"] for hook in HOOKS.values()} == {"system"}


def test_it_runs_the_hook_that_it_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    [offered] = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())
    used = HOOKS[offered["id"]]
    assert used["entry"] == f"build/dev/bin/{offered['entry']}"
    assert used["types"] == offered["types"]
    monkeypatch.chdir(CHECKOUT)
    examples = [str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "examples").rglob("*.yaml")]
    files = [path for path in examples if re.search(used["files"], path)]
    assert len(files) == len(examples) > 0
    assert main([*shlex.split(used["entry"])[1:], *files]) == 0

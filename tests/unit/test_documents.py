"""README and docs tell what is true: their local commands are run, their manifests validated, their names exist."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from cluster.wrong_manifests import changed, put
from distillation_api.schemas.reference import reference
from distillation_api.spec import DistillationJobSpec
from distillation_operator.cli import main
from distillation_operator.commands.validation import validate
from distillation_operator.controller.metrics import Metrics
from distillation_operator.pipeline.graph import build_pipeline

CHECKOUT = Path(__file__).resolve().parents[2]
CHART = CHECKOUT / "charts" / "distillation-operator"
PAGES = sorted(page for folder in (".", "docs", "images") for page in (CHECKOUT / folder).glob("*.md"))
COMMAND = re.compile(r"^build/dev/bin/distillation-operator ([^>\n]+?)(?: > \S+)?$", re.MULTILINE)
"""What is printed may go to a file."""


def name(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Page and text of each fenced block of a language."""
    for page in PAGES:
        for text in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield name(page), text


COMMANDS = sorted({command for _, text in blocks("sh") for command in COMMAND.findall(text)})


@pytest.mark.parametrize("command", COMMANDS)
def test_local_commands_work(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(CHECKOUT)
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out


def test_there_are_commands_and_each_is_one_that_is_run() -> None:
    assert len(COMMANDS) >= 4
    lines = [line.split("#")[0].strip() for _, text in blocks("sh") for line in text.splitlines()]
    unknown = [
        line for line in lines if line and not line.startswith(("make ", "build/dev/bin/distillation-operator "))
    ]
    assert not unknown, "a command of a cluster stands in a block of bash; these would have to be run"


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z][a-z0-9-]*)|^make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE))
        assert {one or other for one, other in named} <= targets, name(page)


def test_each_target_that_make_lists_is_explained_to_contributors() -> None:
    listed = set(re.findall(r"^([a-z][a-z0-9-]*):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    rows = re.findall(r"^\| `make ([a-z0-9-]+)` \|", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert listed <= set(rows)


def test_pages_that_are_typed_whole_have_what_the_readme_asks_of_a_cluster() -> None:
    """The first hour by test_first_hour, the steps of GKE by test_documented_cluster."""
    typed = re.findall(r"^\$ (.+)$", (CHECKOUT / "docs" / "first-hour.md").read_text(), re.MULTILINE)
    steps = [line for page, text in blocks("bash") if page == "docs/gke.md" for line in text.splitlines()]
    readme = [text for page, text in blocks("bash") if page == "README.md"]
    asked = [line for text in readme for line in text.splitlines() if line.startswith("kubectl ")]
    assert len(asked) == 7
    assert not set(asked) - {*typed, *steps}


def test_the_picture_of_the_stages_is_the_graph_of_the_guides_recipe() -> None:
    """Each arrow is a need, and together they order the stages as the needs do."""
    [picture] = [text for page, text in blocks("mermaid") if page == "docs/concepts.md"]
    labels = dict(re.findall(r'(\w+)\["([a-z-]+)', picture))
    arrows = re.findall(r"(\w+)(?:\[[^]]*\])? --> (\w+)", picture)
    drawn = {stage: {labels[start] for start, end in arrows if labels[end] == stage} for stage in labels.values()}

    manifest = yaml.safe_load((CHECKOUT / "examples" / "deepseek2-16b-to-llama2-7b.yaml").read_text())
    pipeline = build_pipeline(DistillationJobSpec.model_validate(manifest["spec"]))
    needs = {stage.name: set(stage.needs) for stage in pipeline.values()}
    assert drawn.keys() == needs.keys()
    assert not {stage: drawn[stage] - needs[stage] for stage in needs if drawn[stage] - needs[stage]}
    assert {stage: all_before(drawn, stage) for stage in needs} == {stage: all_before(needs, stage) for stage in needs}

    [thick] = re.findall(r"^ *class (\S+) chips$", picture, re.MULTILINE)
    assert {labels[node] for node in thick.split(",")} == {s.name for s in pipeline.values() if s.placement.chips}


def all_before(needs: dict[str, set[str]], stage: str) -> set[str]:
    """The stages that have ended when one starts."""
    return needs[stage].union(*(all_before(needs, need) for need in needs[stage]))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    found = {CHECKOUT / "README.md"}
    while found:
        page = found.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)", page.read_text())
        found |= {linked for link in links if (linked := (page.parent / link).resolve()).exists()} - reached
    assert not set(PAGES) - reached


def test_each_command_of_the_help_stands_on_the_page_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = set(re.findall(r"^  ([a-z]+) ", capsys.readouterr().out, re.MULTILINE))
    named = set(re.findall(r"`([a-z]+)`|\[([a-z]+)\.md\]", (CHECKOUT / "docs" / "command-line.md").read_text()))
    assert commands - {one or other for one, other in named} == set()


@pytest.mark.parametrize("page", ["README.md", "images/README.md"])
def test_the_images_that_are_to_be_built_are_those_that_the_chart_takes(page: str) -> None:
    text = (CHECKOUT / page).read_text()
    files = {path.parent.name for path in (CHECKOUT / "images").glob("*/Dockerfile")}
    assert set(re.findall(r"REGISTRY/([a-z]+)", text)) == files
    for build in re.findall(r"^buildah build --file (\S+)", text, re.MULTILINE):
        assert (CHECKOUT / build).exists()


def test_rows_that_are_shown_as_json_have_the_columns_that_the_page_names() -> None:
    [text] = [text for page, text in blocks("json") if page == "docs/data.md"]
    conversation, question = map(json.loads, text.splitlines())
    assert [sorted(turn) for turn in conversation["messages"]] == [["content", "role"]] * 2
    assert set(question) == {"question", "answer"}


@pytest.mark.parametrize(("page", "text"), list(blocks("yaml")))
def test_manifests_are_valid(page: str, text: str) -> None:
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and document.get("kind") == "DistillationJob":
            assert validate(document) == []
        elif isinstance(document, dict) and document.keys() in ({"dataset"}, {"generation"}, {"pod"}, {"preview"}):
            [(member, value)] = document.items()
            assert validate(changed(put(f"spec.{member}", value))) == []
        elif isinstance(document, dict) and "namespaces" in document:
            jsonschema.validate(document, json.loads((CHART / "values.schema.json").read_text()))
        else:
            assert isinstance(document, dict) and (document.get("kind") or document.get("repos"))


def test_the_hook_that_is_named_exists() -> None:
    [hook] = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())
    repositories = [repo for _, text in blocks("yaml") if "repos:" in text for repo in yaml.safe_load(text)["repos"]]
    named = {used["id"] for repo in repositories for used in repo["hooks"]}
    assert named == {hook["id"]}


def test_the_reference_is_current() -> None:
    assert (CHECKOUT / "docs" / "api.md").read_text() == reference(), "run `make generate`"


def test_the_metrics_that_are_documented_are_those_that_there_are() -> None:
    metrics = Metrics()
    metrics.watch_queue(lambda: 0)
    metrics.watch_jobs(lambda: [])
    metrics.watch_cache(lambda: 0)
    there = {metric.name for metric in metrics.registry.collect()}
    text = (CHECKOUT / "docs" / "operations.md").read_text()
    documented = {found.removesuffix("_total") for found in re.findall(r"\bdistillation_[a-z_]+", text)}
    assert documented == there

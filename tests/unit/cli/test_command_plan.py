"""``plan``: the guide's recipe as golden text, and what can be left out."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from cluster.wrong_manifests import GOOD, changed, drop, put
from distillation_api.resource import DistillationJob
from distillation_operator.cli import main
from distillation_operator.commands.plan import peak_chips
from distillation_operator.pipeline.graph import build_pipeline

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
GUIDE = EXAMPLES / "deepseek2-16b-to-llama2-7b.yaml"
V5E = "tpu-v5-lite-podslice 2x4, 8 chips per host"
V5P = "tpu-v5p-slice 2x2x1, 4 chips per host"
FETCHER, CONVERTER, TEACHER, TRAINER = (
    f"distillation-operator/{name}:dev" for name in ("fetcher", "converter", "teacher", "trainer")
)

# Stage, what it needs, workload, pods, chips, machines, image.
ORIGINAL = "train-teacher-data, fetch-student, pack-original-data"
EVALUATED = "fetch-student, export, export-teacher-data, fetch-teacher, generate"
GOLDEN = [
    ("fetch-teacher", "-", "Job", "1", "0", "CPU", FETCHER),
    ("fetch-student", "-", "Job", "1", "0", "CPU", FETCHER),
    ("prepare-dataset", "-", "Job", "1", "0", "CPU", FETCHER),
    ("convert-student", "fetch-student", "Job", "1", "0", "CPU", CONVERTER),
    ("preflight", "fetch-teacher, fetch-student, prepare-dataset", "Job", "1", "0", "CPU", CONVERTER),
    ("generate", "fetch-teacher, prepare-dataset, preflight", "Indexed Job", "4", "32", V5E, TEACHER),
    ("pack-teacher-data", "fetch-student, generate, preflight", "Job", "1", "0", "CPU", CONVERTER),
    (
        "train-teacher-data",
        "convert-student, fetch-student, pack-teacher-data, preflight",
        "JobSet",
        "1",
        "4",
        V5P,
        TRAINER,
    ),
    ("export-teacher-data", "train-teacher-data, fetch-student", "Job", "1", "0", "CPU", CONVERTER),
    ("pack-original-data", "fetch-student, prepare-dataset, preflight", "Job", "1", "0", "CPU", CONVERTER),
    ("train-original-data", f"{ORIGINAL}, preflight", "JobSet", "1", "4", V5P, TRAINER),
    ("export", "train-original-data, fetch-student", "Job", "1", "0", "CPU", CONVERTER),
    ("evaluate", EVALUATED, "Job", "1", "0", "CPU", CONVERTER),
    ("publish", "export, evaluate", "Job", "1", "0", "CPU", FETCHER),
]


def rows(text: str) -> list[tuple[str, ...]]:
    """The cells of the table; two spaces or more are between columns, one is inside a cell."""
    table = text.split("\n\n")[1].splitlines()
    return [tuple(cell.strip() for cell in line.split("  ") if cell.strip()) for line in table]


def test_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(GUIDE)]) == 0
    summary, *manifests = capsys.readouterr().out.split("---\n")
    header, *stages = rows(summary)
    assert header == ("STAGE", "NEEDS", "WORKLOAD", "PODS", "CHIPS", "MACHINES", "IMAGE", "FINGERPRINT")
    assert [cells[:-1] for cells in stages] == GOLDEN
    assert "ml/deepseek2-16b-to-llama2-7b: 14 stages." in summary
    assert "Chips at peak: 32, through Kueue's LocalQueue tpu-queue." in summary
    assert len(manifests) == len(GOLDEN)


def test_the_manifests_alone_are_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--manifests", "--trainer-image", "registry/trainer@sha256:1", str(GUIDE)]) == 0
    children = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [(child["kind"], child["metadata"]["namespace"]) for child in children[5:8]] == [
        ("Job", "ml"),
        ("Job", "ml"),
        ("JobSet", "ml"),
    ]
    slices = children[7]["spec"]["replicatedJobs"][0]["template"]["spec"]
    (container,) = slices["template"]["spec"]["containers"]
    assert container["image"] == "registry/trainer@sha256:1"
    assert container["resources"]["limits"]["google.com/tpu"] == "4"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_summary_of_each_example(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--summary", str(file)]) == 0
    text = capsys.readouterr().out
    assert "Chips at peak" in text
    assert "---" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_namespace_fills_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    assert main(["plan", "--summary", "-n", "team", str(file)]) == 0
    assert "DistillationJob team/good: " in capsys.readouterr().out


def test_another_namespace_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-n", "team", str(GUIDE)]) == 1
    assert "its namespace is ml, not team" in capsys.readouterr().err


def test_a_wrong_manifest_has_no_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(changed(drop("spec.student"))))
    assert main(["plan", str(file)]) == 1
    assert "spec.student: Required value" in capsys.readouterr().err


def test_stages_that_do_not_wait_for_each_other_count_together() -> None:
    """A first stage on the original data trains while the teacher still generates."""
    in_turn = changed()
    at_once = changed(put("spec.training.stages[0].data", "OriginalDataset"))
    peaks = [peak_chips(build_pipeline(DistillationJob.parse(job).spec)) for job in (in_turn, at_once)]
    generation, training = 4 * 8, 2 * 8
    assert peaks == [generation, generation + training]


def test_the_cost_at_measured_rates(capsys: pytest.CaptureFixture[str]) -> None:
    rates = ["--rate", "generate=10", "--rate", "train-teacher-data=0.5"]
    assert main(["plan", "--summary", *rates, str(GUIDE)]) == 0
    # 20,000 rows at 10 a second on 32 chips; 200 steps at one in two seconds on 4.
    *_, work, time, line = capsys.readouterr().out.splitlines()
    assert work == "Work: generate 20,000 answers, train-teacher-data 200 steps, train-original-data 200 steps."
    assert time == (
        "Time at these rates, without starts and waiting: generate 33 min 20 s, train-teacher-data 6 min 40 s; "
        "40 min 0 s one after another."
    )
    assert line.startswith("Chip-hours at these rates: generate 17.8, train-teacher-data 0.4; 18.2 in all.")
    assert line.endswith("if each of the 2 retries starts anew at the very end: 54.7; there is no budget.")


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        ("train-none=1", "no such stage; there are fetch-teacher"),
        ("export=1", "only generation and training stages have a rate"),
    ],
)
def test_a_rate_of_what_has_none(capsys: pytest.CaptureFixture[str], rate: str, told: str) -> None:
    assert main(["plan", "--summary", "--rate", rate, str(GUIDE)]) == 1
    assert told in capsys.readouterr().err


def test_the_cost_of_a_training_by_epochs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows and batch are known, so its steps are, but for what packing saves."""
    changes = [
        put("spec.dataset.limit", 1064),
        put("spec.generation.sampling", {"samplesPerPrompt": 2}),
        put("spec.training.stages[0].epochs", 3),
        put("spec.training.stages[0].perDeviceBatchSize", 1),
        put("spec.training.stages[0].gradientAccumulationSteps", 2),
        drop("spec.training.stages[0].steps"),
    ]
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(changed(*changes)))
    assert main(["plan", "--summary", "--rate", "train-first=0.5", str(file)]) == 0
    out = capsys.readouterr().out
    # 1064 rows without a holdout of 64, twice answered, read three times by 16 devices in two batches.
    assert "Work: generate 2,128 answers, train-first at most 187 steps, train-second 10 steps." in out
    assert "train-first 6 min 14 s." in out
    assert "Chip-hours at these rates: train-first 1.7;" in out


def test_without_a_limit_the_work_by_rows_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    by_epochs = [put(f"spec.training.stages[{number}].epochs", 1) for number in (0, 1)]
    no_steps = [drop(f"spec.training.stages[{number}].steps") for number in (0, 1)]
    file.write_text(yaml.safe_dump(changed(*by_epochs, *no_steps)))
    assert main(["plan", "--summary", str(file)]) == 0
    assert "The work isn't known before dataset.limit is set" in capsys.readouterr().out
    assert main(["plan", "--summary", "--rate", "train-first=1", str(file)]) == 1
    assert "--rate train-first: its rows are not known before dataset.limit is set" in capsys.readouterr().err


def test_without_rates_it_is_said_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--summary", str(EXAMPLES / "llama3-8b-to-1b.yaml")]) == 0
    out = capsys.readouterr().out
    assert "Work: generate 20,000 answers, train-teacher-data at most 623 steps." in out
    assert "plan FILE --rate generate=NUMBER --rate train-" in out
    assert "answers or steps per second, as watch shows them while a stage runs" in out


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_plan_fits_80_columns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, width=80, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr("distillation_operator.commands.plan.Console", lambda **_: terminal)
    assert main(["plan", "--summary", str(file)]) == 0
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    stages = build_pipeline(DistillationJob.parse(yaml.safe_load(file.read_text())).spec)
    # Each stage's name stands whole at the beginning of a line.
    assert {line.split()[0] for line in lines if line.strip()} >= set(stages)
    assert "shows workload, image, fingerprint too" in " ".join(screen.getvalue().split())


@pytest.mark.parametrize("rate", ["generate", "generate=0", "=1", "generate=fast", "generate=inf"])
def test_what_is_no_rate(capsys: pytest.CaptureFixture[str], rate: str) -> None:
    with pytest.raises(SystemExit):
        main(["plan", "--rate", rate, str(GUIDE)])
    assert "is no STAGE=NUMBER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("Stop", "then no pod runs until preview.then is Continue"),
        ("Continue", "then the job goes on by itself"),
    ],
)
def test_a_preview_is_told_with_its_stages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], then: str, told: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(changed(put("spec.preview", {"rows": 32, "then": then}))))
    assert main(["plan", str(file)]) == 0
    summary = capsys.readouterr().out.split("---\n")[0]
    assert f"Preview: 32 rows and 5 steps of each training stage first; {told}." in summary
    assert "preview-evaluate" in summary


def test_a_preview_has_no_rate_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(changed(put("spec.preview", {}))))
    assert main(["plan", str(file), "--rate", "preview-generate=3"]) != 0
    assert "a preview measures its own rates" in capsys.readouterr().err

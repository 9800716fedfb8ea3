"""``local`` with tiny real processes in place of the stage programs: exits, signals, restarts, refusals."""

import json
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from distillation_api.resource import DistillationJob
from distillation_operator.cli import main
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.local import SUSPENDED
from distillation_operator.commands.watch import ended
from distillation_operator.commands.watch_file import follow
from distillation_operator.local.leftovers import end_leftovers, mark_of_job, marked
from distillation_operator.local.signals import Signals
from distillation_operator.pipeline.graph import build_pipeline
from support import fake_stage
from support.eventually import eventually
from support.local_place import JOB, STATUS, Place
from support.scenario import ALL


def test_a_job_goes_through_all_of_its_stages(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.local() == 0
    out = capsys.readouterr().out
    assert "ml/job: Complete." in out
    thing = place.folder.read()
    assert thing is not None
    jsonschema.validate(thing["status"], STATUS)
    pipeline = build_pipeline(DistillationJob.parse(thing).spec)
    assert {s["name"]: (s["state"], s["fingerprint"], s["directory"]) for s in thing["status"]["stages"]} == {
        stage.name: ("Complete", stage.fingerprint, stage.output) for stage in pipeline.values()
    }
    assert {path.name for path in place.folder.logs.iterdir()} == {f"{name}-0-0.log" for name in ALL}
    assert '"progress"' in place.folder.log("evaluate", 0, 0).read_text()
    # Nothing is done again, and who watches it sees its end.
    assert place.local() == 0
    assert place.starts("evaluate") == ["success"]
    assert main(["watch", str(place.folder.path)]) == 0
    assert "evaluate: Complete" in capsys.readouterr().out


def test_shards_are_processes_with_an_index_each(place: Place) -> None:
    place.asks(generation={"shards": 3})
    assert place.local() == 0
    assert len(place.starts("generate")) == 3
    assert {path.name for path in place.folder.logs.glob("generate-*")} == {f"generate-0-{i}.log" for i in range(3)}


def test_a_crash_is_told_with_the_end_of_the_log_and_tried_again_at_the_users_word(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.ends("pack-two", "crash")
    assert place.local() == 1
    err = capsys.readouterr().err
    assert "Failed. Stage pack-two: job-pack-two-0-0: exit code 1: " in err
    assert "out of luck" in err
    assert err.endswith("the same command with --retry pack-two\n")
    assert place.local() == 1, "what has failed stays so"
    capsys.readouterr()
    assert place.local("--retry", "generate") == 1
    assert "--retry generate: failed has pack-two" in capsys.readouterr().err
    assert place.starts("pack-two") == ["crash"]
    assert place.local("--retry", "pack-two") == 0
    assert place.stage("pack-two")["attempt"] == 1
    assert place.starts("fetch-teacher") == ["success"]


def test_a_programs_verdict_is_final(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.asks(retries={"failures": 5})
    place.ends("preflight", "permanent")
    assert place.local() == 1
    assert "Failed. Stage preflight: No such column." in capsys.readouterr().err
    assert place.stage("preflight")["reason"] == "MissingColumn"


def test_a_program_that_cannot_be_started_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    program = place.root / "trainer"
    program.write_text("#!/nowhere/python\n")
    program.chmod(0o755)
    assert place.local("--python", f"trainer={program}") == 1
    assert "the program could not be started" in capsys.readouterr().err


def test_processes_have_what_pods_have_and_no_token_that_the_manifest_gives_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HF_TOKEN": "of the shell", "AWS_SECRET_ACCESS_KEY": "s", "HTTPS_PROXY": "http://proxy", "no_proxy": "here",
        "PYTHONPATH": "/of/the/shell", "THE_TOKEN": "hf_1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    env = [{"name": "COST", "value": "$(HOME) costs $5"}, {"name": "KEY", "secret": {"secretName": "s", "key": "k"}}]
    place.asks(huggingFaceToken={"secretName": "hub", "key": "token"}, pod={"env": env})
    secret = place.root / "key"
    secret.write_text("of a file\n")
    for stage in ("fetch-teacher", "train-one"):
        place.ends(stage, "environment")
    assert place.local("--cores", "3", "--secret", "hub/token=env:THE_TOKEN", "--secret", f"s/k=file:{secret}") == 0
    fetch, train = (
        json.loads((place.storage / fake_stage.FOLDER / f"{stage}.json").read_text())
        for stage in ("fetch-teacher", "train-one")
    )
    assert (fetch["HF_TOKEN"], train.get("HF_TOKEN")) == ("hf_1", None)
    assert train["HF_HUB_OFFLINE"] == "1"
    assert (train["COST"], train["KEY"]) == ("$(HOME) costs $5", "of a file")
    assert (train["HTTPS_PROXY"], train["no_proxy"]) == ("http://proxy", "here")
    assert not {"AWS_SECRET_ACCESS_KEY", "THE_TOKEN"} & train.keys()
    assert train["PYTHONPATH"] != "/of/the/shell"
    assert (train["OMP_NUM_THREADS"], train["JAX_PLATFORMS"]) == ("3", "cpu")
    assert (train["WRITER"], train["STORAGE_MOUNT"]) == (place.uid, str(place.storage))
    assert train["HOME"] == train["TMPDIR"] == train["SCRATCH"]
    kept = [path for path in place.storage.rglob("*") if path.is_file() and path.parent.name != fake_stage.FOLDER]
    assert not [path for path in kept if b"hf_1" in path.read_bytes() or b"of a file" in path.read_bytes()]
    scratch = Path(train["SCRATCH"])
    assert not scratch.exists() and len(str(scratch)) < 70


@pytest.mark.parametrize("end", ["hang", "orphan"])
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(place: Place, end: str) -> None:
    place.ends("convert-student", end)
    process = place.begin()
    eventually("the stage runs", lambda: place.starts("convert-student"), pause=0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "the same command goes on" in output
    assert not marked(mark_of_job(place.folder.owner))
    assert place.local() == 0
    assert place.starts("fetch-student") == ["success"]
    assert place.starts("convert-student") == [end, "success"]
    assert place.stage("convert-student")["attempts"] == {"failures": 0, "disruptions": 0}


def pid_of(orphan: Path) -> int | None:
    """The process that writes this file, once it has."""
    words = orphan.read_text().split() if orphan.exists() else []
    return int(words[0]) if words else None


def test_what_a_killed_local_leaves_behind_is_ended_before_anything_is_started(place: Place) -> None:
    place.ends("convert-student", "orphan")
    process = place.begin()
    orphan = place.storage / fake_stage.FOLDER / fake_stage.ORPHAN
    pid = eventually("it has started a process", lambda: pid_of(orphan), pause=0.05)
    process.kill()
    process.communicate(timeout=60)
    eventually("its parent has ended with local", lambda: marked(mark_of_job(place.folder.owner)) == [pid])
    said: list[str] = []
    with Signals() as signals:
        end_leftovers(place.folder.owner, said.append, signals, patience=0.1)
    assert str(pid) in said[0]
    assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] in "ZX"
    assert place.local() == 0


def test_a_suspended_job_rests_until_its_file_is_changed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.asks(suspend=True)
    assert place.local() == SUSPENDED
    assert "Suspended." in capsys.readouterr().out
    assert place.starts("fetch-teacher") == []
    place.asks(suspend=False)
    assert place.local() == 0
    thing = place.folder.read() or {}
    assert thing["metadata"]["generation"] == 2
    assert thing["status"]["observedGeneration"] == 2


def test_a_change_that_the_api_server_would_refuse_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.local() == 0
    before = place.folder.status_file.read_text()
    place.asks(generation={"shards": 2})
    assert place.local() == 1
    assert "spec.generation: Invalid value: generation can't be changed" in capsys.readouterr().err
    assert place.folder.status_file.read_text() == before


def test_a_spec_that_was_stored_before_a_member_had_a_default_is_the_same(place: Place) -> None:
    assert place.local() == 0
    with place.folder.locked():
        thing = place.folder.read() or {}
        del thing["spec"]["generation"]["shards"], thing["spec"]["suspend"]
        place.folder.write(thing)
    assert place.local() == 0
    assert (place.folder.read() or {})["metadata"]["generation"] == 1


TPU = {"type": "tpu-v6e-slice", "topology": "2x2"}
TWO = {"name": "one", "steps": 10, "hosts": 2, "parallelism": {"fsdp": 2}}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"queue": {"name": "tpus"}}, "spec.queue: Invalid value: tpus: "),
        (
            {"generation": {"accelerator": TPU}},
            "spec.generation.accelerator: Invalid value: tpu-v6e-slice 2x2, 4 chips",
        ),
        ({"training": {"stages": [TWO]}}, "spec.training.stages[0].hosts: Invalid value: 2: this is one host"),
        (
            {"training": {"accelerator": {**TPU, "topology": "4x4"}, "stages": [{"name": "one", "steps": 10}]}},
            "spec.training.accelerator: Invalid value: tpu-v6e-slice 4x4, 4 hosts",
        ),
    ],
)
def test_what_only_a_cluster_has_is_refused_before_anything_starts_and_left_out_at_the_users_word(
    place: Place, members: dict[str, Any], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.asks(**members)
    assert place.local() == 1
    err = capsys.readouterr().err
    assert field in err
    assert "--ignore-accelerators" in err
    assert not place.folder.path.exists()
    assert place.local("--ignore-accelerators") == 0
    assert "--ignore-accelerators: on the CPU of one host, without spec." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 DistillationJobs"),
        ("kind: [", "is not YAML"),
        ("{kind: DistillationJob, apiVersion: distillation.dev/v1alpha1, metadata: {name: a}}", "spec: Required value"),
        ("{kind: DistillationJob, apiVersion: distillation.dev/v1alpha1, metadata: null}", "metadata: Required value"),
    ],
)
def test_a_file_without_a_job_is_refused(
    place: Place, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.file.write_text(text)
    assert place.local() == 1
    assert words in capsys.readouterr().err


def test_a_job_whose_name_the_api_server_would_make_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    thing = yaml.safe_load(place.file.read_text())
    thing["metadata"] = {"generateName": "a-", "annotations": None}
    thing["spec"]["suspend"] = None
    place.file.write_text(yaml.safe_dump(thing))
    assert place.local() == 1
    assert "metadata.name: Required value" in capsys.readouterr().err
    thing["metadata"]["name"] = JOB
    place.file.write_text(yaml.safe_dump(thing))
    assert place.local() == 0


def test_a_secret_that_is_not_given_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.asks(huggingFaceToken={"secretName": "hub", "key": "token"})
    assert place.local() == 1
    assert "spec.huggingFaceToken: Invalid value: hub/token: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cores", "0"], "--cores 0"),
        (["--python", "baker=/bin/sh"], "baker"),
        (["--python", "teacher=/nowhere"], "--python teacher=/nowhere"),
        (["--secret", "s/k=value"], "NAME/KEY=env:VARIABLE"),
        (["--secret", "s/k=env:NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        (["--secret", "s/k=file:/nowhere"], "/nowhere"),
    ],
)
def test_wrong_options_are_named(
    place: Place, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.local(*options) == 1
    assert words in capsys.readouterr().err
    assert not place.folder.path.exists()


def test_a_folder_of_somebody_else_is_left_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.folder.path.mkdir()
    (place.folder.path / "thesis.tex").touch()
    assert place.local() == 1
    assert "give the job another metadata.name" in capsys.readouterr().err
    assert [path.name for path in place.folder.path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kind: {",
        "kind: DistillationJob\n",
        "\xff\xfe",
        "a: !!python/object:x.y {}",
        "a: !!bool x",
        "a: !!timestamp x",
    ],
)
def test_a_status_that_is_none_is_told_and_kept(place: Place, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with place.folder.locked():
        place.folder.status_file.write_text(text, encoding="latin-1")
    assert place.local() == 1
    err = capsys.readouterr().err
    assert str(place.folder.status_file) in err
    assert "is not what `local` writes" in err or "can't be read" in err
    assert place.folder.status_file.read_text(encoding="latin-1") == text
    place.folder.status_file.unlink()


@pytest.mark.parametrize("text", ["{", '[{"name": 1}]'])
def test_attempts_that_cannot_be_read_are_found_again(place: Place, text: str) -> None:
    place.ends("pack-two", "crash")
    assert place.local() == 1
    (place.folder.path / "attempts.json").write_text(text)
    assert place.local("--retry", "pack-two") == 0


def test_a_job_that_no_local_works_at_is_followed_until_one_does(place: Place) -> None:
    with place.folder.locked():
        pass
    with pytest.raises(CommandError, match=r"has no status\.yaml"):
        follow(place.folder, Recorder())
    place.asks(suspend=True)
    assert place.local() == SUSPENDED
    place.asks()
    view = Recorder()
    last = follow(place.folder, view, sleep=lambda seconds: assert_complete(place.local()))
    assert ended(last) == "Complete"
    assert view.phases == ["Suspended", "Complete"]
    assert ["started again it goes on" in text for text in view.told] == [True]


class Recorder:
    """A view that remembers."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.told: list[str] = []

    def show(self, job: dict[str, Any]) -> None:
        self.phases.append(job["status"]["phase"])

    def tell(self, text: str) -> None:
        self.told.append(text)


def assert_complete(code: int) -> None:
    assert code == 0


def test_a_reader_that_has_seen_enough_ends_the_work(place: Place) -> None:
    place.ends("convert-student", "hang")
    process = place.begin()
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 1


def test_processes_share_the_cores(place: Place) -> None:
    """Three stages could run at first; two cores take two of those that ask for one."""
    place.asks(conversion={"resources": {"cpu": "1", "memory": "1Mi"}})
    for stage in ("fetch-teacher", "fetch-student", "prepare-dataset"):
        place.ends(stage, "hang")
    process = place.begin("--cores", "2")
    waits = eventually("one waits", lambda: place.stage("prepare-dataset").get("message"))
    assert waits == "waits for room on this machine: it asks for 1 cores, 0 of 2 are free"
    assert place.starts("prepare-dataset") == []
    progress = eventually("progress", lambda: place.stage("fetch-teacher").get("progress"))
    assert progress == {"done": 1, "total": 4, "unit": "rows"}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143

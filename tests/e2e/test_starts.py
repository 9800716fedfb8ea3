"""Where the teacher's start goes, by vLLM's own log, and what JAX's log says of a cache in another process."""

import json
import subprocess
from pathlib import Path

import pytest

from distillation_api.contract import GenerateProgram, Sampling, StageResult, StageSpec
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter, run_stage
from e2e.training_storage import copy_of, counting_rows

ROWS, HOLDOUT = 6, 2


@pytest.mark.timeout(600)
def test_a_generation_tells_imports_and_weights_and_keeps_its_console_quiet(
    fetched_models: Storage, tmp_path: Path
) -> None:
    storage = copy_of(fetched_models, tmp_path / "storage")
    rows = counting_rows(ROWS + HOLDOUT)
    for split, part in (("train", rows[:ROWS]), ("holdout", rows[ROWS:])):
        write_table(storage.mount / "prepare" / split / "part-00000.parquet", PREPARED, part)
    outputs = {split: f"prepare/{split}" for split in ("train", "holdout")}
    storage.write_marker("prepare", StageResult(stage="prepare", fingerprint="p", outputs=outputs))
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=8, seed=1, keep_truncated=True)
    program = GenerateProgram(
        model="fetch-teacher", dataset="prepare", shards=1, chunk_rows=4, max_model_len=128, dtype="float32",
        sampling=sampling, max_lost_share=1.0,
    )  # fmt: skip
    spec = StageSpec(stage="generate", fingerprint="g", output="generate", program=program)
    log = tmp_path / "log"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JOB_COMPLETION_INDEX", "0")
        patched.setenv("SCRATCH", str(tmp_path))
        told = run_stage(interpreter("teacher"), spec, storage.mount, log).start_up
    assert told is not None
    assert told.imports > 1
    assert told.weights > 0
    assert told.seconds < 600
    # What vLLM keeps of a class that it has imported in a second process.
    assert not list(tmp_path.glob(".cache/vllm/modelinfos/*"))
    output = log.with_suffix(".out").read_text()
    assert "took" not in output
    assert json.loads(output.splitlines()[-1])["startUp"] == told.to_json_dict()


CACHED = """
import logging.config, sys
from pathlib import Path
from distillation_stages.programs.generate import engine_log
logging.config.dictConfig(engine_log._configuration(Path(sys.argv[1])))
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", -1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()
"""


@pytest.mark.timeout(300)
def test_what_jax_says_of_its_cache_is_counted_in_the_engines_log(tmp_path: Path) -> None:
    """As on TPUs, where vLLM's engine is a process of its own: its log alone tells."""
    counts = []
    for name in ("cold", "warm"):
        lines = tmp_path / f"{name}.log"
        command = [str(interpreter("trainer")), "-c", CACHED, str(lines), str(tmp_path / "cache")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(), timeout=200)
        assert "cache" not in (done.stdout + done.stderr).lower(), "debugging stays out of the console"
        text = lines.read_text()
        counts.append(tuple(text.count(sign) for sign in (" cache hit for ", "COMPILATION CACHE MISS for ")))
    (cold_hits, cold_misses), (warm_hits, warm_misses) = counts
    assert cold_misses > 0
    assert cold_hits == warm_misses == 0
    assert warm_hits == cold_misses

"""A small run of the chaos that ``make chaos`` makes with 200 jobs."""

from pathlib import Path

import pytest
from kubernetes import client

from chaos.chaos import Chaos
from testbed.cluster import Testbed


@pytest.mark.timeout(600)
def test_every_job_ends_as_its_script_says_and_nothing_is_made_twice(
    testbed: Testbed, api_client: client.ApiClient, tmp_path: Path
) -> None:
    outcome = Chaos(
        testbed, api_client, tmp_path, count=8, seed=7, quiet_seconds=10.0, kill_seconds=(15, 25),
        # One stage with three waits minutes for its next attempts while all other jobs have ended.
        most_evictions=1,
    ).run()  # fmt: skip
    assert outcome.good, outcome
    assert outcome.operatorKills > 1

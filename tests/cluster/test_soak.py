"""A short form of the soak that ``make soak`` makes for an hour with 300 jobs."""

from pathlib import Path

import pytest
from kubernetes import client

from soak.soak import Soak
from testbed.cluster import Testbed


@pytest.mark.timeout(300)
def test_faults_in_turns_lose_no_job_and_make_nothing_twice(
    testbed: Testbed, api_client: client.ApiClient, tmp_path: Path
) -> None:
    outcome = Soak(
        testbed, api_client, tmp_path, active=2, seconds=20.0, seed=3, longest_run=2.0,
        fault_seconds=(2.0, 4.0), calm_seconds=(1.0, 2.0),
    ).run()  # fmt: skip
    assert outcome.good, outcome
    assert outcome.jobs > 0 and sum(outcome.faults.values()) > 2

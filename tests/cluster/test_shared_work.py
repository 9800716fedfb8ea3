"""Two DistillationJobs of one namespace that need the same stages, on a real control plane."""

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import NAME, manifest, wait_state


def test_one_works_and_the_other_waits_until_it_is_done(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    other = manifest()
    other["metadata"]["name"] = "other"
    jobs.create(other)

    def of_other() -> dict[str, object]:
        stages = (jobs.get("other").get("status") or {}).get("stages") or []
        return next((dict(stage) for stage in stages if stage["name"] == "fetch-teacher"), {})

    eventually("the other waits", lambda: of_other().get("reason") == "WaitsForOtherJob")
    assert str(of_other()["message"]).startswith(
        f"Waits for DistillationJob {jobs.namespace}/{NAME}, which makes the same"
    )
    assert len(pods.of_stage("fetch-teacher")) == 1
    pods.succeed("fetch-teacher")
    wait_state(jobs, "fetch-teacher", "Complete")
    # Its own pod finds the work done, as the programs do.
    pods.succeed("fetch-teacher")
    eventually("the other's turn", lambda: of_other().get("state") == "Complete", 30)

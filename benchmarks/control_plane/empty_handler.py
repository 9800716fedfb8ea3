"""The least that an operator made with kopf can cost: a handler of DistillationJobs' events that does nothing.

``python -m benchmarks.control_plane.empty_handler KUBECONFIG COUNT`` prints a line once it has been given so many jobs,
and goes on until SIGTERM.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kopf

from benchmarks.control_plane.contender import PATIENCE_SECONDS, Activity, Settled
from distillation_api.resource import GROUP, PLURAL, VERSION
from support.measured_process import MeasuredProcess

GIVEN = "all were given"


class EmptyHandler(MeasuredProcess):
    """That operator as a process."""

    def __init__(self, kubeconfig: Path, jobs: int, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.control_plane.empty_handler", str(kubeconfig), str(jobs)]
        super().__init__(command, log, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    async def settle(self, seconds: float) -> Settled:
        """What it took, from now, to be given all jobs. Raises TimeoutError, and RuntimeError when it has ended."""
        activity, begun = Activity(self), time.monotonic()
        watching = asyncio.create_task(activity.watch())
        try:
            async with asyncio.timeout(seconds):
                while GIVEN not in self.text():
                    if self.exit_code() is not None:
                        raise RuntimeError(f"the empty handler has ended: {self.text()[-2000:]}")
                    await asyncio.sleep(0.25)
            await activity.quiet(PATIENCE_SECONDS)
        finally:
            watching.cancel()
        return Settled(activity.end_of_work() - begun, self.cpu_seconds(), self.memory(), self.peak_memory())


def main() -> None:
    """Handle events, and do nothing about them."""
    kubeconfig, count = sys.argv[1], int(sys.argv[2])
    os.environ["KUBECONFIG"] = kubeconfig
    registry, seen = kopf.OperatorRegistry(), set[str]()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def job_changed(event: Mapping[str, Any], **_: Any) -> None:
        if len(seen) < count:
            seen.add(event["object"]["metadata"]["uid"])
            if len(seen) == count:
                print(GIVEN, flush=True)

    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    asyncio.run(kopf.operator(registry=registry, settings=settings, standalone=True, clusterwide=True))


if __name__ == "__main__":
    main()

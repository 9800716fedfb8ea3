"""One operator that is measured: its process, its metrics, and when it has come to rest."""

import asyncio
import re
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp

from support.measured_process import MeasuredProcess
from support.operating import Operator
from testbed.cluster import Testbed

SAMPLE_SECONDS = 0.25
REMAINDER = 0.02
"""Share of the processor time that may come after the work: metrics are rendered for the benchmark."""
REMAINDER_SECONDS = 0.15
"""The same of little work."""
QUIET = 0.06
"""Share of a core over ``QUIET_SECONDS`` below which it is at rest."""
QUIET_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
"""With active jobs some work goes on for ever: when there is no rest for so long, what the metrics say is taken."""
RENDER_SECONDS = 5.0
"""The operator renders its metrics that often at most."""
WAITING = "distillation_queue_depth"
MIB = 2**20


class Settled(NamedTuple):
    """A process that has done what there was to do since it was started."""

    seconds: float
    """Until the last of it."""
    cpu_seconds: float
    memory: int
    peak: int

    def figures(self) -> dict[str, float]:
        """The same, rounded, as JSON has it."""
        return {
            "seconds": round(self.seconds, 1),
            "cpuSeconds": round(self.cpu_seconds, 1),
            "memoryMiB": round(self.memory / MIB),
            "peakMiB": round(self.peak / MIB),
        }


class Contender(Operator):
    """An operator for all namespaces, with its port."""

    def __init__(self, testbed: Testbed, source: Path, folder: Path, name: str, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        options = ("--port", str(self._port), *arguments)
        super().__init__(testbed.kubeconfig, None, folder / f"{name}.log", *options, replica=name, source=source)

    async def metrics(self) -> Mapping[str, float]:
        """Its metrics by name and labels; empty while it doesn't answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
                session.get(f"http://127.0.0.1:{self._port}/metrics") as answer,
            ):
                return parse_metrics(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return {}

    async def wait_for_jobs(self, count: int, seconds: float, acts: bool = True) -> None:
        """Wait until it knows so many jobs and, if it acts, none waits for a worker. Raises TimeoutError, and
        RuntimeError when the process has ended."""
        begun = time.monotonic()
        while True:
            self.check()
            seen = await self.metrics()
            known = sum(value for name, value in seen.items() if name.startswith("distillation_jobs{"))
            if known >= count and (not acts or seen.get(WAITING) == 0):
                return
            if time.monotonic() - begun > seconds:
                raise TimeoutError(f"{self.replica} knows {known:.0f} of {count} jobs after {seconds:.0f} s")
            await asyncio.sleep(1.0)

    async def settle(self, jobs: int, seconds: float, acts: bool = True) -> Settled:
        """What it took, from now, to look at all jobs; ``acts``: not of a replica that waits to lead, whose jobs wait
        too. Raises as ``wait_for_jobs``."""
        begun, started = time.monotonic(), self.cpu_seconds()
        activity = Activity(self)
        watching = asyncio.create_task(activity.watch())
        try:
            while True:
                await self.wait_for_jobs(jobs, seconds, acts)
                looked, cpu = time.monotonic(), self.cpu_seconds()
                if await activity.quiet(PATIENCE_SECONDS):
                    looked, cpu = activity.end_of_work(), self.cpu_seconds()
                # The metrics of before are given again for so long.
                await asyncio.sleep(RENDER_SECONDS)
                if not acts or (await self.metrics()).get(WAITING) == 0:
                    break
        finally:
            watching.cancel()
        return Settled(looked - begun, cpu - started, self.memory(), self.peak_memory())

    def check(self) -> None:
        """Raise RuntimeError when the process has ended."""
        if self.exit_code() is not None:
            raise RuntimeError(f"{self.replica} has ended with code {self.exit_code()}: {self.text()[-2000:]}")


class Activity:
    """When a process was last at work, by the processor time that it takes."""

    def __init__(self, process: MeasuredProcess) -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = [(time.monotonic(), process.cpu_seconds())]

    async def watch(self) -> None:
        """Look, until it is cancelled or the process has ended."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if self._process.exit_code() is not None:
                return
            self._samples.append((time.monotonic(), self._process.cpu_seconds()))

    async def quiet(self, seconds: float) -> bool:
        """Wait until it rests, at most so long; whether it does."""
        since = time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS or self._share(QUIET_SECONDS) > QUIET:
            if time.monotonic() - since > seconds:
                return False
            await asyncio.sleep(SAMPLE_SECONDS)
        return True

    def end_of_work(self) -> float:
        """When the process had used nearly all of the processor time that it has used until now; by the monotonic
        clock."""
        return end_of_work(self._samples)

    def _share(self, window: float) -> float:
        """Of a core, over that many seconds before the last sample."""
        now, used = self._samples[-1]
        earlier = next((one for one in reversed(self._samples) if now - one[0] >= window), self._samples[0])
        return (used - earlier[1]) / (now - earlier[0]) if now > earlier[0] else 1.0


def end_of_work(samples: Sequence[tuple[float, float]]) -> float:
    """The time of the first sample after which next to no processor time was used; samples are times and seconds
    used."""
    total = samples[-1][1] - samples[0][1]
    enough = samples[-1][1] - max(REMAINDER * total, REMAINDER_SECONDS)
    return next(when for when, used in samples if used >= enough)


_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) ([-+.\w]+)$", re.MULTILINE)


def parse_metrics(text: str) -> dict[str, float]:
    """The samples of Prometheus' text format, by name with labels."""
    return {name: float(value) for name, value in _SAMPLE.findall(text)}

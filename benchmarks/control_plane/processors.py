"""Who uses the machine's cores meanwhile: the parts of the control plane, and the benchmark itself."""

import time

from support.measured_process import cpu_seconds
from testbed.cluster import Testbed

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "jobset")


class Processors:
    """Processor time since this was made."""

    def __init__(self, testbed: Testbed) -> None:
        self._pids = {part: pid for part in PARTS if (pid := testbed.pid(part)) is not None}
        self._begun = time.monotonic()
        self._own = time.process_time()
        self._used = {part: cpu_seconds(pid) for part, pid in self._pids.items()}

    def shares(self) -> dict[str, float]:
        """Cores in use, on average, by part."""
        seconds = time.monotonic() - self._begun
        shares = {part: (cpu_seconds(pid) - self._used[part]) / seconds for part, pid in self._pids.items()}
        shares["benchmark"] = (time.process_time() - self._own) / seconds
        return {part: round(share, 2) for part, share in shares.items()}

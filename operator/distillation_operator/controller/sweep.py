"""Lists of the whole installation against which the cache is held: at the start, and again from time to time.

Watches tell what changes, and may miss that something went while they were broken. One list of each kind shows it for
all jobs; a list for each job would be thousands of calls.
"""

import asyncio
import logging
from collections.abc import Sequence

from distillation_operator.controller.cache import Cache
from distillation_operator.controller.kube import RESOURCES, ApiError, Kube
from distillation_operator.controller.queue import Key

PATIENCE = 5.0
"""Seconds without another job from the watch after which no more of them are waited for."""
LOOK = 0.05
log = logging.getLogger(__name__)


class Sweep:
    """Lists of all children in these namespaces, or in all when there is none."""

    def __init__(self, kube: Kube, cache: Cache, namespaces: Sequence[str]) -> None:
        self._kube = kube
        self._cache = cache
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    async def wait_for_jobs(self) -> None:
        """Wait until the watch has brought all jobs, or brings no more: the children of those that aren't known are
        passed over by a list of all.
        """
        loop = asyncio.get_running_loop()
        try:
            count = await self._count()
        except ApiError as error:
            log.warning("the jobs can't be counted: %s", error)
            return
        known, since = -1, loop.time()
        while self._cache.job_count < count and loop.time() - since < PATIENCE:
            if self._cache.job_count != known:
                known, since = self._cache.job_count, loop.time()
            await asyncio.sleep(LOOK)

    async def run(self) -> set[Key]:
        """List all children, and the jobs where some may be gone. Returns the jobs for which there was news. Raises
        ApiError.
        """
        changed = await self._drop_jobs()
        self._cache.begin_sweep()
        for kind in RESOURCES:
            for namespace in self._namespaces:
                changed |= await self._list(kind, namespace)
        self._cache.end_sweep()
        return changed

    async def _list(self, kind: str, namespace: str | None) -> set[Key]:
        changed, listed, version = set(), set(), None
        async for page in self._kube.list_pages(kind, namespace):
            version = page.version
            for child in page.items:
                listed.add((child["metadata"]["namespace"], child["metadata"]["name"]))
                key = self._cache.put_child(kind, child)
                if key is not None:
                    changed.add(key)
        return changed | self._cache.drop_unlisted(kind, namespace, listed, version)

    async def _drop_jobs(self) -> set[Key]:
        if await self._count() >= self._cache.job_count:
            return set()
        known = self._cache.uids()
        uids: dict[Key, str] = {}
        for namespace in self._namespaces:
            uids |= await self._kube.list_uids(namespace)
        gone = {key for key, uid in known.items() if uids.get(key) != uid and self._cache.uid(key) == uid}
        for key in gone:
            self._cache.drop_job(key)
        return gone

    async def _count(self) -> int:
        return sum([await self._kube.count_jobs(namespace) for namespace in self._namespaces])

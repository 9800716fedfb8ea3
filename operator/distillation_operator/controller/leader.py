"""Leadership by a Lease: of several replicas one acts, and the others are ready to.

The election is the Kubernetes client's own. What is added: no answer of the API server is waited for longer than the
lease allows, and ``seconds_left`` says for how long a write may still be sent. It is counted from before the renewal
was sent, and ends before another replica may take the lease: so a replica that was stopped, or cut off, for longer than
that writes nothing when it comes to itself.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection import electionconfig, leaderelection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

LEASE_SECONDS = 12
"""A lease that wasn't renewed for so long is another's to take."""
RENEW_SECONDS = 8
"""The leader gives up when it couldn't renew for so long."""
RETRY_SECONDS = 2
ANSWER_SECONDS = 4.0
"""A call about the lease is waited for so long."""

log = logging.getLogger(__name__)


class Leadership:
    """This replica's part in the election."""

    def __init__(self, api: ApiClient, namespace: str, name: str, identity: str) -> None:
        self._lock = _Lock(name, namespace, identity, api)

    def seconds_left(self) -> float:
        """For how long writes may be sent; 0 for a replica that doesn't lead."""
        renewed = self._lock.renewed
        return 0.0 if renewed is None else max(0.0, renewed + RENEW_SECONDS - time.monotonic())

    async def release(self) -> None:
        """Give the lease up, so that nobody has to wait until it has run out. For the end, when nothing is written any
        more.
        """
        if self._lock.renewed is not None:
            self._lock.renewed = None
            await self._lock.release()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, run ``lead``, and return, with it cancelled, when the lease is lost."""

        async def started() -> None:
            log.info("%s leads", self._lock.identity)
            await lead()

        async def stopped() -> None:
            self._lock.renewed = None
            log.warning("%s has lost the lease", self._lock.identity)

        config = electionconfig.Config(
            self._lock,
            lease_duration=LEASE_SECONDS,
            renew_deadline=RENEW_SECONDS,
            retry_period=RETRY_SECONDS,
            onstarted_leading=started,
            onstopped_leading=stopped,
        )
        await leaderelection.LeaderElection(config).run()


class _Lock(LeaseLock):
    """The Lease, with calls that end in time and remember when it was last ours."""

    renewed: float | None = None
    """By the monotonic clock, before the renewal was sent."""

    async def get(self, name: str, namespace: str) -> Any:
        try:
            return await asyncio.wait_for(super().get(name, namespace), ANSWER_SECONDS)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return False, ApiException(status=0, reason=str(error) or type(error).__name__)

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The client's own creation asks for pretty=True, which its own validation refuses (37.0).
        lease = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._renew(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        lease = self.lease_reference
        assert lease is not None, "read before"
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._renew(self.api_instance.replace_namespaced_lease(name, namespace, lease))

    async def release(self) -> None:
        """Let the Lease be nobody's, if it is still ours."""
        found, _ = await self.get(self.name, self.namespace)
        lease = self.lease_reference
        if not found or lease is None or lease.spec is None or lease.spec.holder_identity != self.identity:
            return
        lease.spec.holder_identity = None
        try:
            await asyncio.wait_for(
                self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease), ANSWER_SECONDS
            )
        except (ApiException, TimeoutError, aiohttp.ClientError, OSError) as error:
            log.warning("the lease was not given up: %s", getattr(error, "reason", None) or type(error).__name__)

    async def _renew(self, call: Awaitable[Any]) -> bool:
        begun = time.monotonic()
        try:
            await asyncio.wait_for(call, ANSWER_SECONDS)
        except (ApiException, TimeoutError, aiohttp.ClientError, OSError) as error:
            log.warning("the lease was not renewed: %s", getattr(error, "reason", None) or type(error).__name__)
            return False
        self.renewed = begun
        return True

"""The link between the host and a testbed: a veth pair with a small subnet of its own.

The host is .1 and the testbed .2, so its API server is reached from the host and from inside by one address, and
nothing else of the host's network is touched: there is no forwarding and no address translation, the testbed has no
way out. The route to .1 exists all the same, because Service addresses need some route before kube-proxy can
rewrite them.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.commands import output
from testbed.errors import TestbedError
from testbed.namespace import Namespace

_SLOTS = range(1, 255)


@dataclass(frozen=True)
class Subnet:
    """The subnet 10.99.<slot>.0/24."""

    slot: int

    @property
    def host(self) -> str:
        """The host's end."""
        return f"10.99.{self.slot}.1"

    @property
    def inside(self) -> str:
        """The testbed's end: node address, API server, DNS."""
        return f"10.99.{self.slot}.2"

    @property
    def link(self) -> str:
        """The name of the link on the host."""
        return f"testbed{self.slot}"


def connect(namespace: Namespace, preferred: str) -> Subnet:
    """Take a free subnet and connect the namespace; `preferred` makes the choice stable for one run folder."""
    for subnet in _free(preferred):
        if _claim(subnet, namespace):
            _address(subnet, namespace)
            return subnet
    raise TestbedError("no free subnet among 10.99.1.0/24 to 10.99.254.0/24")


def disconnect(subnet: Subnet) -> None:
    """Remove the link if the kernel hasn't yet: it does so some time after the namespace ended."""
    if exists(subnet):
        output(["ip", "link", "delete", subnet.link])


def exists(subnet: Subnet) -> bool:
    """Whether the link is on the host."""
    return any(link["ifname"] == subnet.link for link in _ip("link"))


def _free(preferred: str) -> Iterator[Subnet]:
    taken = {part["local"] for link in _ip("-4", "addr") for part in link["addr_info"]}
    taken |= {str(route["dst"]).partition("/")[0] for route in _ip("-4", "route")}
    first = zlib.crc32(preferred.encode()) % len(_SLOTS)
    for slot in [*_SLOTS[first:], *_SLOTS[:first]]:
        if not any(address.startswith(f"10.99.{slot}.") for address in taken):
            yield Subnet(slot)


def _claim(subnet: Subnet, namespace: Namespace) -> bool:
    # Creating the link is the claim: of two testbeds that saw the same free subnet, the kernel lets one create it.
    peer = ["peer", "name", "kube0", "netns", str(namespace.init)]
    try:
        output(["ip", "link", "add", subnet.link, "type", "veth", *peer])
    except TestbedError:
        if exists(subnet):
            return False
        raise
    return True


def _address(subnet: Subnet, namespace: Namespace) -> None:
    output(["ip", "addr", "add", f"{subnet.host}/24", "dev", subnet.link])
    output(["ip", "link", "set", subnet.link, "up"])
    namespace.output(["ip", "addr", "add", f"{subnet.inside}/24", "dev", "kube0"])
    namespace.output(["ip", "link", "set", "kube0", "up"])
    namespace.output(["ip", "route", "add", "default", "via", subnet.host, "dev", "kube0"])


def _ip(*arguments: str) -> list[dict[str, Any]]:
    # An empty result may be printed as an object without fields.
    return [item for item in json.loads(output(["ip", "-json", *arguments]) or "[]") if item]

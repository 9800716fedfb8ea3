"""A device plugin as GKE's is to the kubelet: it offers the chips of one VM, and gives them together or not at all.

Run beside the kubelet with a Python that has grpcio: `device_plugin.py CHIPS DEVICE`, where DEVICE is a device file of
the machine that a container gets as /dev/vfio/0. The messages are few and small, so they are written by hand.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

FOLDER = Path("/var/lib/kubelet/device-plugins")
SOCKET = "fake-tpu.sock"
RESOURCE = "google.com/tpu"
SEEN = "/dev/vfio/0"


def field(number: int, content: bytes | str) -> bytes:
    """A field of a message: text, or another message."""
    value = content.encode() if isinstance(content, str) else content
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


def asked(request: bytes) -> int:
    """How many devices an AllocateRequest of one container asks for."""
    inner, count = request[2:], 0
    while inner:
        count, inner = count + 1, inner[2 + inner[1] :]
    return count


def main(chips: int, device: str) -> None:
    """Serve until killed."""
    import grpc  # type: ignore[import-not-found,import-untyped,unused-ignore]  # of the stages' environments

    def list_and_watch(request: bytes, context: Any) -> Any:
        yield b"".join(field(1, field(1, f"chip-{number}") + field(2, "Healthy")) for number in range(chips))
        threading.Event().wait()

    def allocate(request: bytes, context: Any) -> bytes:
        if asked(request) != chips:
            message = f"invalid TPU chip count request, you must request all {chips} chips on this node together"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        return field(1, field(3, field(1, SEEN) + field(2, device) + field(3, "mrw")))

    def nothing(request: bytes, context: Any) -> bytes:
        return b""

    handlers = {
        "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(nothing),
        "ListAndWatch": grpc.unary_stream_rpc_method_handler(list_and_watch),
        "Allocate": grpc.unary_unary_rpc_method_handler(allocate),
        "PreStartContainer": grpc.unary_unary_rpc_method_handler(nothing),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", handlers),))
    (FOLDER / SOCKET).unlink(missing_ok=True)
    server.add_insecure_port(f"unix://{FOLDER / SOCKET}")
    server.start()
    with grpc.insecure_channel(f"unix://{FOLDER / 'kubelet.sock'}") as channel:
        register = channel.unary_unary("/v1beta1.Registration/Register")
        register(field(1, "v1beta1") + field(2, SOCKET) + field(3, RESOURCE), timeout=10)
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

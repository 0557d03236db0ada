"""Ports on loopback for a server of several services."""

from __future__ import annotations

import secrets
import socket

from zsync.errors import ZsyncError

HOST = "127.0.0.1"

# weed's own convention: a service's gRPC port is its HTTP port and 10000. Some of its parts rely on it, whatever
# the flags say.
GRPC_OFFSET = 10_000
# Below the ports that systems lend to outgoing connections, so that a free port stays free until weed listens on it.
_PORTS = range(12_000, 22_000)


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose gRPC ports are."""
    candidates = secrets.SystemRandom().sample(_PORTS, len(_PORTS))
    free = (port for port in candidates if is_free(port) and is_free(port + GRPC_OFFSET))
    found = [port for port, _ in zip(free, range(count), strict=False)]
    if len(found) < count:
        raise ZsyncError("no free ports on this machine", HOST)
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        # As weed's sockets do: connections of an earlier server that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True

"""Free ports of the loopback, for servers that nobody outside this machine should find."""

import secrets
import socket

HOST = "127.0.0.1"
# Below every system's ephemeral range: a client that knocks while the server is down could otherwise be given
# the server's own port as its source port, and would then be talking to itself.
_PORTS = range(20_000, 30_000)


def free_port() -> int:
    """Find a port that nobody listens on, and that no client is given as its own."""
    while True:
        # Not `random`: test processes seed it alike, and would all choose the same.
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)):
                return port

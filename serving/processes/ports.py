"""Ports that several processes will share, kept for them by their parent."""

import socket

from serving.errors import StartupError


def reserve(protocol: str, host: str, port: int) -> socket.socket:
    """Bound, so that nobody else gets the port, and not listening, so that no connection comes here.

    Port 0 takes any free one. StartupError where another server has the port, also one that would share it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((host, _free_port(family, host, port)))
    except OSError as error:
        held.close()
        raise StartupError(f"{protocol} port {port} on {host}: {error.strerror}") from None
    return held


def _free_port(family: int, host: str, port: int) -> int:
    """By an attempt to have it alone."""
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((host, port))
        return int(alone.getsockname()[1])

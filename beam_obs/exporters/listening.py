"""Ports of this machine that something listens on: what scrapes numbers, or shows pages."""

from __future__ import annotations

import socket

from beam_obs.records.errors import BeamObsError


class AddressNotFree(BeamObsError):
    """A server cannot listen where it should.

    Args:
      host: name or address.
      port: its port.
      reason: what the system said.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"{host}:{port} cannot be listened on: {reason}. Port 0 takes any that is free")
        self.host = host
        self.port = port
        self.reason = reason

    def __reduce__(self) -> tuple[type[AddressNotFree], tuple[str, int, str]]:
        return (AddressNotFree, (self.host, self.port, self.reason))


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Args:
      host: name or address.
      port: the port; 0 for any that is free.

    Raises:
      AddressNotFree: there is no such name, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressNotFree(host, port, error.strerror or str(error)) from None

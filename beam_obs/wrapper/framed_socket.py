"""Objects sent between a worker and a process of its own that runs the user's code.

A message is its length and a pickle. What a plain pickle cannot carry to a process with another program in
it, classes and functions of `__main__` and of no module at all, goes by Beam's pickler, as DoFns do.
"""

from __future__ import annotations

import pickle
import socket
import struct
import time
from typing import Any

from apache_beam.internal import pickler

_LENGTH = struct.Struct("!Q")
_BLOCK = 1 << 16
_OF_MAIN = b"__main__"


class FramedSocket:
    """Sends and receives objects.

    Args:
      socket: connected.
    """

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._waiting = bytearray()

    def send(self, message: bytes, deadline: float | None = None) -> None:
        """Sends what `packed` gave.

        Args:
          message: the bytes.
          deadline: moment of `time.monotonic` to which the other side may take.

        Raises:
          TimeoutError: it took longer.
          OSError: the other side is gone.
        """
        self._limit(deadline)
        self._socket.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, deadline: float | None = None) -> Any:
        """Returns the next object.

        Args:
          deadline: moment of `time.monotonic` to which the other side may take.

        Raises:
          TimeoutError: it took longer.
          EOFError, OSError: the other side is gone.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return unpacked(self._read(length, deadline))

    def close(self) -> None:
        """Lets go of the socket."""
        self._socket.close()

    def _read(self, count: int, deadline: float | None) -> bytes:
        waiting = self._waiting
        while len(waiting) < count:
            self._limit(deadline)
            block = self._socket.recv(max(_BLOCK, min(count - len(waiting), 16 * _BLOCK)))
            if not block:
                raise EOFError
            waiting += block
        found = bytes(waiting[:count])
        del waiting[:count]
        return found

    def _limit(self, deadline: float | None) -> None:
        # A timeout of 0 would mean not to wait at all, which is told by another error.
        self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))


def packed(message: Any) -> bytes:
    """Returns an object as bytes that a process with another `__main__` understands.

    >>> unpacked(packed(("call", 1)))
    ('call', 1)
    """
    try:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        data = b""
    if data and _OF_MAIN not in data:
        return b"p" + data
    return b"b" + bytes(pickler.dumps(message))


def unpacked(data: bytes) -> Any:
    """Returns the object that `packed` made bytes of."""
    return pickle.loads(data[1:]) if data[:1] == b"p" else pickler.loads(data[1:])

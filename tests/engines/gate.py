"""A way to a server that can be shut: who goes through it finds nobody, and the server keeps what it has."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Gate:
    """Listens on a port of this machine, and leads to another while it is open.

    Args:
      port: that it listens on; nobody does while it is shut.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._listening: socket.socket | None = None
        self._ways: list[socket.socket] = []

    def open(self, target: int) -> None:
        """Leads whoever comes from now on to a port of this machine."""
        listening = socket.create_server(("127.0.0.1", self.port))
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening, target), daemon=True).start()

    def shut(self) -> None:
        """Ends every connection, and takes no more."""
        if self._listening is not None:
            # What waits in `accept` keeps the socket of a port that is merely closed.
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        for way in self._ways:
            with contextlib.suppress(OSError):
                way.shutdown(socket.SHUT_RDWR)
        self._ways.clear()

    def _accept(self, listening: socket.socket, target: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", target))
                self._ways += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def gate(port: int) -> Iterator[Gate]:
    """Gives a gate, shut, and shuts it at the end."""
    found = Gate(port)
    try:
        yield found
    finally:
        found.shut()

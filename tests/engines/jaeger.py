"""Jaeger, as `make engines` installs it, on free ports of this machine."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.engines.install import JAEGER, program
from tests.engines.object_stores import free_port, running
from tests.patience import PATIENCE_SECONDS

_PORTS = (
    "admin.http",
    "collector.grpc-server",
    "collector.http-server",
    "collector.otlp.grpc",
    "collector.otlp.http",
    "query.grpc-server",
    "query.http-server",
)


class Jaeger(NamedTuple):
    """A running Jaeger.

    Args:
      http: where it takes OTLP over HTTP.
      grpc: where it takes OTLP over gRPC.
      query: where it answers.
    """

    http: str
    grpc: str
    query: str

    def trace(self, trace_id: str, is_whole: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Returns a trace as `/api/traces` gives it, once it is whole; fails after a while."""
        return self._asked(f"/api/traces/{trace_id}", is_whole)

    def traces(self, is_whole: Callable[[dict[str, Any]], bool], **wanted: str) -> dict[str, Any]:
        """Returns one of the traces that have what is wanted, e.g. ``service`` and ``operation``."""
        return self._asked(f"/api/traces?{urllib.parse.urlencode(wanted)}", is_whole)

    def _asked(self, path: str, is_whole: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_SECONDS
        found: Any = None
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.query + path, timeout=5) as answer:
                found = json.load(answer)["data"]
                for one in found or ():
                    if is_whole(one):
                        return dict(one)
            time.sleep(0.2)
        raise AssertionError(f"no such trace in Jaeger; the last answer was {found}")


@contextlib.contextmanager
def running_jaeger() -> Iterator[Jaeger]:
    """Gives a Jaeger that keeps traces in memory; skips the test where there is none."""
    found = program(JAEGER, "jaeger")
    if found is None:
        pytest.skip("Jaeger is not installed: make engines (it needs Go)")
    ports = {name: free_port() for name in _PORTS}
    flags = [f"--{name}.host-port=127.0.0.1:{port}" for name, port in ports.items()]
    with running([found, *flags], ports["query.http-server"]):
        yield Jaeger(
            f"http://127.0.0.1:{ports['collector.otlp.http']}",
            f"http://127.0.0.1:{ports['collector.otlp.grpc']}",
            f"http://127.0.0.1:{ports['query.http-server']}",
        )

"""The OpenTelemetry Collector, as `make engines` installs it, on free ports of this machine."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.engines.install import COLLECTOR, program
from tests.engines.object_stores import free_port, running


class TakesOtlp(NamedTuple):
    """Where a running Collector takes OTLP.

    Args:
      http: by HTTP.
      grpc: by gRPC.
    """

    http: str
    grpc: str


@contextlib.contextmanager
def running_collector(
    folder: pathlib.Path, signal: str, exporter: str, settings: dict[str, Any]
) -> Iterator[TakesOtlp]:
    """Gives a Collector that passes on what it takes; skips the test where there is none.

    Args:
      folder: for its configuration.
      signal: ``traces`` or ``metrics``.
      exporter: by which it passes them on.
      settings: of the exporter.
    """
    found = program(COLLECTOR, "otelcol")
    if found is None:
        pytest.skip("the OpenTelemetry Collector is not installed: make engines (it needs Go)")
    http, grpc = free_port(), free_port()
    protocols = {"http": {"endpoint": f"127.0.0.1:{http}"}, "grpc": {"endpoint": f"127.0.0.1:{grpc}"}}
    configuration = {
        "receivers": {"otlp": {"protocols": protocols}},
        "exporters": {exporter: settings},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {signal: {"receivers": ["otlp"], "exporters": [exporter]}},
        },
    }
    # Its YAML takes JSON.
    (folder / "collector.json").write_text(json.dumps(configuration))
    with running([found, "--config", str(folder / "collector.json")], http):
        yield TakesOtlp(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{grpc}")

"""Prometheus' Alertmanager, as Debian has it, and one who receives what it tells."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

from tests.engines.object_stores import free_port
from tests.engines.prometheus import installed, running


@contextlib.contextmanager
def alertmanager(folder: pathlib.Path, webhook: str) -> Iterator[str]:
    """Runs an Alertmanager that tells of each alert alone, after a second; gives its ``HOST:PORT``.

    Args:
      folder: where it keeps what it has.
      webhook: address that is told.
    """
    route = {"receiver": "webhook", "group_by": ["..."], "group_wait": "1s", "group_interval": "1s"}
    receivers = [{"name": "webhook", "webhook_configs": [{"url": webhook}]}]
    settings = folder / "alertmanager.yml"
    settings.write_text(json.dumps({"route": route, "receivers": receivers}))  # which is YAML, too
    address = f"127.0.0.1:{free_port()}"
    command = [
        installed("prometheus-alertmanager"),
        f"--config.file={settings}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with running(command, f"http://{address}/-/ready"):
        yield address


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Receives notifications; gives its address, and the list of alerts as they begin and end."""
    received: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.extend(told["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        server.server_close()

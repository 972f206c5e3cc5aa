"""Prometheus and its Alertmanager on free ports of this machine, as long as a block of code lasts."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

WAIT_SECONDS = 60.0

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed: apt-get install --no-install-recommends prometheus",
)
needs_alertmanager = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None,
    reason="Alertmanager is not installed: apt-get install --no-install-recommends prometheus-alertmanager",
)


class Prometheus:
    """A Prometheus that scrapes every second.

    Args:
      port: that it listens on.
    """

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Returns labels and value of each series that an expression gives now."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._address}/api/v1/query?{asked}", timeout=10) as answer:
            told = json.load(answer)["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in told]


@contextlib.contextmanager
def prometheus(
    folder: pathlib.Path,
    targets: Sequence[str],
    rules: Sequence[pathlib.Path] = (),
    alertmanager: str | None = None,
) -> Iterator[Prometheus]:
    """Starts a Prometheus.

    Args:
      folder: for its configuration and data.
      targets: ``HOST:PORT`` of what it scrapes.
      rules: files of rules that it evaluates every second.
      alertmanager: ``HOST:PORT`` of who is told of alerts.
    """
    port = free_port()
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": "beam_obs", "static_configs": [{"targets": list(targets)}]}],
    }
    if alertmanager is not None:
        told = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        configuration["alerting"] = told
    command = [
        "prometheus",
        f"--config.file={_kept(folder, 'prometheus.json', configuration)}",
        f"--storage.tsdb.path={folder / 'prometheus-data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
        yield Prometheus(port)


@contextlib.contextmanager
def alertmanager(folder: pathlib.Path, webhook: str) -> Iterator[str]:
    """Starts an Alertmanager that notifies after a second, each alert alone; yields its ``HOST:PORT``.

    Args:
      folder: for its configuration and data.
      webhook: address that notifications are sent to.
    """
    place = f"127.0.0.1:{free_port()}"
    route = {"receiver": "webhook", "group_by": ["..."], "group_wait": "1s", "group_interval": "1s"}
    configuration = {
        "route": route,
        "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
    }
    command = [
        "prometheus-alertmanager",
        f"--config.file={_kept(folder, 'alertmanager.json', configuration)}",
        f"--storage.path={folder / 'alertmanager-data'}",
        f"--web.listen-address={place}",
        "--cluster.listen-address=",
    ]
    with _running(command, folder / "alertmanager.log", f"http://{place}/-/ready"):
        yield place


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Receives notifications; yields its address, and the list to which each alert is added."""
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


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(what: str, found: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Returns what is found, once there is any."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"after {seconds:g} s there is no {what}")


def _kept(folder: pathlib.Path, name: str, configuration: dict[str, Any]) -> pathlib.Path:
    path = folder / name
    path.write_text(json.dumps(configuration))  # which is YAML, too
    return path


@contextlib.contextmanager
def _running(command: list[str], log: pathlib.Path, ready: str) -> Iterator[None]:
    with log.open("w") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        wait_for(f"server: {log.read_text()[-2000:]}", lambda: server.poll() is None and _answers(ready))
        yield
    finally:
        server.terminate()
        server.wait(20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

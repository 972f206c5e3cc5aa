"""A port that Prometheus scrapes while runs of this process live, and as long as the process does."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Collection, Iterable
from typing import Any

from beam_obs.exporters.listening import listen
from beam_obs.exporters.newest_runs import NewestRuns
from beam_obs.exporters.prometheus_text import OPENMETRICS, content_type, prometheus_text
from beam_obs.exporters.targets import host_and_port
from beam_obs.metrics.run_numbers import RunNumbers

_LOGGER = logging.getLogger(__name__)


class PrometheusPort:
    """Shows the newest numbers of each pipeline to whoever asks for ``/metrics``.

    Exporters of one process to the same port share one server, so that the numbers of a run that ended stay
    beside those of the next.

    Args:
      where: ``PORT`` or ``HOST:PORT``.

    Raises:
      AddressNotFree: the port cannot be listened on.
    """

    name = "prometheus_port"

    def __init__(self, where: str) -> None:
        self._server = _server_at(*host_and_port(where))

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    def export(self, numbers: RunNumbers) -> None:
        """Takes the newest numbers of a run, in place of those before; returns at once, raises nothing."""
        self._server.runs.add(numbers)

    def expect(self, pipelines: Collection[str] | None) -> None:
        """Hears which pipelines there are, so that no others are shown; None: nobody knows just now."""
        self._server.is_known = pipelines is not None
        if pipelines is not None:
            self._server.runs.keep_only(set(pipelines))

    def dropped(self, run: str) -> int:
        """Returns 0: nothing is sent that could be lost."""
        return 0

    def expect_no_more(self) -> None:
        """Does nothing: what is there can be scraped at any time."""

    def close(self, timeout: float) -> bool:
        """Returns True; the numbers stay for who comes to scrape them."""
        return True


class _Server:
    def __init__(self, host: str, port: int) -> None:
        self.runs = NewestRuns()
        self.is_known = True
        """Whether what is shown is as it is."""
        server = _Threading(listen(host, port), _Silent)
        server.set_app(self._answer)
        self.port: int = server.server_port
        threading.Thread(target=server.serve_forever, name="beam_obs exporter port", daemon=True).start()

    def _answer(self, request: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if request["PATH_INFO"] not in ("/metrics", "/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"the numbers are at /metrics\n"]
        if not self.is_known:  # which the metric `up` says: numbers that may be old would be taken for new
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"the store cannot be read\n"]
        openmetrics = OPENMETRICS in request.get("HTTP_ACCEPT", "")
        start_response("200 OK", [("Content-Type", content_type(openmetrics))])
        return prometheus_text(self.runs.all(), openmetrics)


class _Threading(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, handler: type[_Silent]) -> None:
        address: Any = listening.getsockname()
        super().__init__(address, handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        # As `server_bind` would, but for asking for this machine's name, which may take long.
        self.server_name, self.server_port = str(address[0]), int(address[1])
        self.setup_environ()


class _Silent(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a line for each scrape is no help."""


_LOCK = threading.Lock()
_SERVERS: dict[tuple[str, int], _Server] = {}


def _server_at(host: str, port: int) -> _Server:
    with _LOCK:
        if (host, port) not in _SERVERS:
            _SERVERS[host, port] = server = _Server(host, port)
            shown = f"[{host}]" if ":" in host else host
            _LOGGER.info("Prometheus can scrape http://%s:%d/metrics", shown, server.port)
        return _SERVERS[host, port]

"""A server on this machine that speaks the part of Dataflow's REST API that launches and watches jobs.

https://cloud.google.com/dataflow/docs/reference/rest: projects.locations.jobs.create, .get and .getMetrics.
What it takes and gives are the messages of Google's own client.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

_PATH = re.compile(r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/?]+))?(/metrics)?(?:\?|$)")


class DataflowServer(http.server.ThreadingHTTPServer):
    """Jobs in memory, behind the REST API."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, Any] = {}
        """By project, region and id."""
        self.metrics: dict[str, Any] = {}
        """By the same."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def add(self, id_: str, job: Any, metrics: list[dict[str, Any]]) -> None:
        """Adds a job of the project ``project`` in ``us-central1``, and what it has counted."""
        key = f"project/us-central1/{id_}"
        job.id = id_
        self.jobs[key] = job
        self.metrics[key] = json_format.ParseDict({"metrics": metrics}, dataflow.JobMetrics.pb()())


def user(name: str, value: float, step: str, tentative: bool = False, **context: str) -> dict[str, Any]:
    """Returns a counter of a namespace as the API tells it."""
    context = {"step": step, **context} | ({"tentative": "true"} if tentative else {})
    return {"name": {"origin": "user", "name": name, "context": context}, "scalar": value}


def service(name: str, value: float, tentative: bool = False, **context: str) -> dict[str, Any]:
    """Returns a number that the service counts itself."""
    context = context | ({"tentative": "true"} if tentative else {})
    return {"name": {"origin": "dataflow/v1b3", "name": name, "context": context}, "scalar": value}


@contextlib.contextmanager
def running() -> Iterator[DataflowServer]:
    """Runs a server while it lasts."""
    server = DataflowServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: DataflowServer

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        project, region, *_ = _PATH.match(self.path).groups()  # type: ignore[union-attr]
        job = dataflow.Job.from_json(content, ignore_unknown_fields=True)
        job.id = f"2026-01-01_{len(self.server.jobs)}"
        job.current_state = dataflow.JobState.JOB_STATE_DONE
        self.server.jobs[f"{project}/{region}/{job.id}"] = job
        self._answer(200, dataflow.Job.to_json(job))

    def do_GET(self) -> None:
        match = _PATH.match(self.path)
        key = "/".join(match.group(1, 2, 3)) if match else ""
        if match is None or key not in self.server.jobs:
            told = {"code": 404, "message": f"{key} was not found", "status": "NOT_FOUND"}
            self._answer(404, json.dumps({"error": told}))
        elif match[4]:
            found = self.server.metrics.get(key, dataflow.JobMetrics.pb()())
            self._answer(200, json_format.MessageToJson(found))
        else:
            self._answer(200, dataflow.Job.to_json(self.server.jobs[key]))

    def _answer(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""

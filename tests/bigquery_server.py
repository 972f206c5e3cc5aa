"""A server on this machine that speaks the part of BigQuery's REST API that inserts and load jobs use.

https://cloud.google.com/bigquery/docs/reference/rest: tables.get, tables.insert, tabledata.insertAll,
datasets.get, jobs.insert (load) and jobs.get. It refuses rows as BigQuery does: by index, with reason,
location and message. Clients get tokens here too, for a service account made up for the test.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

_TABLE = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables/([^/?]+)(/insertAll)?")
_TABLES = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/]+)/tables(\?|$)")
_JOBS = re.compile(r"/(?:upload/)?bigquery/v2/projects/([^/]+)/jobs(?:/([^/?]+))?")
_DATASET = re.compile(r"/bigquery/v2/projects/([^/]+)/datasets/([^/?]+)(\?|$)")


class BigQueryServer(http.server.ThreadingHTTPServer):
    """Tables in memory, behind the REST API."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.schemas: dict[str, list[dict[str, Any]]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.inserts = 0
        self.passing_failures = 0
        """How many rows are still to be refused for a reason that passes."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add_table(self, name: str, **fields: str) -> str:
        """Makes a table ``project.dataset.name`` whose fields are all required; returns Beam's name of it."""
        self.schemas[f"test-project.city.{name}"] = [
            {"name": field, "type": kind, "mode": "REQUIRED"} for field, kind in fields.items()
        ]
        self.rows[f"test-project.city.{name}"] = []
        return f"test-project:city.{name}"

    def problems(self, table: str, row: dict[str, Any]) -> list[dict[str, str]]:
        """Returns the errors of a row, as BigQuery gives them."""
        fields = {field["name"]: field for field in self.schemas[table]}
        found = [_error(name, "no such field: " + name + ".") for name in row if name not in fields]
        for name, field in fields.items():
            value = row.get(name)
            if value is None:
                if field.get("mode") == "REQUIRED":
                    found.append(_error(name, f"Missing required field: {name}."))
            elif field["type"] == "INTEGER" and not re.fullmatch(r"-?\d+", str(value)):
                found.append(_error(name, f"Cannot convert value to integer (bad value): {value}"))
        return found

    def insert_all(self, table: str, request: dict[str, Any]) -> dict[str, Any]:
        self.inserts += 1
        refused = []
        for index, entry in enumerate(request["rows"]):
            problems = self.problems(table, entry["json"])
            if not problems and self.passing_failures > 0:
                self.passing_failures -= 1
                problems = [
                    {"reason": "backendError", "location": "", "debugInfo": "", "message": "try again"}
                ]
            if problems:
                refused.append({"index": index, "errors": problems})
            else:
                self.rows[table].append(entry["json"])
        answer: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
        return answer | {"insertErrors": refused} if refused else answer

    def load(self, job: dict[str, Any]) -> dict[str, Any]:
        """Runs a load job over files of JSON lines on this machine."""
        load = job["configuration"]["load"]
        to = load["destinationTable"]
        table = f"{to['projectId']}.{to['datasetId']}.{to['tableId']}"
        if table not in self.schemas:
            self.schemas[table], self.rows[table] = load["schema"]["fields"], []
        good, errors = [], []
        for path in load["sourceUris"]:
            for number, line in enumerate(pathlib.Path(path).read_text().splitlines()):
                row = json.loads(line)
                problems = self.problems(table, row)
                if problems:
                    message = f"Error while reading data, row {number}: {problems[0]['message']} File: {path}"
                    errors.append({"reason": "invalid", "location": path, "message": message})
                else:
                    good.append(row)
        job["status"] = {"state": "DONE"} | ({"errors": errors} if errors else {})
        if len(errors) > int(load.get("maxBadRecords", 0)):
            job["status"]["errorResult"] = errors[0]
        else:
            self.rows[table] += good
        job["statistics"] = {"load": {"outputRows": str(len(good)), "badRecords": str(len(errors))}}
        job["jobReference"].setdefault("location", "US")
        self.jobs[job["jobReference"]["jobId"]] = job
        return job


class _Handler(http.server.BaseHTTPRequestHandler):
    server: BigQueryServer

    def do_GET(self) -> None:
        table, job, dataset = (pattern.match(self.path) for pattern in (_TABLE, _JOBS, _DATASET))
        if table:
            name = ".".join(table.groups()[:3])
            self._answer(self._table(name) if name in self.server.schemas else None)
        elif job:
            self._answer(self.server.jobs.get(job[2]))
        elif dataset:
            self._answer(
                {"datasetReference": {"projectId": dataset[1], "datasetId": dataset[2]}, "location": "US"}
            )
        else:
            self._answer(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token":
            self._answer({"access_token": "a token", "expires_in": 3600, "token_type": "Bearer"})
            return
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        request = json.loads(body)
        insert = _TABLE.match(self.path)
        if insert and insert[4]:
            name = ".".join(insert.groups()[:3])
            known = name in self.server.schemas
            self._answer(self.server.insert_all(name, request) if known else None)
        elif _TABLES.match(self.path):
            reference = request["tableReference"]
            name = f"{reference['projectId']}.{reference['datasetId']}.{reference['tableId']}"
            self.server.schemas[name], self.server.rows[name] = request["schema"]["fields"], []
            self._answer(self._table(name))
        elif _JOBS.match(self.path):
            self._answer(self.server.load(request))
        else:
            self._answer(None)

    def _table(self, name: str) -> dict[str, Any]:
        project, dataset, table = name.split(".")
        return {
            "kind": "bigquery#table",
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": self.server.schemas[name]},
        }

    def _answer(self, value: Any) -> None:
        status = 200 if value is not None else 404
        if value is None:
            value = {
                "error": {
                    "code": 404,
                    "message": f"Not found: {self.path}",
                    "errors": [{"reason": "notFound"}],
                }
            }
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _error(location: str, message: str) -> dict[str, str]:
    return {"reason": "invalid", "location": location, "debugInfo": "", "message": message}


def start() -> BigQueryServer:
    """Returns a server that runs in a thread; `shutdown` ends it."""
    server = BigQueryServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write_credentials(folder: pathlib.Path, url: str) -> pathlib.Path:
    """Writes the key file of a service account whose tokens come from `url`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "service-account.json"
    content = {
        "type": "service_account",
        "project_id": "test-project",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "test@test-project.example",
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(content))
    return path


@contextlib.contextmanager
def running_service(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path) -> Iterator[BigQueryServer]:
    """Gives a server to which Google's clients in this process are pointed."""
    from apache_beam.io.gcp import bigquery
    from apache_beam.io.gcp.internal.clients.bigquery import BigqueryV2

    server = start()
    monkeypatch.setattr(BigqueryV2, "BASE_URL", f"{server.url}/bigquery/v2/")
    monkeypatch.setattr(bigquery, "_KNOWN_TABLES", set())
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test-project")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_credentials(folder, server.url)))
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

"""A template in a bucket of fake-gcs-server is read, held against, and launched by its address."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from beam_obs.cli.main import exit_code
from beam_obs.store import objects
from tests import dataflow_server
from tests.dataflow_server import PROJECT, REGION
from tests.engines.object_stores import running_gcs

pytestmark = pytest.mark.engines

SPEC = {
    "image": "image",
    "sdkInfo": {"language": "PYTHON"},
    "metadata": {
        "name": "Nightly",
        "parameters": [{"name": "input", "label": "Input", "helpText": "Files."}],
    },
}


def put(endpoint: str, name: str, content: Any) -> None:
    address = f"{endpoint}/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
    urllib.request.urlopen(
        urllib.request.Request(address, json.dumps(content).encode(), method="POST")
    ).close()


def test_a_template_in_a_bucket_is_launched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(objects, "_CLIENTS", {})
    with running_gcs() as bucket, dataflow_server.running() as server:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        put(bucket.environment["STORAGE_EMULATOR_HOST"], "nightly.json", SPEC)
        place = ["--project", PROJECT, "--region", REGION, "--endpoint", server.url]

        assert exit_code(["launch", f"{bucket.uri}/nightly.json", *place]) == 1
        assert "--param input=... is missing: Files." in capsys.readouterr().err
        assert exit_code(["launch", f"{bucket.uri}/hourly.json", *place]) == 1
        assert "gs://bucket/hourly.json: there is no such file" in capsys.readouterr().err
        assert exit_code(["launch", f"{bucket.uri}/nightly.json", "--param", "input=x", *place]) == 0
    (asked,) = server.asked
    assert asked.body["launchParameter"]["containerSpecGcsPath"] == "gs://bucket/nightly.json"
    assert asked.body["launchParameter"]["jobName"].startswith("nightly-")

"""gcloud on the server of the tests: what Google's own tool asks is taken."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests import dataflow_server
from tests.dataflow_server import PROJECT, REGION, DataflowServer

pytestmark = pytest.mark.engines


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


def gcloud(server: DataflowServer, folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
    environment = {
        **os.environ,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": f"{server.url}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CONFIG": str(folder),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    }
    return subprocess.run(
        ["gcloud", "dataflow", *arguments, f"--region={REGION}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_gcloud_asks_is_taken(server: DataflowServer, tmp_path: pathlib.Path) -> None:
    launched = gcloud(
        server,
        tmp_path,
        "flex-template",
        "run",
        "nightly",
        "--template-file-gcs-location=gs://bucket/nightly.json",
        "--parameters=input=gs://bucket/in",
        "--additional-user-labels=team=sky",
        "--max-workers=3",
    )
    assert launched.returncode == 0, launched.stderr
    (job,) = server.jobs.values()
    assert (job.name, dict(job.labels)) == ("nightly", {"team": "sky"})

    listed = gcloud(server, tmp_path, "jobs", "list", "--status=active", "--format=value(id,name)")
    assert listed.stdout.split() == [job.id, "nightly"], listed.stderr
    cancelled = gcloud(server, tmp_path, "jobs", "cancel", job.id)
    assert cancelled.returncode == 0, cancelled.stderr
    assert job.current_state.name == "JOB_STATE_CANCELLING"

"""gcloud on the server of the tests: what Google's own tool asks is taken."""

from __future__ import annotations

import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import dataflow_server
from tests.dataflow.test_deploy_page import commands
from tests.dataflow.try_deploy import PROJECT as ROOT
from tests.dataflow.try_deploy import prepare
from tests.dataflow_server import PROJECT, REGION, DataflowServer
from tests.patience import PATIENCE_SECONDS

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
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def noted(server: DataflowServer, folder: pathlib.Path) -> list[list[str]]:
    """Returns what gcloud is asked by the page on deploying, what it calls, and the build."""
    variables = prepare(server, folder)
    (folder / "bin" / "beam-obs").write_text("#!/bin/bash\necho {}\n")
    script = "\n".join(commands())
    subprocess.run(["bash", "-euc", script], cwd=ROOT, env={**os.environ, **variables}, check=True)
    asked = [shlex.split(line) for line in (folder / "gcloud.txt").read_text().splitlines()]
    build = (ROOT / "templates" / "cloudbuild.yaml").read_text()
    build = re.sub(r"\$\$\(cat [\w.]+\)", "FOUND", build)
    # Without the end of a substitution that it stands in.
    lines = re.findall(r"\bgcloud ([a-z][^\n>]*)", build)
    return asked + [shlex.split(one[:-1] if one.count(")") > one.count("(") else one) for one in lines]


def tree_of_gcloud() -> Any:
    """Returns the commands of gcloud with their flags, as it completes them in a shell."""
    found = shutil.which("gcloud")
    file = pathlib.Path(found or "").resolve().parents[1] / "data" / "cli" / "gcloud_completions.py"
    if found is None or not file.is_file():
        pytest.skip("gcloud is not installed with its commands: https://cloud.google.com/sdk/docs/install")
    return runpy.run_path(str(file))["STATIC_COMPLETION_CLI_TREE"]


def test_gcloud_has_the_flags_that_it_is_given(server: DataflowServer, tmp_path: pathlib.Path) -> None:
    tree = tree_of_gcloud()
    asked = noted(server, tmp_path)
    assert len(asked) > 20
    for words in asked:
        command = tree
        for word in words:
            if word not in command["commands"]:
                break
            command = command["commands"][word]
        assert not command["commands"], f"gcloud {' '.join(words)} names no command"
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= {*command["flags"], *tree["flags"]}, words


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

"""The commands of docs/deploy.md as they stand, in bash: a server is Dataflow, and a folder is the bucket."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

from beam_obs.dataflow.launch_parameters import parameter_problems  # noqa: E402 - which need it
from beam_obs.dataflow.launched_template import read_template  # noqa: E402
from tests import dataflow_server  # noqa: E402
from tests.dataflow.try_deploy import IMAGE, PROJECT, prepare  # noqa: E402
from tests.rest_api import api  # noqa: E402

PAGE = PROJECT / "docs" / "deploy.md"


def commands() -> list[str]:
    """Returns the commands of the page, those of several lines as one text."""
    (block,) = re.findall(r"```console\n\$ (.*?)```", PAGE.read_text(), re.DOTALL)
    return block.rstrip().split("\n$ ")


def test_a_project_is_set_up_with_what_the_build_and_the_page_name(tmp_path: pathlib.Path) -> None:
    with dataflow_server.running() as server:
        variables = prepare(server, tmp_path)
    given = {"GOOGLE_CLOUD_PROJECT": "sky-flights", "CLOUDSDK_COMPUTE_REGION": "europe-west1"}
    command = [str(PROJECT / "templates" / "set-up-project"), "you@example.com"]
    subprocess.run(command, env={**os.environ, **given, **variables}, check=True, timeout=60)
    asked = [shlex.split(line) for line in (tmp_path / "gcloud.txt").read_text().splitlines()]

    made = {one[3] for one in asked if one[2] == "create" or one[:3] == ["storage", "buckets", "create"]}
    accounts = {"beam-obs-build", "beam-obs-workers", "beam-obs-launch"}
    assert made >= {*accounts, "gs://sky-flights-beam-obs", "beam-obs"}
    names = [PAGE.read_text(), (PROJECT / "templates" / "cloudbuild.yaml").read_text()]
    assert set(re.findall(r"(beam-obs-\w+)@", "".join(names))) == accounts
    of_build = {word for one in asked if any("beam-obs-build@" in word for word in one) for word in one}
    assert {"--role=roles/artifactregistry.writer", "--role=roles/ondemandscanning.admin"} <= of_build
    # Each of both launches jobs whose workers are another account.
    users = [one for one in asked if "--role=roles/iam.serviceAccountUser" in one]
    assert {one[-1].partition("@")[0].partition(":")[2] for one in users} == {
        "beam-obs-build",
        "beam-obs-launch",
    }


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path: pathlib.Path) -> None:
    lines = commands()
    assert len(lines) == 10
    with dataflow_server.running() as server:
        variables = prepare(server, tmp_path)
        script = "".join(f"echo '== {number}'\n{line}\n" for number, line in enumerate(lines, 1))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=PROJECT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = server.jobs.values()
    assert job.name == "flights"
    printed = dict(re.findall(r"== (\d+)\n(.*?)(?=== |\Z)", done.stdout, re.DOTALL))
    assert "flights  done" in printed["6"]

    # Rules have data: the numbers of the run went to Cloud Monitoring, its end too.
    numbers = [json.loads(line) for line in (tmp_path / "cloud_monitoring.jsonl").read_text().splitlines()]
    told = {one["name"] for one in numbers if one["final"]}
    asked = [shlex.split(line) for line in (tmp_path / "gcloud.txt").read_text().splitlines()]
    policies = [json.loads(one[4].removeprefix("--policy=")) for one in asked if "policies" in one]
    queries = [one["conditions"][0]["conditionPrometheusQueryLanguage"]["query"] for one in policies]
    assert queries
    for query in queries:
        asked_for = set(re.findall(r"custom_googleapis_com:(beam_obs_\w+?)(?:_bucket)?\b", query))
        # The server runs no worker that could tell of its memory.
        assert {one for one in asked_for if "worker_memory" not in one} <= told, query

    (scheduled,) = [one for one in asked if one[:2] == ["scheduler", "jobs"]]
    (address,) = [one.removeprefix("--uri=") for one in scheduled if one.startswith("--uri=")]
    request = api("run.v2").read("POST", address.removeprefix("https://run.googleapis.com"), b"")
    assert request.method == "run.projects.locations.jobs.run"

    # What Cloud Run would start is the command that was just typed.
    (created,) = [one for one in asked if one[:3] == ["run", "jobs", "create"]]
    given = {one.partition("=")[0]: one.partition("=")[2] for one in created[4:]}
    assert given["--image"] == IMAGE
    assert given["--command"] == "beam-obs"
    program, template, *arguments = given["--args"].split(",")
    assert (program, template) == ("launch", "gs://sky-flights-beam-obs/templates/flights.json")
    parameters = dict(
        one.removeprefix("--param=").split("=", 1) for one in arguments if one.startswith("--param=")
    )
    metadata = read_template(str(tmp_path / template.removeprefix("gs://"))).metadata
    assert parameter_problems(metadata, parameters) == []
    assert {*arguments} >= {"--watch", "--job-name=flights"}

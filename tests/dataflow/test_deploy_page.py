"""The commands of docs/deploy.md in their order, on a server of Dataflow's API and a folder for a bucket."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

from beam_obs.cli.main import exit_code  # noqa: E402 - which needs it
from beam_obs.runs import watched_job, watcher  # noqa: E402
from tests import dataflow_server  # noqa: E402
from tests.dataflow.small_template import launcher  # noqa: E402
from tests.dataflow_server import DataflowServer, State, user  # noqa: E402
from tests.rest_api import api  # noqa: E402

PROJECT = pathlib.Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "deploy.md"
IMAGE = "europe-docker.pkg.dev/sky/flights@sha256:" + "0" * 64


def commands() -> list[str]:
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for line in block.splitlines()]


@pytest.fixture
def server(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataflowServer]:
    for module in (watched_job, watcher):
        monkeypatch.setattr(module, "LIVE_SECONDS", 0.02)
    with dataflow_server.running() as server:
        server.projects = {"sky"}
        server.states_of_new = [*[State.JOB_STATE_RUNNING] * 3, State.JOB_STATE_DONE]
        yield server


class Shell:
    """Runs lines as a shell would: variables, quotes, files for output, and the one substitution of the page.

    Args:
      folder: in place of the bucket.
      server: in place of Dataflow.
    """

    def __init__(self, folder: pathlib.Path, server: DataflowServer, monkeypatch: Any, capsys: Any) -> None:
        self._folder, self._server = folder, server
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self._variables: dict[str, str] = {}

    def run(self, line: str) -> str:
        line = line.replace("IMAGE", IMAGE)
        for name, value in self._variables.items():
            line = line.replace(f"${name}", value)
        if "$(head -n 1 job.txt)" in line:
            line = line.replace("$(head -n 1 job.txt)", pathlib.Path("job.txt").read_text().split("\n")[0])
        line, _, file = line.partition(" > ")
        program, *given = shlex.split(line)
        if program == "export":
            self._variables = dict(one.split("=", 1) for one in given)
            for name, value in self._variables.items():
                self._monkeypatch.setenv(name, value.replace("gs://sky-data", str(self._folder)))
            return ""
        if program == "gcloud":
            return ""
        assert program == "beam-obs"
        # The template is read from the file that would have been copied.
        given = ["flights.json" if one.startswith("gs://sky-data/templates/") else one for one in given]
        given = [str(PROJECT / one) if one.startswith("templates/") else one for one in given]
        if given[0] in ("launch", "watch"):
            given += ["--endpoint", self._server.url]
        assert exit_code(given) == 0, (line, *self._capsys.readouterr())
        printed: str = self._capsys.readouterr().out
        if file:
            pathlib.Path(file).write_text(printed)
        return printed


def test_the_commands_of_the_page_run(
    server: DataflowServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    lines = commands()
    assert len(lines) == 10
    shell = Shell(tmp_path, server, monkeypatch, capsys)

    def launch(job: Any) -> None:
        launcher(tmp_path, server, "flights", str(tmp_path / "beam_obs"))(job)
        counts = {"in": 2.0, "out": 2.0}

        server.count(
            job.id,
            [
                user(*one, f"{step}/Observed", namespace="beam_obs")
                for step in ("read", "parse")
                for one in counts.items()
            ],
        )

    server.on_launch = launch
    printed = [shell.run(line) for line in lines]

    assert server.asked[0].body["validateOnly"] is True
    (job,) = server.jobs.values()
    assert job.name == "flights"
    assert "flights  done" in printed[5]
    body = json.loads(pathlib.Path("request.json").read_text())
    api("dataflow.v1b3").check("LaunchFlexTemplateRequest", body)
    assert body["launchParameter"]["parameters"]["obs_store"] == "gs://sky-data/beam_obs"
    assert "flexTemplates:launch" in lines[8]
    assert all(json.loads(one) for one in pathlib.Path("policies.jsonl").read_text().splitlines())

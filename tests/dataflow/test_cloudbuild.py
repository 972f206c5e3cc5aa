"""The build that makes a template, held against Cloud Build's own messages and the commands that it calls."""

from __future__ import annotations

import pathlib
import re
import shlex
import subprocess
from typing import Any

import click
import pytest
import yaml

from beam_obs.cli.main import beam_obs
from beam_obs.dataflow.template_settings import template_settings

cloudbuild = pytest.importorskip("google.cloud.devtools.cloudbuild_v1")
json_format = pytest.importorskip("google.protobuf.json_format")

PROJECT = pathlib.Path(__file__).parents[2]
OURS = PROJECT / "templates" / "cloudbuild.yaml"
STARTED = PROJECT / "beam_obs" / "dataflow" / "starter" / "cloudbuild.yaml.in"
OF_SERVICE = {"PROJECT_ID", "BUILD_ID"}


def build_of(path: pathlib.Path) -> dict[str, Any]:
    text = path.read_text().replace("{{name}}", "orders").replace("{{package}}", "orders")
    build: dict[str, Any] = yaml.safe_load(text)
    return build


@pytest.mark.parametrize("path", [OURS, STARTED], ids=["ours", "of a new template"])
def test_cloud_build_reads_all_of_it(path: pathlib.Path) -> None:
    build = cloudbuild.Build.pb()()
    json_format.ParseDict(build_of(path), build)
    ids = [step.id for step in build.steps]
    wanted = [
        "test",
        "build",
        "push",
        "scan",
        "spec",
        "upload",
        "validate",
        "integration job",
        "drain",
        "release",
    ]
    assert [one for one in ids if one in wanted] == wanted
    assert build.service_account
    assert build.options.requested_verify_option == cloudbuild.BuildOptions.VerifyOption.VERIFIED
    assert build.options.logging == cloudbuild.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY


@pytest.mark.parametrize("path", [OURS, STARTED], ids=["ours", "of a new template"])
def test_each_substitution_is_declared_and_used(path: pathlib.Path) -> None:
    build = build_of(path)
    text = path.read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)\}", text)) - OF_SERVICE
    declared = set(build["substitutions"])
    assert used - declared == set()
    # The folder of a new template is the one where it is built.
    assert declared - used == set()


def test_a_new_template_is_built_by_the_same_steps() -> None:
    ours, started = build_of(OURS), build_of(STARTED)
    assert ours["steps"] == started["steps"]
    assert {name: ours[name] for name in ours if name != "substitutions"} == {
        name: started[name] for name in started if name != "substitutions"
    }


def scripts() -> list[str]:
    return [
        step["args"][-1].replace("$$", "$")
        for step in build_of(OURS)["steps"]
        if step.get("entrypoint") == "bash"
    ]


def test_each_script_is_one() -> None:
    for script in scripts():
        done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_commands_of_ours_have_the_options_that_it_gives() -> None:
    lines = re.findall(r"(?<![./])\bbeam-obs ((?:.*\\\n)*.*)", "\n".join(scripts()))
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(re.sub(r"[()|]|\\\n", " ", line).replace("tee launched.txt", ""))
        command: Any = beam_obs
        context = click.Context(beam_obs)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_its_defaults_are_a_template_of_this_project() -> None:
    defaults = build_of(OURS)["substitutions"]
    settings = template_settings(str(PROJECT / defaults["_FOLDER"]))
    assert settings.module == defaults["_PROGRAM"]
    assert settings.streaming == (defaults["_STREAMING"] == "true")
    given = {one.partition("=")[0] for one in defaults["_PARAMETERS"].split()} | {"obs_store"}
    assert given == {name for name, told in settings.parameters.items() if told.get("required")}
    assert (PROJECT / defaults["_DOCKERFILE"]).is_file()

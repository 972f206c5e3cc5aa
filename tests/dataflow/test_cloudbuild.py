"""The build that makes a template, held against Cloud Build's own messages and the commands that it calls."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
from typing import Any

import click
import pytest
import yaml

from beam_obs.cli.main import beam_obs, exit_code
from beam_obs.dataflow.template_settings import template_settings
from tests.written_runs import ago, counted, write_run

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
        "end of the job",
        "hold its run against rules",
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


@pytest.mark.parametrize("path", [OURS, STARTED], ids=["ours", "of a new template"])
def test_the_scan_is_in_an_image_that_has_what_takes_images_apart(path: pathlib.Path) -> None:
    """That is local-extract, as https://github.com/GoogleCloudPlatform/cloud-sdk-docker has its images."""
    (scan,) = [step for step in build_of(path)["steps"] if "docker images scan" in step["args"][-1]]
    assert scan["name"] == "gcr.io/google.com/cloudsdktool/google-cloud-cli:latest"


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


JOB = "2026-01-02_03_04_05-1001"
COMMANDS = {
    "beam-obs": """
echo "beam-obs $*" >> calls.txt
case "$1" in
    launch) [ -z "${LAUNCH_FAILS:-}" ] || exit 1; echo JOB; echo https://console ;;
    watch)
        looks=$(grep -c watch calls.txt)
        [ "$looks" = "${FAILS_AT:-}" ] && exit 1
        [ "$looks" = "${ENDLESS_AT:-}" ] && exec sleep 30
        [ -n "${UNKNOWN:-}" ] && exit 0
        for status in submitted done; do echo "-- flights  $status --"; echo '  run RUN - job JOB'; done ;;
    check) [ -z "${CHECK_FAILS:-}" ] || exit 1 ;;
esac""",
    "gcloud": 'echo "gcloud $*" >> calls.txt',
}
LAST = ["integration job", "drain", "end of the job", "hold its run against rules"]


class Built:
    """The steps from the launch on, run in a folder with commands that note how they are called."""

    def __init__(self, folder: pathlib.Path, run: str = "0198a7e2-0000-7000-8000-000000000001") -> None:
        self.folder, self.run = folder, run
        commands = folder / ".commands" / "bin"
        commands.mkdir(parents=True)
        for name, text in COMMANDS.items():
            file = commands / name
            file.write_text("#!/bin/bash\n" + text.replace("JOB", JOB).replace("RUN", run))
            file.chmod(0o755)
        (commands / "activate").touch()
        (folder / "parameters.txt").write_text("--param\ninput=gs://bucket/in\n")
        self.path = f"{commands}:{os.environ['PATH']}"

    def failed_step(self, streaming: bool, **said: str) -> str | None:
        """Runs the steps; returns the one that failed."""
        build = build_of(OURS)
        values = {**build["substitutions"], "PROJECT_ID": "sky", "BUILD_ID": "b1", "_STREAM_TIME": "0.3s"}
        values["_STREAMING"] = str(streaming).lower()
        for step in build["steps"]:
            if step["id"] not in LAST:
                continue
            script = step["args"][-1]
            for _ in range(3):  # a substitution may have others
                script = re.sub(r"(?<!\$)\$\{(\w+)\}", lambda found: values[found[1]], script)
            command = ["bash", *step["args"][:-1], script.replace("$$", "$")]
            environment = {**os.environ, **said, "PATH": self.path}
            done = subprocess.run(command, cwd=self.folder, env=environment, check=False, timeout=20)
            if done.returncode:
                return str(step["id"])
        return None

    def calls(self) -> list[list[str]]:
        return [shlex.split(line) for line in (self.folder / "calls.txt").read_text().splitlines()]

    def verbs(self) -> list[str]:
        return [words[3] if words[0] == "gcloud" else words[1] for words in self.calls()]


def test_a_batch_job_is_watched_and_its_own_run_is_checked(tmp_path: pathlib.Path) -> None:
    store = tmp_path / "store"
    told = counted(1000, 20, None, "ValueError")
    run = write_run(store, "flights", ago(days=0, minutes=2), **told)
    write_run(store, "flights", ago(days=0, minutes=1), **counted(10, 10, None, "ValueError"))
    built = Built(tmp_path, run)

    assert built.failed_step(streaming=False) is None

    assert built.verbs() == ["launch", "watch", "check"]
    assert built.calls()[1][2] == JOB
    for _, name, *given in built.calls()[:2]:
        command = beam_obs.get_command(click.Context(beam_obs), name)
        assert command is not None
        command.make_context(name, given)  # fails where a value is none
    words = built.calls()[-1][1:]
    assert words[1] == run
    words[words.index("--store") + 1] = str(store)
    # As it is given, by the command itself: two in a hundred may be refused, of another run all are.
    assert exit_code(words) == 0


def test_a_stream_is_drained_and_ended_before_its_run_is_checked(tmp_path: pathlib.Path) -> None:
    built = Built(tmp_path)
    assert built.failed_step(streaming=True, ENDLESS_AT="1") is None
    assert built.verbs() == ["launch", "watch", "drain", "watch", "check"]
    assert built.calls()[-1][2] == built.run
    assert "--may-run" not in built.calls()[-1]


@pytest.mark.parametrize(
    ("streaming", "said", "step", "verbs"),
    [
        (False, {"LAUNCH_FAILS": "1"}, "integration job", ["launch"]),
        (False, {"FAILS_AT": "1"}, "end of the job", ["launch", "watch"]),
        (False, {"UNKNOWN": "1"}, "end of the job", ["launch", "watch"]),
        (False, {"CHECK_FAILS": "1"}, "hold its run against rules", ["launch", "watch", "check"]),
        (True, {"FAILS_AT": "1"}, "end of the job", ["launch", "watch", "drain", "watch"]),
        (True, {"FAILS_AT": "2"}, "end of the job", ["launch", "watch", "drain", "watch"]),
    ],
    ids=["launch", "job", "no run", "rules", "look at a stream", "drained stream"],
)
def test_what_goes_wrong_fails_its_step(
    tmp_path: pathlib.Path, streaming: bool, said: dict[str, str], step: str, verbs: list[str]
) -> None:
    built = Built(tmp_path)
    assert built.failed_step(streaming, **said) == step
    assert built.verbs() == verbs

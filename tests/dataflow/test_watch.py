"""`beam-obs watch` of jobs of Dataflow, from the launch of a template to the end of its run in the store."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

import beam_obs as obs  # noqa: E402 - which need it
from beam_obs.cli.main import exit_code  # noqa: E402
from beam_obs.runs import watched_job, watcher  # noqa: E402
from tests import dataflow_server  # noqa: E402
from tests.dataflow.small_template import launcher  # noqa: E402
from tests.dataflow_server import PROJECT, REGION, DataflowServer, Refused, State, user  # noqa: E402
from tests.runs.test_run_of_template import be_worker_of, template  # noqa: E402

BUILD = pathlib.Path(__file__).parents[2] / "templates" / "cloudbuild.yaml"
PLACE = ["--project", PROJECT, "--region", REGION]


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (watched_job, watcher):
        monkeypatch.setattr(module, "LIVE_SECONDS", 0.02)


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


@pytest.fixture
def command(server: DataflowServer, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = exit_code([*arguments, "--endpoint", server.url])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def parse_id(folder: pathlib.Path) -> str:
    from apache_beam.portability.api import beam_runner_api_pb2 as api

    (staged,) = (folder / "staging").rglob("pipeline.pb")
    steps = api.Pipeline.FromString(staged.read_bytes()).components.transforms
    return next(id_ for id_, step in steps.items() if step.unique_name == "parse/Observed")


def launched(folder: pathlib.Path, command: Callable[..., Any]) -> str:
    spec = folder / "nightly.json"
    spec.write_text(json.dumps({"image": "image", "sdkInfo": {"language": "PYTHON"}}))
    code, out, err = command("launch", str(spec), *PLACE)
    assert code == 0, err
    return str(out.split()[0])


def test_a_launched_job_is_watched_to_its_end_in_the_store(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 6, State.JOB_STATE_DONE]
    job = launched(tmp_path, command)
    (submitted,) = obs.Store(str(tmp_path / "store")).runs()
    parse = parse_id(tmp_path)
    counts = {"in": 2.0, "out": 1.0, "dead": 1.0}
    read = [user(name, 2.0, "read/Observed", namespace="beam_obs") for name in ("in", "out")]
    parsed = [user(name, value, parse, namespace="beam_obs") for name, value in counts.items()]
    server.count(job, [*read, *parsed])
    server.say(job, "Worker pool started.")

    code, out, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))

    assert (code, submitted.status, submitted.job_id) == (0, "submitted", job), err
    assert "submitted" in out
    assert "2 records" in out
    assert out.count("Worker pool started.") == 1
    assert "nightly  done" in out
    (run,) = obs.Store(str(tmp_path / "store")).runs()
    (read_by_build,) = re.findall(r"sed -n '(.*)' watched.txt", BUILD.read_text())
    found = subprocess.run(
        ["sed", "-n", read_by_build], input=out, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{run.id}\n"
    assert (run.status, run.problems) == ("done", ())
    _, stage = (run.end or {})["stages"]
    assert (stage["label"], stage["in"], stage["out"], stage["dead"]) == ("parse", 2, 1, 1)
    assert dict(server.jobs[f"{PROJECT}/{REGION}/{job}"].labels) == {
        "beam_obs_run": run.id,
        "beam_obs_pipeline": "nightly",
        "beam_obs_code": run.start["code"]["version"].replace("+", "-").replace(":", "-"),
    }


def test_the_numbers_of_a_watched_job_are_exported(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 2, State.JOB_STATE_DONE]
    job = launched(tmp_path, command)
    pathlib.Path("beam_obs.toml").write_text(f'[exporters]\ntextfile = "{tmp_path}"\n')

    code, _, err = command("watch", "--job", job, *PLACE, "--store", str(tmp_path / "store"))

    assert code == 0, err
    told = "".join(file.read_text() for file in tmp_path.glob("*.prom"))
    assert 'beam_obs_run_status{pipeline="nightly",status="done"} 1' in told


def test_a_launch_can_follow_its_job_and_send_its_numbers_where_its_parameters_say(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 2, State.JOB_STATE_DONE]
    spec = tmp_path / "nightly.json"
    spec.write_text(json.dumps({"image": "image", "sdkInfo": {"language": "PYTHON"}}))
    given = {"obs_store": tmp_path / "store", "obs_textfile": tmp_path}
    parameters = [f"--param={name}={value}" for name, value in given.items()]

    code, out, err = command("launch", str(spec), *PLACE, *parameters, "--watch")

    assert code == 0, err
    (job,) = server.jobs.values()
    assert out.splitlines()[0] == job.id
    assert "nightly  done" in out
    (run,) = obs.Store(str(tmp_path / "store")).runs()
    assert run.status == "done"
    told = "".join(file.read_text() for file in tmp_path.glob("*.prom"))
    assert 'beam_obs_run_status{pipeline="nightly",status="done"} 1' in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dry-run"], "--watch follows a job, and none is started"),
        (["--param=obs_statsd=nobody"], "--param obs_statsd: found 'nobody', expected HOST:PORT"),
    ],
)
def test_what_a_watching_launch_cannot_do_is_said_before_it_is_sent(
    server: DataflowServer,
    command: Callable[..., Any],
    tmp_path: pathlib.Path,
    arguments: list[str],
    told: str,
) -> None:
    spec = tmp_path / "nightly.json"
    spec.write_text(json.dumps({"image": "image", "sdkInfo": {"language": "PYTHON"}}))
    code, _, err = command("launch", str(spec), *PLACE, "--watch", *arguments)
    assert code != 0
    assert told in err
    assert server.jobs == {}


@pytest.mark.parametrize("ending", ["FAILED", "CANCELLED"])
def test_a_job_that_did_not_end_well_ends_its_run_so(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path, ending: str
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [State.JOB_STATE_RUNNING, State[f"JOB_STATE_{ending}"]]
    job = launched(tmp_path, command)
    server.say(job, "Root cause: the disk is full", "JOB_MESSAGE_ERROR")

    code, _, _ = command("watch", "latest", *PLACE, "--store", str(tmp_path / "store"))

    assert code == 1
    (run,) = obs.Store(str(tmp_path / "store")).runs()
    assert run.status == ending.lower()
    if ending == "FAILED":
        assert "Root cause: the disk is full" in (run.end or {})["error"]["message"]


def test_a_launch_that_failed_tells_what_its_launcher_logged(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.states_of_new = [State.JOB_STATE_QUEUED, State.JOB_STATE_FAILED]
    job = launched(tmp_path, command)
    server.say(job, "Error occurred in the launcher container: Template launch failed.", "JOB_MESSAGE_ERROR")
    # Cloud Logging tells the newest first.
    server.launcher_lines[job] = [
        "ModuleNotFoundError: No module named 'pipelines'",
        '  File "/template/main.py", line 3, in <module>',
        "Traceback (most recent call last):",
        "Collecting apache-beam",
    ]

    code, out, err = command("watch", job, *PLACE, "--store", str(tmp_path / "nowhere"))

    assert code == 1
    assert f"{job}  failed" in out
    assert f"no run of job {job} is in {tmp_path}/nowhere" in err
    told = err[err.index("Template launch failed") :].splitlines()
    assert told[1:] == [
        "Traceback (most recent call last):",
        '  File "/template/main.py", line 3, in <module>',
        "ModuleNotFoundError: No module named 'pipelines'",
    ]


def test_a_job_that_does_not_say_why_it_failed_is_told_with_its_page(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.states_of_new = [State.JOB_STATE_QUEUED, State.JOB_STATE_FAILED]
    job = launched(tmp_path, command)
    code, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "nowhere"))
    assert code == 1
    page = f"https://console.cloud.google.com/dataflow/jobs/{REGION}/{job}?project={PROJECT}"
    assert f"job {job} failed: it does not say why, look at {page}\n" in err


def test_a_job_that_nobody_knows_is_one_error(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    code, _, err = command("watch", "2026-01-02_03_04_05-1", *PLACE, "--store", str(tmp_path))
    assert code == 1
    assert "Dataflow cannot tell of job 2026-01-02_03_04_05-1" in err
    assert "look at project and region" in err


def test_an_endpoint_at_which_nobody_is_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    nobody = [*PLACE, "--endpoint", "http://localhost:1"]
    assert exit_code(["watch", "2026-01-02_03_04_05-1", *nobody, "--store", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "2026-01-02_03_04_05-1: no answer from http://localhost:1: Connection refused\n" in err


def test_dataflow_that_is_away_for_a_moment_is_asked_again(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 4, State.JOB_STATE_DONE]
    launched(tmp_path, command)
    away(server, [False, False, True, False])
    code, _, err = command("watch", "latest", *PLACE, "--store", str(tmp_path / "store"))
    assert code == 0, err


def test_dataflow_that_is_away_for_a_moment_before_there_is_a_run_is_asked_again(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 4, State.JOB_STATE_DONE]
    job = launched(tmp_path, command)
    store = ["--store", str(tmp_path / "store")]
    away(server, [False, False, True, True])  # of each look the state and the messages are asked for
    code, out, err = command("watch", job, *PLACE, *store)
    assert code == 0, err
    assert f"{job}  done" in out

    away(server, [True])  # nobody has answered yet
    code, _, err = command("watch", job, *PLACE, *store)
    assert code == 1
    assert f"Dataflow cannot tell of job {job}: the service is away" in err


def test_a_job_that_was_just_launched_is_followed_though_dataflow_is_away_at_first(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    spec = tmp_path / "nightly.json"
    spec.write_text(json.dumps({"image": "image", "sdkInfo": {"language": "PYTHON"}}))
    server.states_of_new = [State.JOB_STATE_RUNNING, State.JOB_STATE_DONE]
    away(server, [False, True])
    code, out, err = command("launch", str(spec), *PLACE, "--watch")
    assert code == 0, err
    assert "  done" in out


def test_dataflow_that_stays_away_ends_the_watch(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    job = launched(tmp_path, command)
    away(server, [False, False, *[True] * 10])
    code, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))
    assert code == 1
    goes_on, error = err.splitlines()
    assert goes_on.startswith(f"beam-obs: job {job} goes on: beam-obs watch {job} --project {PROJECT} ")
    assert "the service is away" in error


def away(server: DataflowServer, looks: list[bool]) -> None:
    """Lets those of the next requests be refused that are True."""
    coming = iter(looks)

    def finish_request(request: Any, address: Any) -> None:
        if next(coming, False):
            server.refusals.append(Refused(503, "UNAVAILABLE", "the service is away"))
        DataflowServer.finish_request(server, request, address)

    server.finish_request = finish_request  # type: ignore[method-assign]


def test_a_page_in_place_of_an_answer_is_one_error(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    job = launched(tmp_path, command)
    server.raw_answers.append((200, "text/html", b"<html>Please log in</html>"))
    code, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))
    assert code == 1
    assert f"Dataflow cannot tell of job {job}: what {server.url} answers cannot be read" in err


def test_messages_whose_second_page_is_refused_are_asked_for_again(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 4, State.JOB_STATE_DONE]
    job = launched(tmp_path, command)
    for number in range(101):
        server.say(job, f"message {number}")
    server.refused_pages = True
    code, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))
    assert code == 0, err


def test_a_message_is_told_once_though_the_run_comes_between(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 5, State.JOB_STATE_DONE]
    job = launched(tmp_path, command)
    (found,) = server.jobs.values()
    server.say(job, "Starting the launcher.")
    requests = itertools.count()

    def finish_request(request: Any, address: Any) -> None:
        DataflowServer.finish_request(server, request, address)
        if next(requests) == 1:  # the job has told its state, and its first message
            launch(found)
            server.say(job, "Worker pool started.")

    server.finish_request = finish_request  # type: ignore[method-assign]
    code, out, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))
    assert code == 0, err
    assert "nightly  done" in out
    assert [out.count(said) for said in ("Starting the launcher.", "Worker pool started.")] == [1, 1]


def test_a_run_that_is_in_another_store_is_said_while_the_job_runs(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.on_launch = launcher(tmp_path, server)
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 4, State.JOB_STATE_CANCELLED]
    job = launched(tmp_path, command)
    (found,) = server.jobs.values()
    found.environment.sdk_pipeline_options = {"options": {"obs_store": str(tmp_path / "store")}}
    (run,) = obs.Store(str(tmp_path / "store")).runs()
    code, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "elsewhere"))
    assert code == 1
    told = f"it is run {run.id}, whose store is given by --store {tmp_path}/store"
    assert err == f"beam-obs: no run of job {job} is in {tmp_path}/elsewhere: {told}\n"


def test_a_run_is_found_by_the_label_of_its_job_however_many_came_after_it(
    server: DataflowServer,
    command: Callable[..., Any],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beam_obs.dataflow.job_of_run._MOST_LOOKED_AT", 1)
    launch = launcher(tmp_path, server)
    server.on_launch = launch
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 2, State.JOB_STATE_DONE]
    first = launched(tmp_path, command)
    launch(dataflow.Job(id="2026-01-02_03_04_05-2000"))
    code, out, err = command("watch", first, *PLACE, "--store", str(tmp_path / "store"))
    assert code == 0, err
    assert "nightly  done" in out


@pytest.mark.parametrize("wanted", ["job", "run"])
def test_a_watch_that_is_interrupted_says_that_the_job_goes_on(
    server: DataflowServer,
    command: Callable[..., Any],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    server.on_launch = launcher(tmp_path, server)
    job = launched(tmp_path, command)
    store = str(tmp_path / "store")
    monkeypatch.setattr(watched_job, "pause", interrupted)
    code, _, err = command("watch", {"job": job, "run": "latest"}[wanted], *PLACE, "--store", store)
    assert code == 130
    (run,) = obs.Store(store).runs()
    again = {
        "job": f"job {job} goes on: beam-obs watch {job} --project {PROJECT} --region {REGION} "
        f"--endpoint {server.url} --store {store} follows it",
        "run": f"the job of run {run.id} goes on: beam-obs watch {run.id[:13]} --store {store} follows it",
    }
    assert err.splitlines() == [f"beam-obs: {again[wanted]}", "beam-obs: interrupted"]


def test_secrets_in_what_a_launcher_logged_are_left_out(
    server: DataflowServer, command: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    server.states_of_new = [State.JOB_STATE_QUEUED, State.JOB_STATE_FAILED]
    job = launched(tmp_path, command)
    server.launcher_lines[job] = ["Executing: python /template/main.py --db_password=hunter2 --limit=3"]
    _, _, err = command("watch", job, *PLACE, "--store", str(tmp_path / "store"))
    assert "python /template/main.py --db_password=[redacted] --limit=3" in err


@pytest.mark.parametrize("job", ["", "nightly", "a/../b"])
def test_what_is_no_id_of_a_job_is_wrong_usage(command: Callable[..., Any], job: str) -> None:
    code, _, err = command("watch", "--job", job, *PLACE)
    assert code == 2
    assert f"--job: found {job!r}, expected the id of a job, as" in " ".join(err.split())


def test_either_a_run_or_a_job_is_watched(command: Callable[..., Any]) -> None:
    assert command("watch")[0] == 2
    assert command("watch", "latest", "--job", "2026-01-02_03_04_05-1")[0] == 2


def test_a_job_of_a_classic_template_is_watched_to_the_end_of_its_run(
    server: DataflowServer,
    command: Callable[..., Any],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = "2026-01-02_03_04_05-1001"
    proto = template(tmp_path)
    be_worker_of(monkeypatch, job)
    FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()
    server.add(job, dataflow.Job(current_state=State.JOB_STATE_DONE), [])

    code, out, err = command("watch", job, *PLACE)

    assert code == 0, err
    assert "nightly  done, 1 dead" in out
    run = next(run for run in obs.Store().runs() if run.job_id == job)
    assert (run.status, run.problems, run.refused) == ("done", (), 1)

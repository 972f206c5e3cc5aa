"""`beam-obs launch`: what would be refused is not sent, and what is sent is what was asked for."""

from __future__ import annotations

import json
import pathlib
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[dataflow]'")

from beam_obs.cli.main import exit_code  # noqa: E402 - which need it
from tests import dataflow_server  # noqa: E402
from tests.dataflow_server import PROJECT, REGION, DataflowServer, Refused, State  # noqa: E402

SPEC = {
    "image": "europe-docker.pkg.dev/sky/flights@sha256:" + "0" * 64,
    "sdkInfo": {"language": "PYTHON"},
    "metadata": {
        "name": "Flights",
        "streaming": True,
        "supportsAtLeastOnce": True,
        "parameters": [
            {"name": "input", "label": "Input", "helpText": "Files to read.", "paramType": "GCS_READ_FILE"},
            {"name": "obs_store", "label": "Store", "helpText": "Where runs are kept.", "isOptional": True,
             "regexes": ["gs://.+"]},
            {"name": "obs_payload", "label": "Payload", "helpText": "What is kept.", "isOptional": True,
             "paramType": "ENUM", "enumOptions": [{"value": "whole"}, {"value": "none"}]},
            {"name": "limit", "label": "Limit", "helpText": "How many.", "paramType": "NUMBER",
             "defaultValue": "10"},
            {"name": "by_hour", "label": "Hours", "helpText": "By hour.", "paramType": "BOOLEAN",
             "isOptional": True},
            {"name": "hour", "label": "Hour", "helpText": "Which hour.", "parentName": "by_hour",
             "parentTriggerValues": ["true"]},
        ],
    },
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


@pytest.fixture
def spec(tmp_path: pathlib.Path) -> str:
    file = tmp_path / "flights.json"
    file.write_text(json.dumps(SPEC))
    return str(file)


@pytest.fixture
def launch(server: DataflowServer, spec: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def launched(*arguments: str, template: str = spec) -> tuple[int, str, str]:
        place = ["--project", PROJECT, "--region", REGION, "--endpoint", server.url]
        code = exit_code(["launch", template, *place, *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return launched


RIGHT = ["--param", "input=gs://bucket/in.csv", "--job-name", "flights"]


def test_a_job_is_launched_with_what_was_given(launch: Callable[..., Any], server: DataflowServer) -> None:
    code, out, err = launch(
        *RIGHT, "--param", "obs_payload=none", "--label", "team=sky", "--environment", "maxWorkers=5",
        "--environment", "ipConfiguration=WORKER_IP_PRIVATE", "--at-least-once",
        "--environment", "additionalExperiments=a,b",
    )  # fmt: skip
    assert (code, err.count("\n")) == (0, 1)
    (job,) = server.jobs.values()
    console = f"https://console.cloud.google.com/dataflow/jobs/{REGION}/{job.id}?project={PROJECT}"
    assert out.split() == [job.id, console]
    assert f"beam-obs watch {job.id}" in err
    (asked,) = server.asked
    given = asked.body["launchParameter"]
    assert given["parameters"] == {"input": "gs://bucket/in.csv", "obs_payload": "none"}
    assert given["containerSpec"]["image"] == SPEC["image"]
    environment = given["environment"]
    assert environment["additionalUserLabels"] == {"team": "sky"}
    assert (environment["maxWorkers"], environment["additionalExperiments"]) == (5, ["a", "b"])
    assert environment["streamingMode"] == 2  # at least once, as a number


def test_a_dry_run_prints_the_request_and_sends_nothing(
    launch: Callable[..., Any], server: DataflowServer
) -> None:
    code, out, err = launch(*RIGHT, "--at-least-once", "--dry-run")
    assert code == 0
    assert json.loads(out)["launchParameter"]["jobName"] == "flights"
    assert server.asked == []

    address = err.strip().rpartition(" ")[2]
    request = urllib.request.Request(address, out.encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:  # as a scheduler does
        assert json.load(answer)["job"]["name"] == "flights"


def test_a_dry_run_prints_the_same_text_each_time(launch: Callable[..., Any]) -> None:
    labels = [f"--label=l{one}=x" for one in (5, 3, 1, 4, 2)]
    _, out, _ = launch(*RIGHT, *labels, "--param", "obs_payload=none", "--param", "limit=3", "--dry-run")
    assert out == json.dumps(json.loads(out), indent=2, sort_keys=True) + "\n"


def test_a_request_is_printed_or_validated(launch: Callable[..., Any], server: DataflowServer) -> None:
    code, out, err = launch(*RIGHT, "--dry-run", "--validate-only")
    assert (code, out) == (2, "")
    assert "give one of them" in err
    assert server.asked == []


def test_a_request_can_be_validated_only(launch: Callable[..., Any], server: DataflowServer) -> None:
    code, out, _ = launch(*RIGHT, "--validate-only")
    assert (code, out) == (0, "Dataflow takes it: flights would be launched\n")
    assert server.jobs == {}
    assert server.asked[0].body["validateOnly"] is True


WRONG: dict[str, tuple[list[str], str]] = {
    "unknown": (["--param", "imput=x"], "--param imput: the template has no such parameter; did you mean"),
    "missing": ([], "--param input=... is missing: Files to read."),
    "kind": (["--param", "input=in.csv"], "--param input: found 'in.csv', expected gs://BUCKET/..."),
    "bucket": (
        ["--param", "input=gs://My_Bucket/in.csv"],
        "found 'gs://My_Bucket/in.csv', expected gs://BUCKET/..., where the name of a bucket is 3 characters",
    ),
    "field's bucket": (["--environment", "tempLocation=gs://b"], "the name of a bucket is 3 characters"),
    "number": (["--param", "limit=ten"], "--param limit: found 'ten', expected a number"),
    "flag": (["--param", "by_hour=yes"], "--param by_hour: found 'yes', expected true or false"),
    "regex": (["--param", "obs_store=runs"], "--param obs_store: found 'runs', expected a text like"),
    "enum": (["--param", "obs_payload=all"], "--param obs_payload: found 'all', expected one of whole, none"),
    "of a parent": (["--param", "by_hour=true"], "--param hour=... is missing: Which hour."),
    "name": (["--job-name", "Flights 1"], "--job-name: found 'Flights 1', expected"),
    "long name": (["--job-name", "a" * 1025], "of 1,025 characters, expected at most 1,024"),
    "label": (["--label", "Team=sky"], "label 'Team': a key is small letters"),
    "field": (["--environment", "maxWorker=5"], "--environment maxWorker: there is no such field"),
    "field's value": (["--environment", "maxWorkers=five"], "maxWorkers: found 'five', expected a whole"),
    "field's sign": (["--environment", "maxWorkers=--5"], "maxWorkers: found '--5', expected a whole number"),
    "field below none": (["--environment", "numWorkers=-5"], "numWorkers: found '-5', expected a whole"),
    "field's choice": (["--environment", "flexrsGoal=FAST"], "found 'FAST', expected one of"),
    "field's folder": (["--environment", "stagingLocation=/a"], "stagingLocation: found '/a', expected gs://"),
    "field without value": (["--environment", "network="], "network: found '', expected a value"),
    "list without value": (["--environment", "additionalExperiments="], "found '', expected a value"),
    "more than most": (
        ["--environment", "numWorkers=6", "--environment", "maxWorkers=5"],
        "--environment numWorkers: found 6, expected at most the 5 of maxWorkers",
    ),
    "without value": (["--param", "input="], "--param input: found '', expected"),
    "update of nothing": (["--update"], "--update replaces a job that runs: name it with --job-name"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_would_be_refused_is_named_and_not_sent(
    launch: Callable[..., Any], server: DataflowServer, arguments: list[str], told: str
) -> None:
    code, _, err = launch(*arguments)
    assert code == 1
    assert told in err
    assert "nothing was sent" in err
    assert server.asked == []


def test_more_first_workers_than_the_template_has_at_most_are_refused(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "small.json"
    file.write_text(json.dumps({**SPEC, "defaultEnvironment": {"maxWorkers": 10}}))
    code, _, err = launch(*RIGHT, "--environment", "numWorkers=20", template=str(file))
    assert code == 1
    told = "--environment numWorkers: found 20, expected at most the 10 of the template's maxWorkers"
    assert told in err
    more = ["--environment", "numWorkers=20", "--environment", "maxWorkers=30"]
    assert launch(*RIGHT, *more, template=str(file))[0] == 0


def test_a_parameter_that_must_be_given_is_told_without_the_default_of_its_program(
    launch: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "store.json"
    parameter = {"name": "obs_store", "label": "Store", "helpText": "Folder of runs (default: .beam_obs)."}
    file.write_text(json.dumps({**SPEC, "metadata": {"name": "Flights", "parameters": [parameter]}}))
    _, _, err = launch("--job-name", "flights", template=str(file))
    assert "--param obs_store=... is missing: Folder of runs.\n" in err


def test_at_least_once_is_for_templates_that_support_it(
    launch: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "batch.json"
    file.write_text(json.dumps({**SPEC, "metadata": {**SPEC["metadata"], "streaming": False}}))
    code, _, err = launch(*RIGHT, "--at-least-once", template=str(file))
    assert code == 1
    assert "--at-least-once is for streaming jobs" in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        ("image: x", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ('{"name": "x"}', "it is no template"),
        ('{"sdkInfo": {}, "metadata": {"name": "x"}}', "without an image: beam-obs template spec"),
        ('{"image": "x", "metadata": {"name": "x", "params": []}}', 'no field named "params"'),
    ],
)
def test_what_is_no_template_is_said(
    launch: Callable[..., Any], tmp_path: pathlib.Path, content: str | None, told: str
) -> None:
    file = tmp_path / "template.json"
    if content is not None:
        file.write_text(content)
    code, _, err = launch(*RIGHT, template=str(file))
    assert code == 1
    assert told in err


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "CLOUDSDK_COMPUTE_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_place")
def test_all_that_is_missing_is_said_at_once(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["launch", spec, "--job-name", "Flights 1", "--param", "limit=ten"]) == 2
    err = capsys.readouterr().err
    for told in (
        "nothing was sent:",
        "no project is given: write --project=..., or set GOOGLE_CLOUD_PROJECT",
        "no region is given: write --region=..., or set CLOUDSDK_COMPUTE_REGION",
        "--param input=... is missing: Files to read.",
        "--param limit: found 'ten', expected a number",
        "--job-name: found 'Flights 1', expected",
    ):
        assert told in err


@pytest.mark.usefixtures("no_place")
def test_a_template_that_is_not_there_is_said_with_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["launch", "none.json", "--region", REGION]) == 2
    err = capsys.readouterr().err
    assert "no project is given" in err
    assert "none.json: there is no such file" in err
    assert "no region is given" not in err


@pytest.mark.usefixtures("no_place")
def test_a_watch_says_all_that_is_missing_of_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["watch", "--job", "2026-01-02_03_04_05-678"]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "no project is given" in err
    assert "no region is given" in err


@pytest.mark.parametrize(
    ("project", "region", "told"),
    [
        ("Sky Data", REGION, "project is 'Sky Data': an id is small letters"),
        ("1234", REGION, "project is '1234': an id is small letters"),
        (PROJECT, "Europe", "region is 'Europe': write one like europe-west1"),
        (PROJECT, "europe-west1-b", "region is 'europe-west1-b': write one like europe-west1"),
    ],
)
def test_a_place_that_is_none_is_refused(
    spec: str, capsys: pytest.CaptureFixture[str], project: str, region: str, told: str
) -> None:
    assert exit_code(["launch", spec, *RIGHT, "--project", project, "--region", region]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:8080", "ftp://localhost", "http://localhost:8080/v1b3", "http://me:pw@host"]
)
@pytest.mark.parametrize("command", ["launch", "watch"])
def test_an_endpoint_that_is_none_is_refused(
    spec: str, capsys: pytest.CaptureFixture[str], command: str, endpoint: str
) -> None:
    place = ["--project", PROJECT, "--region", REGION, "--endpoint", endpoint]
    given = {"launch": [spec, *RIGHT], "watch": ["2026-01-02_03_04_05-678"]}[command]
    assert exit_code([command, *given, *place]) == 2
    err = capsys.readouterr().err
    assert "write https://HOST, or http://localhost:PORT of this machine" in " ".join(err.split())
    assert "pw" not in err


ERRORS = {
    403: ("PERMISSION_DENIED", "roles/dataflow.developer"),
    404: ("NOT_FOUND", "look at project and region"),
    409: ("ALREADY_EXISTS", "give another --job-name, or --update"),
}


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_dataflow_says_what_to_do(
    launch: Callable[..., Any], server: DataflowServer, code: int
) -> None:
    status, todo = ERRORS[code]
    server.refusals.append(Refused(code, status, "it cannot be"))
    exited, _, err = launch(*RIGHT)
    assert exited == 1
    assert err.startswith("beam-obs: Dataflow cannot launch job flights: it cannot be (")
    assert todo in err


def test_a_quota_that_is_used_up_is_waited_for(
    launch: Callable[..., Any], server: DataflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refusals += [Refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded")] * 2
    code, _, _ = launch(*RIGHT)
    assert code == 0
    assert len(server.jobs) == 1
    # Nobody wonders for a minute what is done.
    assert caplog.text.count("a quota of Dataflow is used up: it is asked for 60 s") == 1


def test_a_quota_that_stays_used_up_is_an_error_after_a_while(
    launch: Callable[..., Any], server: DataflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_obs.dataflow.dataflow_calls._PATIENCE_SECONDS", 1)
    server.refusals += [Refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded")] * 100
    code, _, err = launch(*RIGHT)
    assert code == 1
    assert "Quota exceeded (a quota of the project is used up: try again later" in err
    assert "may have been started" not in err


UNREADABLE = {
    "a page": (200, "text/html", b"<!DOCTYPE html><html><body>Please log in</body></html>"),
    "nothing": (200, "application/json", b""),
    "half of it": (200, "application/json", b'{"job": '),
    "another form": (200, "application/json", b'{"job": {"id": {"a": 1}}}'),
    "a list": (200, "application/json", b"[1]"),
    "no job": (200, "application/json", b"{}"),
    "an error of another form": (400, "application/json", b'{"error": "bad"}'),
    "a gateway's page": (502, "text/html", b"<html><head><title>502 Bad Gateway</title></head></html>"),
    "an error of the service": (500, "application/json", b'{"error": {"code": 500, "message": "Internal"}}'),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_of_a_launch_whose_answer_tells_nothing_is_said_that_the_job_may_run(
    launch: Callable[..., Any], server: DataflowServer, answer: tuple[int, str, bytes]
) -> None:
    server.raw_answers.append(answer)
    code, out, err = launch(*RIGHT)
    assert (code, out) == (1, "")
    assert err.startswith("beam-obs: Dataflow cannot launch job flights: ")
    assert "job flights may have been started all the same: look at https://console.cloud.google.com/" in err
    assert "<" not in err

    server.raw_answers.append(answer)
    if answer[2] != b"{}":  # an answer to a request that is only looked at
        code, _, err = launch(*RIGHT, "--validate-only")
        assert code == 1
        assert "may have been started" not in err


def test_an_endpoint_that_nobody_listens_at_has_started_nothing(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--project", PROJECT, "--region", REGION, "--endpoint", "http://localhost:1"]
    assert exit_code(["launch", spec, *RIGHT, *place]) == 1
    err = capsys.readouterr().err
    assert "Dataflow cannot launch job flights: no answer from http://localhost:1: Connection refused" in err
    assert "may have been started" not in err


def test_a_launch_that_is_interrupted_says_that_the_job_may_run(
    launch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("beam_obs.dataflow.launch.call", interrupted)
    code, _, err = launch(*RIGHT)
    assert code == 130
    assert "job flights may have been started all the same" in err
    assert err.endswith("beam-obs: interrupted\n")


def test_a_secret_in_what_dataflow_answers_is_not_shown(
    launch: Callable[..., Any], server: DataflowServer
) -> None:
    server.refusals.append(
        Refused(403, "PERMISSION_DENIED", "no rights: Bearer ya29.a0AfB_byC0123456789abcd")
    )
    _, _, err = launch(*RIGHT)
    assert "no rights: [redacted]" in err


def test_credentials_that_are_missing_are_said_with_how_to_get_them(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(*_: Any) -> None:
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.setattr("beam_obs.dataflow.dataflow_calls.dataflow_client", nobody)
    assert exit_code(["launch", spec, *RIGHT, "--project", PROJECT, "--region", REGION]) == 1
    err = capsys.readouterr().err
    assert "were not found. (log in with `gcloud auth application-default login`)" in err


def test_the_command_that_follows_a_job_names_its_store(launch: Callable[..., Any]) -> None:
    _, _, err = launch(*RIGHT, "--param", "obs_store=gs://bucket/my store")
    assert "--store 'gs://bucket/my store' follows it\n" in err


def staged(folder: pathlib.Path, pipeline: Any) -> str:
    file = folder / f"{len(list(folder.iterdir()))}.pb"
    file.write_bytes(pipeline.to_runner_api().SerializeToString())
    return str(file)


def grouped(group: str = "group", key: Any = str) -> beam.Pipeline:
    pipeline = beam.Pipeline("FnApiRunner")
    numbers = pipeline | "make" >> beam.Create([1, 2])
    pairs = numbers | "key" >> beam.Map(lambda number: (key(number), number)).with_output_types(
        beam.typehints.Tuple[key, int]
    )
    _ = pairs | group >> beam.GroupByKey()
    return pipeline


def running(server: DataflowServer, launch: Callable[..., Any], graph: str) -> Any:
    assert launch(*RIGHT)[0] == 0
    (job,) = server.jobs.values()
    job.environment.sdk_pipeline_options = {"options": {"pipelineUrl": graph}}
    return job


def test_an_update_maps_steps_that_have_other_names(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    job = running(server, launch, staged(tmp_path, grouped()))
    new = staged(tmp_path, grouped("by key"))

    code, _, err = launch(*RIGHT, "--update", "--graph", new)

    assert code == 0, err
    assert "beam-obs: group -> by key\n" in err
    newest = list(server.jobs.values())[-1]
    assert (newest.replace_job_id, dict(newest.transform_name_mapping)) == (job.id, {"group": "by key"})


def test_an_update_that_cannot_be_taken_over_is_not_sent(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    running(server, launch, staged(tmp_path, grouped()))
    new = staged(tmp_path, grouped(key=int))

    code, _, err = launch(*RIGHT, "--update", "--graph", new)
    assert code == 1
    assert "group: its elements were encoded as kv<string_utf8, varint>, and are as kv<varint, varint>" in err
    assert "nothing was sent" in err
    assert len(server.jobs) == 1

    assert launch(*RIGHT, "--update", "--graph", new, "--even-incompatible")[0] == 0
    assert len(server.jobs) == 2


def test_a_batch_job_is_not_updated(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    job = running(server, launch, staged(tmp_path, grouped()))
    job.type_ = dataflow.JobType.JOB_TYPE_BATCH
    code, _, err = launch(*RIGHT, "--update")
    assert code == 1
    assert f"{job.id} is a batch job, nothing was sent: only streaming ones are updated" in err
    assert len(server.jobs) == 1


def test_an_update_that_is_refused_on_a_later_page_of_jobs_is_an_error(
    launch: Callable[..., Any], server: DataflowServer
) -> None:
    running(server, launch, "nowhere.pb")
    for number in range(120):
        name = f"other-{number}"
        server.add(name, dataflow.Job(name=name, current_state=State.JOB_STATE_RUNNING), [])
    server.jobs = dict(reversed(server.jobs.items()))
    assert launch(*RIGHT, "--update")[0] == 0  # it is on the second page
    server.refused_pages = True
    code, _, err = launch(*RIGHT, "--update")
    assert code == 1
    assert "Dataflow cannot list jobs: the service is away" in err


def test_an_update_whose_graph_is_not_known_is_left_to_dataflow(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    running(server, launch, staged(tmp_path, grouped()))
    code, _, err = launch(*RIGHT, "--update")
    assert code == 0
    assert "the new pipeline (--graph gives it) is not known" in err


def test_an_update_is_printed_where_the_running_job_cannot_be_asked(
    launch: Callable[..., Any], server: DataflowServer, tmp_path: pathlib.Path
) -> None:
    server.refusals.append(Refused(403, "PERMISSION_DENIED", "the caller may not list jobs"))
    graph = staged(tmp_path, grouped())
    code, out, err = launch(*RIGHT, "--update", "--graph", graph, "--dry-run")
    assert code == 0
    given = json.loads(out)["launchParameter"]
    assert (given["update"], given.get("transformNameMappings")) == (True, None)
    assert "new names of steps are left out: Dataflow cannot list jobs: the caller may not list jobs" in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "new.pb: there is no such file, nothing was sent"),
        (b"", "it is no portable pipeline"),
        (b"steps of a pipeline", "it is no portable pipeline"),
        (b'{"name": "x"}', "it is no template"),
    ],
    ids=["missing", "empty", "a text", "JSON"],
)
def test_a_graph_that_is_none_is_refused_and_nothing_sent(
    launch: Callable[..., Any],
    server: DataflowServer,
    tmp_path: pathlib.Path,
    content: bytes | None,
    told: str,
) -> None:
    running(server, launch, staged(tmp_path, grouped()))
    asked = len(server.asked)
    file = tmp_path / "new.pb"
    if content is not None:
        file.write_bytes(content)
    code, _, err = launch(*RIGHT, "--update", "--graph", str(file))
    assert code == 2
    assert told in err
    assert "nothing was sent" in err
    assert len(server.asked) == asked
    assert len(server.jobs) == 1


def test_an_update_of_a_job_that_does_not_run_names_those_that_do(launch: Callable[..., Any]) -> None:
    launch(*RIGHT)
    code, _, err = launch("--param", "input=gs://bucket/in", "--job-name", "flight", "--update")
    assert code == 1
    assert "no job named 'flight' runs: those that do are flights" in err

"""The local server of Dataflow's REST API: right requests go through, wrong ones are refused."""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

dataflow = pytest.importorskip("google.cloud.dataflow_v1beta3", reason="pip install 'beam_obs[gcp]'")

from google.api_core import exceptions  # noqa: E402 - which come with it

from beam_obs.metrics.dataflow_client import dataflow_client  # noqa: E402
from tests import dataflow_server  # noqa: E402
from tests.dataflow_server import PROJECT, REGION, DataflowServer, Refused, State  # noqa: E402
from tests.rest_api import api  # noqa: E402

PLACE = {"project_id": PROJECT, "location": REGION}
LAUNCH = f"/v1b3/projects/{PROJECT}/locations/{REGION}/flexTemplates:launch"
RIGHT: dict[str, Any] = {
    "launchParameter": {
        "jobName": "nightly",
        "containerSpecGcsPath": "gs://bucket/nightly.json",
        "parameters": {"input": "gs://bucket/in"},
        "environment": {
            "numWorkers": 2,
            "additionalUserLabels": {"team": "sky"},
            "ipConfiguration": "WORKER_IP_PRIVATE",
            "streamingMode": 2,
        },
    }
}


@pytest.fixture
def server() -> Iterator[DataflowServer]:
    with dataflow_server.running() as server:
        yield server


def post(server: DataflowServer, body: Any, path: str = LAUNCH, verb: str = "POST") -> tuple[int, Any]:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), method=verb)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def launch(server: DataflowServer, name: str = "nightly", **more: Any) -> Any:
    given = {"job_name": name, "container_spec_gcs_path": "gs://bucket/nightly.json", **more}
    request = dataflow.LaunchFlexTemplateRequest(launch_parameter=given, **PLACE)
    client = dataflow_client(dataflow.FlexTemplatesServiceClient, server.url)
    return client.launch_flex_template(request, timeout=10).job


def job_of(server: DataflowServer, id_: str) -> Any:
    client = dataflow_client(dataflow.JobsV1Beta3Client, server.url)
    return client.get_job(dataflow.GetJobRequest(job_id=id_, **PLACE), timeout=10)


def ask_for(server: DataflowServer, id_: str, state: Any) -> Any:
    client = dataflow_client(dataflow.JobsV1Beta3Client, server.url)
    job = dataflow.Job(requested_state=state)
    return client.update_job(dataflow.UpdateJobRequest(job_id=id_, job=job, **PLACE), timeout=10)


def test_a_right_request_is_taken_with_enums_by_name_and_by_number(server: DataflowServer) -> None:
    status, told = post(server, RIGHT)
    assert (status, told["job"]["name"]) == (200, "nightly")
    assert told["job"]["currentState"] == "JOB_STATE_QUEUED"


MUTATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field that is not known": lambda given: given.update(templateFile="gs://bucket/nightly.json"),
    "a name in another spelling": lambda given: given.update(job_name=given.pop("jobName")),
    "a number for a text": lambda given: given.update(jobName=7),
    "a text for a number": lambda given: given["environment"].update(numWorkers="two"),
    "a number that is no whole one": lambda given: given["environment"].update(numWorkers=1.5),
    "a text for a flag": lambda given: given.update(update="yes"),
    "a value that an enum does not have": lambda given: given["environment"].update(ipConfiguration="PUBLIC"),
    "a number that an enum does not have": lambda given: given["environment"].update(streamingMode=9),
    "a list for an object": lambda given: given.update(parameters=["input=gs://bucket/in"]),
    "a number in a map of texts": lambda given: given["parameters"].update(workers=3),
    "a name that no job can have": lambda given: given.update(jobName="Nightly_Flights"),
    "a template that is nowhere": lambda given: given.pop("containerSpecGcsPath"),
    "a local template": lambda given: given.update(containerSpecGcsPath="nightly.json"),
    "a mapping without an update": lambda given: given.update(transformNameMappings={"a": "b"}),
    "a label in capitals": lambda given: given["environment"].update(additionalUserLabels={"Team": "sky"}),
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_wrong_request_is_refused(server: DataflowServer, mutate: Callable[[Any], object]) -> None:
    wrong = copy.deepcopy(RIGHT)
    mutate(wrong["launchParameter"])
    status, told = post(server, wrong)
    assert (status, told["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert server.jobs == {}


def test_what_is_no_method_or_parameter_is_refused(server: DataflowServer) -> None:
    assert post(server, RIGHT, LAUNCH.replace("launch", "start"))[0] == 404
    assert post(server, RIGHT, f"{LAUNCH}?dryRun=true")[0] == 400
    assert post(server, RIGHT, LAUNCH, "PUT")[0] == 404


def test_a_job_goes_on_each_time_that_it_is_asked_for(server: DataflowServer) -> None:
    server.states_of_new = [State.JOB_STATE_QUEUED, State.JOB_STATE_RUNNING, State.JOB_STATE_DONE]
    id_ = launch(server).id
    states = [job_of(server, id_).current_state for _ in range(3)]
    assert states == [State.JOB_STATE_RUNNING, State.JOB_STATE_DONE, State.JOB_STATE_DONE]


@pytest.mark.parametrize("ending", ["CANCELLED", "DRAINED"])
def test_a_job_is_cancelled_or_drained_once(server: DataflowServer, ending: str) -> None:
    id_ = launch(server).id
    wanted = State[f"JOB_STATE_{ending}"]
    under_way = ask_for(server, id_, wanted).current_state
    assert under_way in (State.JOB_STATE_CANCELLING, State.JOB_STATE_DRAINING)
    assert job_of(server, id_).current_state == wanted
    with pytest.raises(exceptions.BadRequest, match="has ended"):
        ask_for(server, id_, wanted)


def test_two_jobs_of_one_name_cannot_run_and_an_update_replaces_the_first(server: DataflowServer) -> None:
    first = launch(server).id
    with pytest.raises(exceptions.Conflict, match=f"active job named nightly: {first}"):
        launch(server)
    second = launch(server, update=True, transform_name_mappings={"parse": "read"})
    assert (second.replace_job_id, dict(second.transform_name_mapping)) == (first, {"parse": "read"})
    replaced = job_of(server, first)
    assert (replaced.current_state, replaced.replaced_by_job_id) == (State.JOB_STATE_UPDATED, second.id)
    with pytest.raises(exceptions.NotFound, match="no active job is named 'hourly'"):
        launch(server, "hourly", update=True)


def test_only_asked_for_launches_nothing(server: DataflowServer) -> None:
    assert post(server, {**RIGHT, "validateOnly": True}) == (200, {})
    assert server.jobs == {}


def test_errors_of_the_service_are_those_of_the_client(server: DataflowServer) -> None:
    server.refusals.append(Refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Launches'"))
    with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded"):
        launch(server)
    with pytest.raises(exceptions.NotFound, match="job-7 was not found"):
        job_of(server, "job-7")
    server.projects.clear()
    with pytest.raises(exceptions.Forbidden, match="the caller lacks permission"):
        launch(server)


def test_jobs_and_messages_are_listed(server: DataflowServer) -> None:
    done = launch(server, "done").id
    server.jobs[f"{PROJECT}/{REGION}/{done}"].current_state = State.JOB_STATE_DONE
    launch(server, "runs")
    for number in range(150):
        server.say(done, f"message {number}", "JOB_MESSAGE_DEBUG" if number % 2 else "JOB_MESSAGE_ERROR")

    client = dataflow_client(dataflow.JobsV1Beta3Client, server.url)
    active = dataflow.ListJobsRequest(filter=dataflow.ListJobsRequest.Filter.ACTIVE, **PLACE)
    assert [job.name for job in client.list_jobs(active)] == ["runs"]
    messages = dataflow_client(dataflow.MessagesV1Beta3Client, server.url)
    asked = dataflow.ListJobMessagesRequest(job_id=done, **PLACE)
    assert [one.message_text for one in messages.list_job_messages(asked)] == [
        f"message {number}" for number in range(150)
    ]
    asked.minimum_importance = dataflow.JobMessageImportance.JOB_MESSAGE_ERROR
    assert len(list(messages.list_job_messages(asked))) == 75


def test_what_the_server_tells_has_the_form_of_the_document(server: DataflowServer) -> None:
    _, told = post(server, RIGHT)
    api("dataflow.v1b3").check("LaunchFlexTemplateResponse", told)
    with pytest.raises(Refused, match="Unknown name 'state'"):
        api("dataflow.v1b3").check("Job", {**told["job"], "state": "RUNNING"})

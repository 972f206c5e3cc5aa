"""A server on this machine that speaks what of Dataflow's REST API launches, changes and watches jobs.

A request is held against the official discovery document (`tests.rest_api`), revision 20261018, before
anything is done; what it takes and gives are the messages of Google's own client. Log lines of launchers are
told as Cloud Logging does. Jobs go on by themselves: a job that is asked for is in the next of its states.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

from tests.offline_dataflow import PROJECT as PROJECT
from tests.offline_dataflow import REGION as REGION
from tests.rest_api import Refused, Request, api

State = dataflow.JobState
_JSON = "application/json"
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")
_ENDED = (
    State.JOB_STATE_DONE,
    State.JOB_STATE_FAILED,
    State.JOB_STATE_CANCELLED,
    State.JOB_STATE_UPDATED,
    State.JOB_STATE_DRAINED,
)
_IMPORTANCE = [
    "JOB_MESSAGE_IMPORTANCE_UNKNOWN",
    "JOB_MESSAGE_DEBUG",
    "JOB_MESSAGE_DETAILED",
    "JOB_MESSAGE_BASIC",
    "JOB_MESSAGE_WARNING",
    "JOB_MESSAGE_ERROR",
]
"""From the least on, which is not the order of their numbers."""
_ASKED_FOR = {
    State.JOB_STATE_CANCELLED: (State.JOB_STATE_CANCELLING, State.JOB_STATE_CANCELLED),
    State.JOB_STATE_DRAINED: (State.JOB_STATE_DRAINING, State.JOB_STATE_DRAINED),
    State.JOB_STATE_DRAINING: (State.JOB_STATE_DRAINING, State.JOB_STATE_DRAINED),
}


@dataclasses.dataclass
class Asked:
    """A request that was taken: the id of the method, and what was sent."""

    method: str
    body: Any


class DataflowServer(http.server.ThreadingHTTPServer):
    """Jobs in memory, behind the REST API."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, Any] = {}
        """By project, region and id."""
        self.metrics: dict[str, Any] = {}
        """By the same."""
        self.messages: dict[str, list[Any]] = {}
        """By id of the job."""
        self.launcher_lines: dict[str, list[str]] = {}
        """What the launcher of a template has logged, by id of the job."""
        self.projects = {PROJECT}
        """Those that the caller may use."""
        self.to_come: dict[str, list[Any]] = {}
        """By id of a job the states that it is yet to have."""
        self.states_of_new = [State.JOB_STATE_QUEUED, State.JOB_STATE_RUNNING]
        self.asked: list[Asked] = []
        self.refusals: list[Refused] = []
        """What the next requests are answered, whatever they ask."""
        self.raw_answers: list[tuple[int, str, bytes]] = []
        """What the next requests are answered, as somebody else would: status, type and content."""
        self.refused_pages = False
        """Whether all pages of a list but the first are refused."""
        self.on_launch: Callable[[Any], None] = lambda job: None
        """Called with each new job, as the service starts its launcher."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def add(self, id_: str, job: Any, metrics: list[dict[str, Any]]) -> None:
        """Adds a job of the project ``project`` in ``us-central1``, and what it has counted."""
        job.id = id_
        self.jobs[_key(PROJECT, REGION, id_)] = job
        self.count(id_, metrics)

    def count(self, id_: str, metrics: list[dict[str, Any]]) -> None:
        """Takes what a job has counted."""
        told = json_format.ParseDict({"metrics": metrics}, dataflow.JobMetrics.pb()())
        (key,) = [key for key in self.jobs if key.endswith(f"/{id_}")]
        self.metrics[key] = told

    def say(self, id_: str, text: str, importance: str = "JOB_MESSAGE_BASIC") -> None:
        """Adds a message of a job."""
        told = self.messages.setdefault(id_, [])
        at = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
        at += datetime.timedelta(seconds=len(told))
        kind = dataflow.JobMessageImportance[importance]
        told.append(
            dataflow.JobMessage(id=str(len(told)), time=at, message_text=text, message_importance=kind)
        )

    def start(self, project: str, region: str, job: Any) -> Any:
        """Takes a new job, and gives it an id."""
        check(_JOB_NAME.fullmatch(job.name), f"The job name {job.name!r} is invalid")
        labels = [f"{key}={value}" for key, value in job.labels.items()]
        wrong = [label for label in labels if not _LABEL.fullmatch(label)]
        check(not wrong and len(labels) <= 64, f"labels are invalid: {wrong}")
        same = [
            one
            for key, one in self.jobs.items()
            if key.startswith(f"{project}/{region}/") and one.name == job.name
        ]
        active = [one for one in same if one.current_state not in _ENDED]
        if active and not job.replace_job_id:
            message = f"There is already an active job named {job.name}: {active[0].id}"
            raise Refused(409, "ALREADY_EXISTS", message)
        job.id = f"2026-01-02_03_04_05-{1000 + len(self.jobs)}"
        job.project_id, job.location = project, region
        job.create_time = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        job.current_state_time = job.create_time
        states = list(self.states_of_new)
        job.current_state = states.pop(0)
        self.to_come[job.id] = states
        for replaced in active:
            replaced.current_state, replaced.replaced_by_job_id = State.JOB_STATE_UPDATED, job.id
            self.to_come.pop(replaced.id, None)
        self.jobs[_key(project, region, job.id)] = job
        self.on_launch(job)
        return job


def check(holds: Any, message: str) -> None:
    """Raises Refused where something does not hold."""
    if not holds:
        raise Refused(400, "INVALID_ARGUMENT", message)


def user(name: str, value: float, step: str, tentative: bool = False, **context: str) -> dict[str, Any]:
    """Returns a counter of a namespace as the API tells it."""
    context = {"step": step, **context} | ({"tentative": "true"} if tentative else {})
    return {"name": {"origin": "user", "name": name, "context": context}, "scalar": value}


def service(name: str, value: float, tentative: bool = False, **context: str) -> dict[str, Any]:
    """Returns a number that the service counts itself."""
    context = context | ({"tentative": "true"} if tentative else {})
    return {"name": {"origin": "dataflow/v1b3", "name": name, "context": context}, "scalar": value}


@contextlib.contextmanager
def running() -> Iterator[DataflowServer]:
    """Runs a server while it lasts."""
    server = DataflowServer()
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _key(project: str, region: str, id_: str) -> str:
    return f"{project}/{region}/{id_}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: DataflowServer

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        document = "logging.v2" if self.path.startswith("/v2/") else "dataflow.v1b3"
        if self.server.raw_answers:
            self._answer(*self.server.raw_answers.pop(0))
            return
        try:
            if self.server.refusals:
                raise self.server.refusals.pop(0)
            request = api(document).read(self.command, self.path, content)
            name = request.method.replace("projects.locations.", "").replace(".", "_")
            answer = getattr(self, f"_{name}", None)
            if answer is None:
                raise Refused(501, "UNIMPLEMENTED", f"{request.method} is not spoken here")
            project = request.path.get("projectId")
            if project is not None and project not in self.server.projects:
                message = f"(b7f3): Could not use project {project!r}; the caller lacks permission"
                raise Refused(403, "PERMISSION_DENIED", message)
            told = answer(request)
            self.server.asked.append(Asked(request.method, request.body))
        except Refused as refused:
            self._answer(refused.code, _JSON, json.dumps(refused.to_json()).encode())
        else:
            by_number = "enum-encoding" in self.path
            if not isinstance(told, str):
                told = type(told).to_json(told, use_integers_for_enums=by_number)
            self._answer(200, _JSON, told.encode())

    do_GET = do_POST = do_PUT = _serve

    def _dataflow_flexTemplates_launch(self, request: Request) -> Any:
        asked = dataflow.LaunchFlexTemplateRequest.from_json(json.dumps(request.body))
        given = asked.launch_parameter
        one = bool(given.container_spec_gcs_path) != bool(given.container_spec.image)
        check(one, "exactly one of container_spec and container_spec_gcs_path must be set")
        path = given.container_spec_gcs_path
        check(not path or path.startswith("gs://"), f"{path!r} is no path of Cloud Storage")
        check(_JOB_NAME.fullmatch(given.job_name), f"The job name {given.job_name!r} is invalid")
        check(given.update or not given.transform_name_mappings, "transform_name_mappings need update")
        if asked.validate_only:
            return dataflow.LaunchFlexTemplateResponse()
        job = dataflow.Job(name=given.job_name, labels=dict(given.environment.additional_user_labels))
        if given.update:
            job.replace_job_id = self._active(request, given.job_name).id
            job.transform_name_mapping = dict(given.transform_name_mappings)
        return dataflow.LaunchFlexTemplateResponse(job=self._start(request, job))

    def _dataflow_templates_launch(self, request: Request) -> Any:
        given = dataflow.LaunchTemplateParameters.from_json(json.dumps(request.body))
        path = request.query.get("gcsPath", "")
        check(path.startswith("gs://"), f"gcsPath: {path!r} is no path of Cloud Storage")
        if request.query.get("validateOnly") == "true":
            return dataflow.LaunchTemplateResponse()
        job = dataflow.Job(name=given.job_name, labels=dict(given.environment.additional_user_labels))
        if given.update:
            job.replace_job_id = self._active(request, given.job_name).id
        return dataflow.LaunchTemplateResponse(job=self._start(request, job))

    def _dataflow_jobs_create(self, request: Request) -> Any:
        job = dataflow.Job.from_json(json.dumps(request.body))
        return self._start(request, job)

    def _dataflow_jobs_get(self, request: Request) -> Any:
        job = self._job(request)
        to_come = self.server.to_come.get(job.id)
        if to_come:
            job.current_state = to_come.pop(0)
            job.current_state_time = datetime.datetime.now(datetime.timezone.utc)
        return job

    def _dataflow_jobs_list(self, request: Request) -> Any:
        wanted = request.query.get("filter", "ALL")
        prefix = _key(request.path["projectId"], request.path["location"], "")
        jobs = [job for key, job in self.server.jobs.items() if key.startswith(prefix)]
        if wanted in ("ACTIVE", "3"):
            jobs = [job for job in jobs if job.current_state not in _ENDED]
        if wanted in ("TERMINATED", "2"):
            jobs = [job for job in jobs if job.current_state in _ENDED]
        if request.query.get("name"):
            jobs = [job for job in jobs if job.name == request.query["name"]]
        page, more = self._page(request, jobs)
        return dataflow.ListJobsResponse(jobs=page, next_page_token=more)

    def _dataflow_jobs_update(self, request: Request) -> Any:
        job = self._job(request)
        wanted = dataflow.Job.from_json(json.dumps(request.body)).requested_state
        check(wanted in _ASKED_FOR, f"a job cannot be asked to become {State(wanted).name}")
        if job.current_state in _ENDED:
            message = f"{job.id} has ended ({State(job.current_state).name}) and cannot be changed"
            raise Refused(400, "FAILED_PRECONDITION", message)
        job.requested_state = wanted
        job.current_state, *rest = _ASKED_FOR[wanted]
        self.server.to_come[job.id] = rest
        return job

    def _dataflow_jobs_getMetrics(self, request: Request) -> Any:
        job = self._job(request)
        found = self.server.metrics.get(_key(_project(request), request.path["location"], job.id))
        return json_format.MessageToJson(found if found is not None else dataflow.JobMetrics.pb()())

    def _dataflow_jobs_messages_list(self, request: Request) -> Any:
        job = self._job(request)
        least = request.query.get("minimumImportance", "JOB_MESSAGE_IMPORTANCE_UNKNOWN")
        if least.isdigit():
            least = dataflow.JobMessageImportance(int(least)).name
        told = self.server.messages.get(job.id, [])
        wanted = _IMPORTANCE[_IMPORTANCE.index(least) :]
        found = [one for one in told if dataflow.JobMessageImportance(one.message_importance).name in wanted]
        if since := request.query.get("startTime"):
            found = [one for one in found if one.time.rfc3339() >= since]
        page, more = self._page(request, found)
        return dataflow.ListJobMessagesResponse(job_messages=page, next_page_token=more)

    def _logging_entries_list(self, request: Request) -> str:
        wanted = str((request.body or {}).get("filter"))
        check("dataflow.googleapis.com%2Flauncher" in wanted, f"no log is named in {wanted!r}")
        match = re.search(r'job_id="([^"]+)"', wanted)
        lines = self.server.launcher_lines.get(match[1] if match else "", [])
        return json.dumps({"entries": [{"textPayload": line, "severity": "INFO"} for line in lines]})

    def _start(self, request: Request, job: Any) -> Any:
        return self.server.start(_project(request), request.path["location"], job)

    def _active(self, request: Request, name: str) -> Any:
        prefix = _key(_project(request), request.path["location"], "")
        for key, job in self.server.jobs.items():
            if key.startswith(prefix) and job.name == name and job.current_state not in _ENDED:
                return job
        raise Refused(404, "NOT_FOUND", f"no active job is named {name!r}")

    def _job(self, request: Request) -> Any:
        key = _key(_project(request), request.path["location"], request.path["jobId"])
        if key not in self.server.jobs:
            raise Refused(404, "NOT_FOUND", f"{key} was not found")
        return self.server.jobs[key]

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def _page(self, request: Request, found: list[Any]) -> tuple[list[Any], str]:
        """Returns the part of a list that is asked for, and the token of the next one."""
        first = int(request.query.get("pageToken") or 0)
        if first and self.server.refused_pages:
            raise Refused(503, "UNAVAILABLE", "the service is away")
        last = first + int(request.query.get("pageSize") or 100)
        return found[first:last], str(last) if last < len(found) else ""

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


def _project(request: Request) -> str:
    return request.path["projectId"]

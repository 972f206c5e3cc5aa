"""A job launched from a template: what is sent is checked and put together here, and then sent once."""

from __future__ import annotations

import datetime
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.dataflow.dataflow_calls import DataflowError, JobPlace, call, dataflow_types
from beam_obs.dataflow.launch_parameters import (
    FOLDERS,
    WrongParameters,
    cloud_storage_form,
    is_cloud_storage,
    parameter_problems,
)
from beam_obs.dataflow.launched_template import LaunchedTemplate
from beam_obs.records.dataflow_names import as_job_name, job_name_problem, label_problems
from beam_obs.store.unknown_name import nearest_names

GOOGLES = "https://dataflow.googleapis.com"
_OF_FLEX = "FlexTemplatesServiceClient"
_LOCAL_CLASSIC = "a classic template is launched from Cloud Storage: copy it to gs://BUCKET/... first"


class Wanted(NamedTuple):
    """What is asked of a launch.

    Args:
      parameters: of the template, by name.
      job_name: of the job; None for one made of the template's name and the time.
      labels: of the job, by key.
      environment: fields of the API's ``FlexTemplateRuntimeEnvironment`` by name, as ``maxWorkers``.
      is_update: whether it replaces the job of that name that runs.
      mapping: old names of transforms, or what they begin with -> new ones; of an update.
      at_least_once: whether a streaming job may process records more than once, which costs less.
    """

    parameters: Mapping[str, str] = {}
    job_name: str | None = None
    labels: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    is_update: bool = False
    mapping: Mapping[str, str] = {}
    at_least_once: bool = False


class LaunchRequest(NamedTuple):
    """A request that is ready to be sent.

    Args:
      place: where the job is to be.
      client: name of the client's class that sends it.
      method: name of its method.
      message: what is sent.
      job_name: of the job.
    """

    place: JobPlace
    client: str
    method: str
    message: Any
    job_name: str

    @property
    def address(self) -> str:
        """The address that it is posted to."""
        host = (self.place.endpoint or GOOGLES).rstrip("/")
        where = f"{host}/v1b3/projects/{self.place.project}/locations/{self.place.region}"
        if self.client == _OF_FLEX:
            return f"{where}/flexTemplates:launch"
        return f"{where}/templates:launch?gcsPath={urllib.parse.quote(self.message.gcs_path, safe='')}"

    def body(self) -> str:
        """Returns what is posted there, as JSON, enums by their names; the same text for the same request."""
        from google.protobuf import json_format

        told = json_format.MessageToDict(type(self.message).pb(self.message))
        of_flex = self.client == _OF_FLEX
        body = {"launchParameter": told["launchParameter"]} if of_flex else told["launchParameters"]
        return json.dumps(body, indent=2, sort_keys=True)

    def send(self, validate_only: bool = False) -> str | None:
        """Sends it; returns the id of the job.

        Args:
          validate_only: whether the service only looks at it, and starts nothing: there is no id then.

        Raises:
          DataflowError: the service refuses it.
        """
        message = type(self.message)(self.message)
        message.validate_only = validate_only
        task = f"{'validate' if validate_only else 'launch'} job {self.job_name}"
        try:
            answer = call(self.place.endpoint, self.client, self.method, message, task)
        except DataflowError as error:
            if validate_only or not error.is_open:
                raise
            reason = f"{error.reason}; {self.place.may_have_started(self.job_name)}"
            raise type(error)(task, reason, error.code, is_open=True) from None
        if not validate_only and not answer.job.id:
            reason = f"it answers without the id of a job; {self.place.may_have_started(self.job_name)}"
            raise DataflowError(task, reason, is_open=True)
        return answer.job.id or None


def launch_request(template: LaunchedTemplate, place: JobPlace, wanted: Wanted) -> LaunchRequest:
    """Returns the request that launches a template; nothing is sent.

    Args:
      template: the template.
      place: where the job is to be.
      wanted: what is asked for.

    Raises:
      WrongParameters: something of it would be refused, by the template or by Dataflow; all of it is named.
    """
    job_name = wanted.job_name or _job_name(template.name)
    problems = [] if template.metadata is None else parameter_problems(template.metadata, wanted.parameters)
    if name_problem := job_name_problem(job_name):
        problems.append(f"--job-name: {name_problem}")
    problems += label_problems(wanted.labels)
    if wanted.is_update and wanted.job_name is None:
        problems.append("--update replaces a job that runs: name it with --job-name")
    problems += _mode_problems(template.metadata, wanted)
    environment = _environment(template, wanted, problems)
    if template.spec is None and not template.is_in_cloud:
        problems.append(_LOCAL_CLASSIC)
    if problems:
        raise WrongParameters(template.location, problems)
    make = _flex_request if template.spec is not None else _classic_request
    return make(template, place, wanted, job_name, environment)


def _job_name(template: str) -> str:
    return f"{as_job_name(template)}-{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}"


def _mode_problems(metadata: Any, wanted: Wanted) -> list[str]:
    if not wanted.at_least_once:
        return []
    if metadata is None or not metadata.streaming:
        return ["--at-least-once is for streaming jobs, and the template does not say that it is one"]
    if not metadata.supports_at_least_once:
        return ["--at-least-once: the template does not support it (supportsAtLeastOnce in its metadata)"]
    return []


def _environment(template: LaunchedTemplate, wanted: Wanted, problems: list[str]) -> dict[str, Any]:
    """Returns the environment as JSON has it; what is wrong with it is added to the problems."""
    dataflow = dataflow_types()
    of_flex = template.spec is not None
    kind = dataflow.FlexTemplateRuntimeEnvironment if of_flex else dataflow.RuntimeEnvironment
    fields = {field.json_name: field for field in kind.pb().DESCRIPTOR.fields}
    found: dict[str, Any] = {}
    for name, text in wanted.environment.items():
        field = fields.get(name)
        if field is None:
            nearest = nearest_names(name, list(fields))
            told = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(fields)}"
            problems.append(f"--environment {name}: there is no such field; {told}")
            continue
        is_list = field.message_type is None and not isinstance(getattr(kind.pb()(), field.name), (str, int))
        value = text.split(",") if is_list and text else _value(field, text)
        if value is None:
            problems.append(f"--environment {name}: found {text!r}, expected {_expected(field, text)}")
        else:
            found[name] = value
    first, most, whose = found.get("numWorkers"), found.get("maxWorkers"), "maxWorkers"
    if most is None and of_flex:
        # A launch that says nothing of it has what its template says.
        most, whose = template.spec.default_environment.max_workers or None, "the template's maxWorkers"
    if first is not None and most is not None and first > most:
        problems.append(f"--environment numWorkers: found {first}, expected at most the {most} of {whose}")
    if wanted.labels:
        found["additionalUserLabels"] = dict(wanted.labels)
    if wanted.at_least_once:
        found["streamingMode"] = "STREAMING_MODE_AT_LEAST_ONCE"
    return found


def _value(field: Any, text: str) -> Any:
    """Returns a field's value as JSON has it; None where a text is none."""
    if field.enum_type is not None:
        return text if text in field.enum_type.values_by_name else None
    if field.message_type is not None:
        return None
    if field.type == field.TYPE_BOOL:
        return {"true": True, "false": False}.get(text.lower())
    if field.type in (field.TYPE_INT32, field.TYPE_INT64):
        return int(text) if text.isdecimal() and int(text) < 1 << 31 else None  # sizes and numbers of things
    if field.json_name in FOLDERS:
        return text if is_cloud_storage(text) else None
    return text or None


def _expected(field: Any, text: str) -> str:
    if field.enum_type is not None:
        return f"one of {', '.join(field.enum_type.values_by_name)}"
    if field.message_type is not None:
        return "an option of its own: --label KEY=VALUE"
    if field.json_name in FOLDERS:
        return cloud_storage_form(text, "gs://BUCKET/FOLDER")
    if field.type == field.TYPE_STRING:
        return "a value"
    return "true or false" if field.type == field.TYPE_BOOL else "a whole number"


def _flex_request(
    template: LaunchedTemplate, place: JobPlace, wanted: Wanted, job_name: str, environment: dict[str, Any]
) -> LaunchRequest:
    dataflow = dataflow_types()
    given = dataflow.LaunchFlexTemplateParameter(
        job_name=job_name,
        parameters=dict(wanted.parameters),
        environment=dataflow.FlexTemplateRuntimeEnvironment.from_json(json.dumps(environment)),
        update=wanted.is_update,
        transform_name_mappings=dict(wanted.mapping),
    )
    if template.is_in_cloud:
        given.container_spec_gcs_path = template.location
    else:
        given.container_spec = template.spec
    message = dataflow.LaunchFlexTemplateRequest(
        project_id=place.project, location=place.region, launch_parameter=given
    )
    return LaunchRequest(place, _OF_FLEX, "launch_flex_template", message, job_name)


def _classic_request(
    template: LaunchedTemplate, place: JobPlace, wanted: Wanted, job_name: str, environment: dict[str, Any]
) -> LaunchRequest:
    dataflow = dataflow_types()
    given = dataflow.LaunchTemplateParameters(
        job_name=job_name,
        parameters=dict(wanted.parameters),
        environment=dataflow.RuntimeEnvironment.from_json(json.dumps(environment)),
        update=wanted.is_update,
        transform_name_mapping=dict(wanted.mapping),
    )
    message = dataflow.LaunchTemplateRequest(
        project_id=place.project,
        location=place.region,
        gcs_path=template.location,
        launch_parameters=given,
    )
    return LaunchRequest(place, "TemplatesServiceClient", "launch_template", message, job_name)

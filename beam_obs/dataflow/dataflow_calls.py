"""Calls of Dataflow's API: tried again while a quota is used up, and their errors as what a person can do."""

from __future__ import annotations

import logging
import os
import re
from typing import Any, NamedTuple

from beam_obs.metrics.dataflow_client import dataflow_client
from beam_obs.records.errors import BeamObsError, MissingExtra, UsageError
from beam_obs.records.secrets import redact_text

_LOGGER = logging.getLogger(__name__)

CONSOLE = "https://console.cloud.google.com/dataflow/jobs"
_ANSWER_SECONDS = 60.0
_PATIENCE_SECONDS = 60.0
_WHAT_TO_DO = {
    401: "log in with `gcloud auth application-default login`",
    403: "the caller needs roles/dataflow.developer in the project, and roles/iam.serviceAccountUser on the "
    "service account of the workers",
    404: "look at project and region (--project, --region)",
    409: "give another --job-name, or --update to replace the job that runs",
    429: "a quota of the project is used up: try again later, or ask for more of it",
}
_NEVER_SENT = (
    "Connection refused",
    "Name or service not known",
    "Network is unreachable",
    "No route to host",
)
_PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
_REGION_VARIABLES = ("CLOUDSDK_COMPUTE_REGION",)


class DataflowError(BeamObsError):
    """Dataflow refuses a request, or does not answer.

    Args:
      task: what was asked for, as the end of "Dataflow cannot".
      reason: what it says.
      code: of HTTP; None where there was no answer.
      is_open: whether it may have been done all the same: it was sent, and nothing says that it was refused.
    """

    def __init__(self, task: str, reason: str, code: int | None = None, is_open: bool = False) -> None:
        todo = _WHAT_TO_DO.get(code or 0)
        super().__init__(f"Dataflow cannot {task}: {reason}{f' ({todo})' if todo else ''}")
        self.task = task
        self.reason = reason
        self.code = code
        self.is_open = is_open

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered a little later."""
        return self.code is None or self.code == 429 or self.code >= 500

    def __reduce__(self) -> tuple[type[DataflowError], tuple[Any, ...]]:
        return (type(self), (self.task, self.reason, self.code, self.is_open))


class DataflowTimeout(DataflowError):
    """Dataflow does not answer in time."""


class JobPlace(NamedTuple):
    """Where jobs are.

    Args:
      project: their project.
      region: their region.
      endpoint: of the service, as Beam's ``--dataflow_endpoint``; None for Google's own.
    """

    project: str
    region: str
    endpoint: str | None = None

    def console(self, job_id: str) -> str:
        """Returns the address of a job's page."""
        return f"{CONSOLE}/{self.region}/{job_id}?project={self.project}"

    def may_have_started(self, job_name: str) -> str:
        """Returns what is to be said of a job whose launch was sent, and whose answer never came."""
        return (
            f"job {job_name} may have been started all the same: look at {CONSOLE}?project={self.project} "
            f"before it is launched again, or launch it with --job-name={job_name}: two of a name cannot run"
        )


_FORMS = {
    "project": (
        re.compile(r"([a-z0-9.-]+:)?[a-z]([a-z0-9-]*[a-z0-9])?"),
        "an id is small letters, digits and hyphens, a letter first; not the name or the number",
    ),
    "region": (re.compile(r"[a-z]+-[a-z]+[0-9]+"), "write one like europe-west1"),
}
_ENDPOINT = re.compile(r"https?://[^\s/@]+/?")


def place(project: str | None, region: str | None, endpoint: str | None = None) -> JobPlace:
    """Returns where jobs are, by what is given or else by variables that gcloud and Beam use too.

    Args:
      project: as given.
      region: as given.
      endpoint: as given.

    Raises:
      UsageError: project or region are neither given nor set, or cannot be one; both are said.

    >>> place("sky", "europe-west1").console("2026-01-02_03_04_05-678")
    'https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-01-02_03_04_05-678?project=sky'
    """
    found, problems = sought_place(project, region, endpoint)
    if problems:
        raise UsageError("; ".join(problems))
    return found


def sought_place(
    project: str | None, region: str | None, endpoint: str | None = None
) -> tuple[JobPlace, list[str]]:
    """Returns where jobs are, as `place` does, and what is missing of it or cannot be one."""
    found, problems = [], []
    for name, given, variables in (
        ("project", project, _PROJECT_VARIABLES),
        ("region", region, _REGION_VARIABLES),
    ):
        value = given or next((os.environ[one] for one in variables if os.environ.get(one)), "")
        form, expected = _FORMS[name]
        if not value:
            problems.append(f"no {name} is given: write --{name}=..., or set {variables[0]}")
        elif form.fullmatch(value) is None:
            problems.append(f"{name} is {value!r}: {expected}")
        found.append(value)
    if endpoint is not None and _ENDPOINT.fullmatch(endpoint) is None:
        shown = redact_text(repr(endpoint))
        problems.append(f"endpoint is {shown}: write https://HOST, or http://localhost:PORT of this machine")
    return JobPlace(found[0], found[1], endpoint), problems


def dataflow_types() -> Any:
    """Returns the module of the messages and clients of Dataflow's API.

    Raises:
      MissingExtra: the ``dataflow`` extra is not installed.
    """
    try:
        import google.cloud.dataflow_v1beta3 as dataflow
    except ImportError:
        raise MissingExtra("Jobs of Dataflow", "dataflow") from None
    return dataflow


def call(
    endpoint: str | None,
    client: str,
    method: str,
    request: Any,
    task: str,
    seconds: float = _ANSWER_SECONDS,
    is_patient: bool = True,
) -> Any:
    """Returns what a method of the API answers; of a list all of it.

    Args:
      endpoint: of the service; None for Google's own.
      client: name of the client's class.
      method: its name.
      request: the message that it takes.
      task: what is asked for, as the end of "Dataflow cannot".
      seconds: within which it has to answer.
      is_patient: whether it is tried again for a minute while a quota is used up.

    Raises:
      DataflowTimeout: it does not answer in that time.
      DataflowError: it refuses, nobody answers, or somebody else does.
      MissingExtra: the ``dataflow`` extra is not installed.
    """
    dataflow = dataflow_types()
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RequestException, Timeout

    retry = Retry(
        if_exception_type(exceptions.TooManyRequests),
        initial=0.5,
        maximum=10,
        timeout=_PATIENCE_SECONDS,
        on_error=_Waiting(task),
    )
    try:
        asked = getattr(dataflow_client(getattr(dataflow, client), endpoint), method)
        answer = asked(request, retry=retry if is_patient else None, timeout=seconds)
        return list(answer) if hasattr(type(answer), "pages") else answer
    except exceptions.RetryError as error:
        raise _error(task, error.cause or error) from None
    except (Timeout, exceptions.DeadlineExceeded):
        raise DataflowTimeout(task, f"it did not answer within {seconds:g} s", is_open=True) from None
    except NoConnection as error:
        # Of what requests says of it, with the whole address, the system's own words.
        said = re.search(r"\[Errno -?\d+\] ([\w ]+)", str(error))
        reason = said[1] if said else _shown(error)
        where = redact_text(endpoint) if endpoint else "Dataflow"
        is_open = reason not in _NEVER_SENT
        raise DataflowError(task, f"no answer from {where}: {reason}", is_open=is_open) from None
    except (exceptions.GoogleAPICallError, GoogleAuthError, RequestException) as error:
        raise _error(task, error) from None
    except Exception as error:  # of the client, that reads what somebody else answers, as a proxy does
        reason = f"what {redact_text(endpoint) if endpoint else 'it'} answers cannot be read: {_shown(error)}"
        raise DataflowError(task, reason, is_open=True) from None


class _Waiting:
    """Says once that a quota is used up, and that it is waited for."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._is_said = False

    def __call__(self, error: Any) -> None:
        if not self._is_said:
            self._is_said = True
            _LOGGER.warning(
                "a quota of Dataflow is used up: it is asked for %g s whether it can %s",
                _PATIENCE_SECONDS,
                self._task,
            )


def _error(task: str, error: Any) -> DataflowError:
    from google.auth.exceptions import DefaultCredentialsError, RefreshError

    code = getattr(error, "code", None)
    if isinstance(error, (DefaultCredentialsError, RefreshError)):
        code = 401
    code = int(code) if isinstance(code, (int, str)) else None
    return DataflowError(task, _shown(getattr(error, "message", None) or error), code, (code or 0) >= 500)


def _shown(error: Any) -> str:
    """Returns what an error says, on one line, without secrets; of a page what is written on it."""
    # Before what the service says the client has the address of its request.
    said = str(error).rpartition("json%3Benum-encoding%3Dint: ")[2]
    if re.match(r"\s*<(!doctype\s+)?html", said, re.IGNORECASE):
        said = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", said, flags=re.DOTALL | re.IGNORECASE)
    return redact_text(" ".join(said.split()))[:500]

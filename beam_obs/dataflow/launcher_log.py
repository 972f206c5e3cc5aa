"""What the launcher of a flex template has logged: its job says no more than "Template launch failed"."""

from __future__ import annotations

from typing import Any

from beam_obs.dataflow.dataflow_calls import JobPlace
from beam_obs.records.wording import clean

_LOGGING = "https://logging.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/logging.read"
_ANSWER_SECONDS = 20.0
_MOST_READ = 200
_MOST_LINES = 40


def launcher_lines(place: JobPlace, job_id: str) -> list[str]:
    """Returns the last lines that the launcher of a job logged, from the last traceback on.

    Where Cloud Logging does not tell them, the one line says why not, and where they can be read.

    Args:
      place: where the job is; a service on this machine is asked for its logs, too.
      job_id: id of the job.
    """
    wanted = (
        f'resource.type="dataflow_step" AND resource.labels.job_id="{job_id}" AND '
        f'logName="projects/{place.project}/logs/dataflow.googleapis.com%2Flauncher"'
    )
    request = {
        "resourceNames": [f"projects/{place.project}"],
        "filter": wanted,
        "orderBy": "timestamp desc",
        "pageSize": _MOST_READ,
    }
    try:
        entries = _entries(place, request)
    except Exception as error:  # of the network, of credentials, of what is answered
        told = clean(" ".join(str(error).split())[:300])
        return [f"Cloud Logging does not tell what the launcher logged ({told}): {place.console(job_id)}"]
    lines = [line for entry in reversed(entries) for line in _text(entry).splitlines() if line.strip()]
    return _telling(lines)


def _entries(place: JobPlace, request: dict[str, Any]) -> list[dict[str, Any]]:
    import requests

    is_here = place.endpoint is not None and place.endpoint.startswith("http://")
    if is_here:
        session: Any = requests.Session()
        address = str(place.endpoint).rstrip("/")
    else:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        session = AuthorizedSession(google.auth.default(scopes=[_SCOPE])[0])
        address = _LOGGING
    answer = session.post(f"{address}/v2/entries:list", json=request, timeout=_ANSWER_SECONDS)
    answer.raise_for_status()
    return list(answer.json().get("entries") or [])


def _text(entry: dict[str, Any]) -> str:
    told = entry.get("textPayload") or (entry.get("jsonPayload") or {}).get("message") or ""
    return str(told)


def _telling(lines: list[str]) -> list[str]:
    began = [
        number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")
    ]
    first = began[-1] if began else 0
    return lines[first:][-_MOST_LINES:]

"""Runs that were submitted, with the states of their jobs: asked when somebody looks, for some seconds."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterable

from beam_obs.dataflow.dataflow_calls import DataflowTimeout
from beam_obs.dataflow.dataflow_job import is_of_dataflow, place_of, state_of
from beam_obs.dataflow.running_job import job_of
from beam_obs.records.number_text import counted
from beam_obs.store.run_record import RunRecord

_MOST_ASKED = 10
_SECONDS = 3.0
_NOT_KNOWN = "its project, region or endpoint is not known"


def with_jobs(records: Iterable[RunRecord], seconds: float = _SECONDS) -> tuple[list[RunRecord], list[str]]:
    """Returns runs, those submitted to Dataflow with the states of their jobs; and what could not be told.

    Args:
      records: runs.
      seconds: that all of it may take.
    """
    found = list(records)
    submitted = [one for one in found if one.status == "submitted" and is_of_dataflow(one) and one.job_id]
    asked = [_Asked(record, seconds) for record in submitted[:_MOST_ASKED]]
    until = time.monotonic() + seconds
    for one in asked:
        one.thread.join(max(0.0, until - time.monotonic()))
    states = {one.record.id: one.state for one in asked if one.state is not None}
    told = [
        dataclasses.replace(record, job_state=states.get(record.id)) if record.id in states else record
        for record in found
    ]
    reasons: dict[str, int] = {}
    for one in asked:
        if one.state is None:
            reason = one.reason or f"Dataflow did not answer within {seconds:g} s"
            reasons[reason] = reasons.get(reason, 0) + 1
    problems = [_problem(number, reason) for reason, number in reasons.items()]
    left = len(submitted) - len(asked)
    if left > 0:
        problems.append(_problem(left, f"only the newest {_MOST_ASKED} are asked"))
    return told, problems


class _Asked:
    """A job that a thread asks for its state; nobody waits for it longer than for all of them."""

    def __init__(self, record: RunRecord, seconds: float) -> None:
        self.record = record
        self.state: str | None = None
        self.reason: str | None = None
        self._seconds = seconds
        self.thread = threading.Thread(target=self._ask, name="beam_obs job", daemon=True)
        self.thread.start()

    def _ask(self) -> None:
        try:
            place = place_of(self.record)
            if place is None:
                self.reason = _NOT_KNOWN
                return
            job = job_of(place, str(self.record.job_id), self._seconds, is_patient=False)
            self.state = state_of(job).lower()
        except DataflowTimeout:
            return  # as if it were still asked
        except Exception as error:  # of the network, of credentials, of an extra that is not there
            self.reason = " ".join(str(error).split())[:300]


def _problem(number: int, reason: str) -> str:
    return f"{counted(number, 'job')} of submitted runs could not be asked: {reason}"

"""What a job that is watched from elsewhere has to tell, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from beam_obs.metrics.run_snapshot import Snapshot
from beam_obs.records.errors import BeamObsError


class CannotBeWatched(BeamObsError):
    """A run whose job nobody can be asked about.

    Args:
      run: id of the run.
      reason: why not, and what to do.
    """

    def __init__(self, run: str, reason: str) -> None:
        super().__init__(f"run {run} cannot be watched: {reason}")
        self.run = run
        self.reason = reason

    def __reduce__(self) -> tuple[type[CannotBeWatched], tuple[str, str]]:
        return (CannotBeWatched, (self.run, self.reason))


class NoAnswer(Exception):
    """Who runs a job gives no answer, or an error."""


class JobLook(NamedTuple):
    """How a job goes.

    Args:
      state: one of Beam's `PipelineState`.
      since: when it came into that state, as the store keeps times; None where nobody says.
      snapshot: its numbers.
    """

    state: str
    since: str | None
    snapshot: Snapshot


class AskedJob(Protocol):
    """A job that can be asked how it goes.

    Args:
      id: its id.
      where: who is asked, as in "... does not answer any more".
    """

    id: str
    where: str

    def look(self, labels: Mapping[str, str]) -> JobLook:
        """Returns how it goes; raises NoAnswer.

        Args:
          labels: full labels of the pipeline's steps by their ids in its portable form.
        """

    def last_error(self) -> str:
        """Returns what it said last of an error; nothing where it said nothing."""

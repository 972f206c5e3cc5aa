"""Errors a caller may want to catch. Each says what was found, where, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_obs.records.made_at import users_line
from beam_obs.records.number_text import counted
from beam_obs.records.public_names import is_public, known_by_public_name


@known_by_public_name
class BeamObsError(Exception):
    """Base of every error that beam_obs raises on purpose.

    >>> import beam_obs as obs
    >>> try:
    ...     obs.Store("nowhere").find("latest")
    ... except obs.BeamObsError as error:
    ...     print(type(error).__name__)
    RunNotFound
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if is_public(cls):
            known_by_public_name(cls)


class PlacedError(BeamObsError):
    """An error that is told with the line of the user's program at which it was found, while that builds a
    pipeline.

    Args:
      message: without that line, or with it.
    """

    def __init__(self, message: str) -> None:
        place = users_line()
        super().__init__(message if place is None or place in message else f"{message} (at {place})")

    def __reduce__(self) -> tuple[Any, ...]:
        # The message has its place, which whoever unpickles it would take for their own.
        return (_as_it_was, (type(self), self.args), self.__dict__)


class UsageError(PlacedError, ValueError):
    """A construct was used wrongly; raised when the pipeline is built, before anything runs.

    Args:
      message: what was given, and what to write instead; the line of the user's program is added.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> obs.Stage(beam.Map(int), partial="no")
    Traceback (most recent call last):
    beam_obs...UsageError: partial='no': give True or False...
    """


class MissingExtra(PlacedError, ImportError):
    """A feature needs packages that are not installed.

    Args:
      feature: what was asked for, e.g. ``"Parquet"``.
      extra: the extra of this project that installs it, e.g. ``"parquet"``.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed: pip install 'beam_obs[{extra}]'")
        self.feature = feature
        self.extra = extra


def no_home(stage: str) -> str:
    """Returns what is to be said of a step whose dead letters have no home: which homes there are.

    Args:
      stage: label of the step.
    """
    return (
        f"stage {stage!r}, whose dead letters have no home: use `beam-obs run` or obs.Pipeline for the store "
        "of the run, `.with_dead_letters()` for an output of your own, or "
        "`dead_letters=obs.DeadLetters(folder)`"
    )


class RefusedRecord(BeamObsError):
    """A record was refused by a step whose dead letters have no home, so the bundle fails.

    Args:
      stage: label of the step that refused the record.
      error: the original error, as ``Type: message``.
    """

    def __init__(self, stage: str, error: str) -> None:
        super().__init__(f"{error} [refused by {no_home(stage)}]")
        self.stage = stage
        self.error = error

    def __reduce__(self) -> tuple[type[RefusedRecord], tuple[str, str]]:
        return (RefusedRecord, (self.stage, self.error))


class EvidenceNotKept(BeamObsError):
    """Dead letters cannot be written, so the bundle fails: nothing is refused without one.

    Args:
      what: what cannot be written.
      path: where.
      reason: what the filesystem said.
    """

    def __init__(self, what: str, path: str, reason: str) -> None:
        super().__init__(f"{what} cannot be written: {path}: {reason}")
        self.what = what
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[EvidenceNotKept], tuple[str, str, str]]:
        return (EvidenceNotKept, (self.what, self.path, self.reason))


class ServiceDown(BeamObsError):
    """The service that a stage needs is down, so the bundle fails: a runner that tries again may find it up.

    Nothing of the bundle is a dead letter, also what was refused before it was known.

    Args:
      stage: label of the stage.
      error: what the last attempt failed with, as ``Type: message``.
      records: how many records in a row failed in all of their attempts, the last one included.
      budget: seconds that a bundle may wait, which are used up.

    >>> print(ServiceDown("look up", "ConnectionError: reset", 3, 60))
    stage 'look up': its service is down: 3 records in a row failed with transient errors, and the 60 s that a bundle may wait are used up; the last failed with ConnectionError: reset
    """  # noqa: E501

    def __init__(self, stage: str, error: str, records: int, budget: float) -> None:
        failed = f"{records:,} records in a row" if records > 1 else "a record"
        super().__init__(
            f"stage {stage!r}: its service is down: {failed} failed with transient errors, and the "
            f"{budget:g} s that a bundle may wait are used up; the last failed with {error}"
        )
        self.stage = stage
        self.error = error
        self.records = records
        self.budget = budget

    def __reduce__(self) -> tuple[Any, ...]:
        return (ServiceDown, (self.stage, self.error, self.records, self.budget))


class ElementTimeout(BeamObsError):
    """An element took longer than its isolated stage allows: its process was ended, and made anew.

    Args:
      stage: label of the stage.
      seconds: that it may take.
    """

    def __init__(self, stage: str, seconds: float) -> None:
        super().__init__(f"stage {stage!r}: an element was not done within the {seconds:g} s of timeout=")
        self.stage = stage
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return (ElementTimeout, (self.stage, self.seconds))


class ElementKilledProcess(BeamObsError):
    """An element ended the process of its isolated stage, which was made anew.

    Args:
      stage: label of the stage.
      how: what became of the process, e.g. ``was ended by SIGABRT``.
    """

    def __init__(self, stage: str, how: str) -> None:
        super().__init__(f"stage {stage!r}: the process of an element {how}")
        self.stage = stage
        self.how = how

    def __reduce__(self) -> tuple[Any, ...]:
        return (ElementKilledProcess, (self.stage, self.how))


class ElementOutOfMemory(BeamObsError):
    """An element took more memory than its isolated stage, or the machine, has: its process was made anew.

    Args:
      stage: label of the stage.
      limit: bytes that it may take; None where none were given.
    """

    def __init__(self, stage: str, limit: int | None) -> None:
        of = "there is" if limit is None else f"the {limit:,} bytes of memory="
        super().__init__(f"stage {stage!r}: an element took more memory than {of}")
        self.stage = stage
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        return (ElementOutOfMemory, (self.stage, self.limit))


class ElementFailed(BeamObsError):
    """An error of an isolated stage's code whose class cannot leave its process; it stands for it.

    Args:
      error_type: full name of the error's class, which a dead letter has as its own.
      message: its text.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return (ElementFailed, (self.error_type, self.message))


class IsolationFailed(BeamObsError):
    """The process of an isolated stage cannot be started, or its DoFn not be set up: the bundle fails.

    Args:
      stage: label of the stage.
      reason: what went wrong.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"stage {stage!r}: its process cannot be started: {reason}")
        self.stage = stage
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return (IsolationFailed, (self.stage, self.reason))


class DeadRateExceeded(BeamObsError):
    """A stage refused more than the allowed share of its records.

    The job itself ended well: what the pipeline wrote is written, and so is every dead letter.

    Args:
      stage: label of the stage.
      dead: how many records it refused.
      taken: how many it was given.
      limit: the share allowed.
      commonest: the commonest kinds of refusal, as (count, error).

    >>> error = DeadRateExceeded("parse", 30, 200, 0.1, [(30, "ValueError")])
    >>> print(error)
    stage 'parse' refused 30 of 200 records (15.0%), more than the 10.0% that its max_dead_rate allows:
      30  ValueError
    >>> error.rate
    0.15
    """

    def __init__(
        self, stage: str, dead: int, taken: int, limit: float, commonest: Sequence[tuple[int, str]]
    ) -> None:
        kinds = "".join(f"\n  {count:>9,}  {error}" for count, error in commonest)
        super().__init__(
            f"stage {stage!r} refused {dead:,} of {counted(taken, 'record')} ({dead / taken:.1%}), "
            f"more than the {limit:.1%} that its max_dead_rate allows{':' if kinds else ''}{kinds}"
        )
        self.stage = stage
        self.dead = dead
        self.taken = taken
        self.limit = limit
        self.commonest = tuple(commonest)

    @property
    def rate(self) -> float:
        """Share of the records that was refused."""
        return self.dead / self.taken

    def __reduce__(self) -> tuple[Any, ...]:
        return (DeadRateExceeded, (self.stage, self.dead, self.taken, self.limit, self.commonest))


def _as_it_was(kind: type[PlacedError], told: tuple[Any, ...]) -> PlacedError:
    error = kind.__new__(kind)
    error.args = told
    return error

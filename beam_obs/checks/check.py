"""Check: a step that says what is assumed of its records, and refuses or counts those that are otherwise.

    flights | "plausible" >> obs.Check(
        obs.between("dep_time", 0, 2400, allow_none=True),
        obs.one_of("carrier", carriers),
    )

A Stage in every way, but for what is inside: see `beam_obs.checks.assumptions` and docs/checks.md.
"""

from __future__ import annotations

import dataclasses
import difflib
import operator
from collections.abc import Iterable
from typing import Any, Literal

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints.row_type import RowTypeConstraint
from typing_extensions import Self

from beam_obs.checks.assumption import Assumption, Unique
from beam_obs.checks.assumptions import between
from beam_obs.checks.check_records import CheckRecords, CountBreaks
from beam_obs.checks.check_uniqueness import LookForCopies
from beam_obs.dead_letters.evidence_writer import globally
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import Observation
from beam_obs.stages.observed_pardo import guard_settings, observe, own_output
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.refusal import EVIDENCE_TAG


class Check(Stage):
    """Passes on the records for which all assumptions hold, as they are.

    A record that breaks one or several is one dead letter, of type `AssumptionBroken`, whose message names
    each assumption, field, value and limit; the first of them tells its fingerprint. Its homes are those
    of a `Stage`.

    Args:
      assumptions: made by `obs.between`, `obs.one_of`, `obs.matches`, `obs.of_type`, `obs.not_null`,
        `obs.holds`, `obs.unique` and `obs.fits_schema`; told in this order.
      on_break: ``"dead_letter"``, or ``"count"`` to pass all records on and count, for the run, how many
        broke which assumption.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: there is no assumption or something else, two have one name, a typed record has no such
        field, the Check has no label, or dead letters have two homes or do not come about.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     plausible, dead = (
    ...         p
    ...         | beam.Create([{"dep_time": 517}, {"dep_time": 2460}])
    ...         | "plausible" >> obs.Check(obs.between("dep_time", 0, 2400)).with_dead_letters()
    ...     )
    ...     _ = dead | beam.Map(lambda letter: print(letter.error_message))
    dep_time between: dep_time is 2460, expected 0 to 2400
    """

    _called = "obs.Check"

    def __init__(
        self,
        *assumptions: Assumption,
        on_break: Literal["dead_letter", "count"] = "dead_letter",
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            beam.ParDo(CheckRecords(())),
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        self._assumptions = assumptions
        self._counts = on_break == "count"
        problem = _problem(assumptions, on_break)
        if self._counts and dead_letters is not None:
            problem = (
                'has on_break="count" and dead_letters=: records that are only counted are no dead letters'
            )
        if self._counts and max_dead_rate is not None:
            problem = 'has on_break="count" and max_dead_rate=: records that are only counted are not refused'
        if problem:
            raise UsageError(f"obs.Check at {self._made_at} {problem}")

    def with_dead_letters(self) -> Self:
        """Returns this Check with two results: the records passed on, and a PCollection of `DeadLetter`.

        Raises:
          UsageError: dead letters have a home already, or do not come about.
        """
        if self._counts:
            raise UsageError(
                f'obs.Check at {self._made_at} has on_break="count" and with_dead_letters(): '
                "what is only counted is no dead letter"
            )
        return super().with_dead_letters()

    def _observe_pardo(self, records: Any, stage: str, observation: Observation, keeps: bool) -> Any:
        for assumption in self._assumptions:
            called = f"obs.Check {stage!r} (made at {self._made_at})"
            _check_fields(assumption, records.element_type, called)
        settings = guard_settings(records, stage, observation, keeps, redact=self._redact)
        numbered = False
        looked_at = records
        for assumption in self._assumptions:
            if isinstance(assumption, Unique):
                others = [other for other in self._assumptions if other is not assumption]
                looked_at = records | "Copies" >> LookForCopies(assumption, others)
                numbered, settings.record_of = True, operator.itemgetter(1)
        checks: CheckRecords = CheckRecords(self._assumptions, numbered)
        tells = self._counts and observation.observed
        if self._counts:
            checks = CountBreaks(
                self._assumptions,
                numbered,
                stage,
                records.windowing.windowfn if tells else None,
                settings.redaction,
            )
        main, refused, _ = observe(beam.ParDo(checks), looked_at, settings, observation, kind="Check")
        if tells:
            manifests = own_output(main, records.pipeline._current_transform(), EVIDENCE_TAG)
            manifests.element_type = str
            observation.evidence.append(globally(manifests))
        return main, refused


def _problem(assumptions: tuple[Any, ...], on_break: Any) -> str:
    """Returns what is wrong with a Check's arguments, or nothing."""
    if on_break not in ("dead_letter", "count"):
        return f'got on_break={on_break!r}: give "dead_letter" or "count"'
    if not assumptions:
        return 'has no assumption: give some, e.g. obs.between("dep_time", 0, 2400)'
    for assumption in assumptions:
        if isinstance(assumption, (list, tuple)):
            kind = type(assumption).__name__
            return f"got a {kind}: give its {len(assumption)} assumptions one by one, obs.Check(*assumptions)"
        if not isinstance(assumption, Assumption):
            return f"got {assumption!r}, which is no assumption: {_instead_of(assumption)}"
    names = [assumption.name for assumption in assumptions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"has two assumptions named {twice[0]!r}: give one of them a name= of its own"
    if sum(isinstance(assumption, Unique) for assumption in assumptions) > 1:
        return "has two unique(): each needs a shuffle of its own, so put the second into a Check behind it"
    return ""


def _instead_of(given: Any) -> str:
    """Returns what to write instead of what is no assumption."""
    if getattr(given, "__module__", None) == between.__module__:
        return f"call it, e.g. obs.{getattr(given, '__name__', 'between')}(...)"
    if isinstance(given, beam.PTransform):
        return "put an obs.Stage around a transform"
    if callable(given):
        return 'write obs.holds("what is assumed", predicate)'
    if isinstance(given, str):
        return f"say what is assumed of the field, e.g. obs.not_null({given!r})"
    return 'write e.g. obs.between("dep_time", 0, 2400)'


def _check_fields(assumption: Assumption, record_type: Any, check: str) -> None:
    """Refuses a field that records of this type never have."""
    fields = _fields_of(record_type)
    if fields is None or assumption.allow_missing:
        return
    for path in assumption.paths:
        first = path.parts[0]
        if first not in fields and not first.isdecimal() and not hasattr(record_type, first):
            called = getattr(record_type, "__name__", "the record")
            nearest = difflib.get_close_matches(first, fields, 1)
            meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise UsageError(
                f"{check}: assumption {assumption.name!r} is about {str(path)!r}, but {called} has no field "
                f"{first!r}{meant}: it has {', '.join(fields)}"
            )


def _fields_of(record_type: Any) -> Iterable[str] | None:
    """Returns the fields of a type of records; None where it does not tell them."""
    if isinstance(record_type, RowTypeConstraint):
        return [name for name, _ in record_type._fields]
    if not isinstance(record_type, type):
        return None
    if dataclasses.is_dataclass(record_type):
        return [field.name for field in dataclasses.fields(record_type)]
    fields = getattr(record_type, "_fields", None)
    return list(fields) if issubclass(record_type, tuple) and fields is not None else None

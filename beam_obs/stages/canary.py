"""Canary: records of our own that go the way of a stream's, from a source to a sink, and are looked at there.

A canary is known by a mark that the user puts into its record, so that it is known on any runner, woven or
not, and behind an aggregate too where the mark is the key. Nothing else of the stream is changed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.metrics.canary_names import CANARIES_ARRIVED, CANARIES_SENT, CANARIES_WRONG, CANARY_LATENCY
from beam_obs.metrics.instruments import counter, histogram
from beam_obs.records.bad_input import CanaryFailed
from beam_obs.records.duration import parse_duration
from beam_obs.records.errors import UsageError
from beam_obs.records.made_at import made_at
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.role import EVIDENCE, ObservesItsInside
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

SENT = counter(CANARIES_SENT, "canary")
ARRIVED = counter(CANARIES_ARRIVED, "canary")
WRONG = counter(CANARIES_WRONG, "canary")
LATENCY = histogram(
    CANARY_LATENCY, "canary", buckets=[0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]
)

OVERDUE_SECONDS = 60
"""After so long a canary that was due is left out: a template may be started long after it was made."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _start_of(name: str) -> str:
    """Returns what marks of a canary begin with; behind it are the times at which it was due and sent."""
    return f"beam_obs:canary:{name}:"


class Canary:
    """Sends a record of its own through a stream every now and then, and looks at what comes of it.

    `enter` adds the records to those of a source, `leave` takes them out in front of a sink, or of an
    aggregate, and counts what arrived, how long it took, and what was wrong with it. What is between the two
    has canaries among its records; nothing behind `leave` has. A pipeline in which one could get to the end
    without `leave` is refused when it is run.

    Args:
      name: tells it from other canaries: letters, digits, ``_``, ``.`` and ``-``.
      make: gives the record of a canary, such as the source gives, with its mark, a text, in it. For an
        aggregate that it is to go through, the mark in the key gives it a group of its own.
      mark_of: gives the text that has the mark, of any record that comes to `leave`, or None.
      expect: says whether a canary that arrived is as it should be; by default any is.
      every: seconds between two canaries, or a text such as ``"30s"``.
      stop_timestamp: time from which on none is sent, so that a stream can end; by default never.

    Raises:
      UsageError: an argument is wrong.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> canary = obs.Canary(
    ...     "trips",
    ...     make=lambda mark: {"id": mark, "fare": "12"},
    ...     mark_of=lambda trip: trip["id"],
    ...     expect=lambda trip: trip["fare"] == 12,
    ...     every="30s",
    ... )
    >>> def add_steps(trips):
    ...     parsed = (
    ...         trips
    ...         | "canaries in" >> canary.enter()
    ...         | "parse" >> obs.Stage(beam.Map(lambda trip: trip | {"fare": int(trip["fare"])}))
    ...     )
    ...     return parsed | "canaries out" >> canary.leave()
    """

    def __init__(
        self,
        name: str,
        *,
        make: Callable[[str], Any],
        mark_of: Callable[[Any], str | None],
        expect: Callable[[Any], bool] | None = None,
        every: float | str = 30.0,
        stop_timestamp: Any = MAX_TIMESTAMP,
    ) -> None:
        self._made_at = made_at(self)
        at = f"obs.Canary at {self._made_at}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{at} got name={name!r}: give letters, digits, '_', '.' and '-', at most 64")
        for argument, given in (("make", make), ("mark_of", mark_of), ("expect", expect)):
            if not callable(given) and (given is not None or argument != "expect"):
                raise UsageError(f"{at} got {argument}={given!r}: give a function")
        seconds = parse_duration(every) if isinstance(every, str) else every
        if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            raise UsageError(f"{at} got every={every!r}: give seconds, or a text such as '30s'")
        self.name = name
        self._make, self._mark_of, self._expect = make, mark_of, expect
        self._every = float(seconds)
        self._start, self._stop = Timestamp.now(), Timestamp.of(stop_timestamp)
        if self._stop <= self._start:
            raise UsageError(f"{at} got stop_timestamp={stop_timestamp!r}, which is over")

    def enter(self) -> beam.PTransform:
        """Returns a transform that gives the records of a stream, and canaries among them."""
        return _Enter(self)

    def leave(
        self,
        *,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
    ) -> Stage:
        """Returns a Stage that gives all records but canaries; one that is wrong is a dead letter of it.

        Args:
          dead_letters: as of a `Stage`.
          redact: as of a `Stage`.
        """
        leave = beam.ParDo(_TakeOut(self.name, self._mark_of, self._expect))
        return _Leave(self, leave, dead_letters=dead_letters, redact=redact)


class _Enter(ObservesItsInside):
    """Adds canaries to a stream.

    Args:
      canary: which.
    """

    def __init__(self, canary: Canary) -> None:
        super().__init__()
        self._canary = canary

    def expand(self, pcoll: Any) -> Any:
        canary = self._canary
        label = pcoll.pipeline._current_transform().full_label
        if not isinstance(pcoll, PCollection):
            raise UsageError(f"{label!r}: canaries enter a PCollection of records, got {pcoll!r}")
        if pcoll.is_bounded:
            raise UsageError(
                f"{label!r}: canaries are for streams, and what they are to enter is bounded: a job over it "
                "would never end. Leave them out there"
            )
        canaries = (
            pcoll.pipeline
            | "Every" >> PeriodicImpulse(canary._start, canary._stop, canary._every)
            | "Make" >> beam.ParDo(_Send(canary.name, canary._make)).with_output_types(pcoll.element_type)
        )
        if not pcoll.windowing.is_default():
            canaries |= "Windows" >> beam.WindowInto(pcoll.windowing)
        entered = (pcoll, canaries) | "Enter" >> beam.Flatten()
        pcoll.pipeline._error_handlers.append(_AllLeave(canary, entered, label))
        return entered


class _Send(StatelessDoFn):
    """Makes the records of canaries.

    Args:
      name: of the canary.
      make: of a mark.
    """

    def __init__(self, name: str, make: Callable[[str], Any]) -> None:
        self._name = name
        self._make = make

    def process(self, due: float) -> Iterable[Any]:
        if time.time() - due > OVERDUE_SECONDS:
            return ()
        record = self._make(f"{_start_of(self._name)}{due:.3f}:{time.time():.3f}")
        SENT.labels(canary=self._name).inc()
        return (record,)


class _TakeOut(StatelessDoFn):
    """Takes canaries out, and looks at them.

    Args:
      name: of the canary.
      mark_of: gives the mark of a record.
      expect: says whether a canary is right.
    """

    def __init__(
        self, name: str, mark_of: Callable[[Any], str | None], expect: Callable[[Any], bool] | None
    ) -> None:
        self._name = name
        self._mark_of = mark_of
        self._expect = expect
        self._mark = re.compile(re.escape(_start_of(name)) + r"[0-9]+\.[0-9]{3}:([0-9]+\.[0-9]{3})")

    def process(self, record: Any) -> Iterable[Any]:
        mark = self._mark_of(record)
        found = self._mark.fullmatch(mark) if isinstance(mark, str) else None
        if found is None:
            return (record,)
        self._look_at(record, float(found[1]))
        return ()

    def _look_at(self, record: Any, sent: float) -> None:
        """Raises where a canary is wrong."""
        ARRIVED.labels(canary=self._name).inc()
        LATENCY.labels(canary=self._name).observe(max(0.0, time.time() - sent))
        if self._expect is None:
            return
        try:
            is_right, why = bool(self._expect(record)), "is not as expected"
        except Exception as error:
            is_right, why = False, f"cannot be looked at: {type(error).__name__}: {error}"
        if not is_right:
            WRONG.labels(canary=self._name).inc()
            raise CanaryFailed(f"canary {self._name} {why}", self._name)


class _Leave(Stage):
    """Takes canaries out of a stream.

    Args:
      canary: which.
      leave: the step that does so.
      arguments: of a Stage.
    """

    _called = "Canary.leave"

    def __init__(self, canary: Canary, leave: beam.ParDo, **arguments: Any) -> None:
        super().__init__(leave, **arguments)
        self.canary = canary

    def expand(self, pcoll: Any) -> Any:
        """Applies the step to `pcoll`, whose type it leaves as it is."""
        self._pardo = self._pardo.with_output_types(pcoll.element_type)
        return super().expand(pcoll)


class _AllLeave:
    """What Beam asks before it runs a pipeline: whether all canaries leave it.

    Args:
      canary: which.
      entered: what they entered.
      label: of the step by which they did.
    """

    def __init__(self, canary: Canary, entered: Any, label: str) -> None:
        self._canary = canary
        self._entered = entered
        self._label = label

    def verify_closed(self) -> None:
        """Raises where a canary can get to a step that gives nothing more, without having left."""
        takers: dict[Any, list[Any]] = {}
        for leaf in _leaves(self._entered.pipeline._root_transform()):
            for taken in (*leaf.main_inputs.values(), *(side.pvalue for side in leaf.side_inputs)):
                takers.setdefault(taken, []).append(leaf)
        found: set[Any] = set()
        todo = [self._entered]
        while todo:
            pcoll = todo.pop()
            taking = takers.get(pcoll, [])
            if not taking:
                self._refuse(pcoll.producer.full_label)
            for leaf in taking:
                if leaf in found or self._leaves_by(leaf):
                    continue
                found.add(leaf)
                given = [one for tag, one in leaf.outputs.items() if tag != DEAD_TAG]
                if not given:
                    self._refuse(leaf.full_label)
                todo.extend(given)

    def _leaves_by(self, leaf: Any) -> bool:
        """Returns whether canaries leave by a step, or it takes no records."""
        while leaf is not None:
            transform = leaf.transform
            if getattr(transform, "canary", None) is self._canary:
                return True
            if getattr(transform, "role", "") == EVIDENCE:
                return True
            leaf = leaf.parent
        return False

    def _refuse(self, label: str) -> None:
        canary = self._canary
        raise UsageError(
            f"canary {canary.name!r} (made at {canary._made_at}) enters by {self._label!r} and gets to "
            f'{label!r}: put "canaries out" >> canary.leave() before that step'
        )


def _leaves(node: Any) -> Iterator[Any]:
    if not node.parts:
        yield node
    for part in node.parts:
        yield from _leaves(part)

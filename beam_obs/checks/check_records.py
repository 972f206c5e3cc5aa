"""The DoFn of `obs.Check`: one function generated from all of its assumptions.

`Assumption.breaks` says what an assumption means. The generated function only has to know the records
for which all hold: it is one long condition, and whatever else happens in it, also an error, sends
the record to `_judge`, which goes through the assumptions one by one. So ten assumptions cost what the
same conditions written by hand cost (`benchmarks/check.py`).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.checks.assumption import Assumption, AssumptionBroken, Break, Unique
from beam_obs.checks.field_path import NAMES
from beam_obs.metrics import names
from beam_obs.records.manifest import Manifest
from beam_obs.wrapper.failure import Failure
from beam_obs.wrapper.hidden_texts import REDACTED
from beam_obs.wrapper.redaction import Redaction, scrub
from beam_obs.wrapper.refusal import EVIDENCE_TAG

_LOGGER = logging.getLogger(__name__)

KEPT, COPY, NOT_COMPARABLE = 0, 1, 2
"""What is known of a record whose uniqueness was looked at."""

Process = Callable[[Any], Iterable[Any]]


class CheckRecords(beam.DoFn):
    """Passes on the records for which all assumptions hold; refuses the others.

    Args:
      assumptions: in the order in which they are told.
      numbered: whether elements are pairs of `KEPT`, `COPY` or `NOT_COMPARABLE` and a record.
    """

    def __init__(self, assumptions: Sequence[Assumption], numbered: bool = False) -> None:
        self._assumptions = tuple(assumptions)
        self._numbered = numbered
        self._bind()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "process"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return self._assumptions

    def infer_output_type(self, input_type: Any) -> Any:
        """Records keep their type."""
        return input_type.tuple_types[1] if self._numbered else input_type

    def _bind(self) -> None:
        self.process = generate(self._assumptions, self._judge, self._numbered)

    def _judge(self, record: Any, seen: int = KEPT) -> Iterable[Any]:
        breaks = all_breaks(self._assumptions, record, seen)
        if not breaks:
            return [record]
        raise AssumptionBroken(tuple(breaks)) from breaks[0].error


class CountBreaks(CheckRecords):
    """Passes on all records, and counts the assumptions that they break.

    Args:
      assumptions: in the order in which they are told.
      numbered: whether elements are pairs of `KEPT`, `COPY` or `NOT_COMPARABLE` and a record.
      stage: label of the Check.
      window_fn: of the records, for the counts by assumption that leave when a bundle ends; None where
        only the counter ``broken`` is kept.
      redaction: what of the records may be told; None for all.
    """

    holds_back = False
    """For the weave: what leaves when a bundle ends are counts."""

    def __init__(
        self,
        assumptions: Sequence[Assumption],
        numbered: bool,
        stage: str,
        window_fn: WindowFn | None,
        redaction: Redaction | None = None,
    ) -> None:
        self._stage = stage
        self._window_fn = window_fn
        self._redaction = redaction
        self._said: set[str] = set()
        self.start_bundle()
        super().__init__(assumptions, numbered)

    def start_bundle(self) -> None:
        """Begins counting."""
        self._broken = 0
        self._counts: dict[str, dict[str, Any]] = {}

    def finish_bundle(self) -> list[TaggedOutput]:
        """Gives the counts of the bundle as a manifest."""
        if not self._broken:
            return []
        Metrics.counter(names.NAMESPACE, names.BROKEN).inc(self._broken)
        if self._window_fn is None:
            return []
        file = f"checks-{os.urandom(6).hex()}"
        manifest = Manifest("checks", self._stage, file, self._broken, "", {"assumptions": self._counts})
        now = Timestamp.now()
        windows = tuple(self._window_fn.assign(WindowFn.AssignContext(now, None)))
        return [TaggedOutput(EVIDENCE_TAG, WindowedValue(manifest.to_json(), now, windows))]

    def _judge(self, record: Any, seen: int = KEPT) -> Iterable[Any]:
        breaks = all_breaks(self._assumptions, record, seen)
        if breaks:
            self._broken += 1
            for name, broken in {broken.assumption: broken for broken in breaks}.items():
                told = self._counts.get(name)
                if told is None:
                    text = self._text(broken, record)
                    self._counts[name] = {"count": 1, "example": text[:500]}
                    self._say(name, text)
                else:
                    told["count"] += 1
        return [record]

    def _text(self, broken: Break, record: Any) -> str:
        if self._redaction is None:
            return broken.text
        _, hidden = self._redaction.apply(record)
        if hidden is None:
            return f"{broken.assumption}: {REDACTED}"
        return scrub(Failure("", broken.text, "", ""), hidden).message

    def _say(self, name: str, text: str) -> None:
        if name not in self._said:
            self._said.add(name)
            _LOGGER.warning("stage %r counts records that break an assumption: %s", self._stage, text)


def all_breaks(assumptions: Iterable[Assumption], record: Any, seen: int = KEPT) -> list[Break]:
    """Returns how a record breaks assumptions, in their order.

    Args:
      assumptions: what is assumed.
      record: the record.
      seen: what is known of its uniqueness.
    """
    found: list[Break] = []
    for assumption in assumptions:
        breaks = assumption.breaks(record)
        if seen and not breaks and isinstance(assumption, Unique):
            values = tuple(path.of(record) for path in assumption.paths)
            fields = tuple(map(str, assumption.paths))
            expected = assumption.expected if seen == COPY else "a value that can be compared by its encoding"
            breaks = [Break(assumption.name, fields, values, expected)]
        found += breaks
    return found


def generate(
    assumptions: Sequence[Assumption], judge: Callable[..., Iterable[Any]], numbered: bool
) -> Process:
    """Returns a function that gives a record in a list if all assumptions hold, else what `judge` gives."""
    # Without a name, pickling the function looks for its module in all that are imported.
    constants: dict[str, Any] = {"__name__": __name__, "judge": judge, **NAMES}
    conditions = [
        "\n                and ".join(
            condition
            for position, assumption in enumerate(assumptions)
            for condition in _conditions(assumption, position, is_dict, constants)
        )
        for is_dict in (True, False)
    ]
    source = f"""
def process(element):
    {"seen, record = element" if numbered else "record = element"}
    try:
        if {"seen" if numbered else "False"}:
            pass
        elif record.__class__ is dict:
            if ({conditions[0]}):
                return [record]
        elif record is not None and not isinstance(record, dict) and ({conditions[1]}):
            return [record]
    except Exception:
        pass
    return judge(record{", seen" if numbered else ""})
"""
    # A file of ours by its name: a dead letter's traceback and fingerprint leave such frames out.
    code = compile(source, os.path.join(os.path.dirname(os.path.abspath(__file__)), "<check>"), "exec")
    exec(code, constants)
    process: Process = constants["process"]
    return process


def _conditions(
    assumption: Assumption, position: int, is_dict: bool, constants: dict[str, Any]
) -> Iterable[str]:
    """Gives Python source that is true for most records for which the assumption holds, and for no other."""
    named = {"test": assumption.test, **assumption.constants}
    texts: dict[str, str] = {}
    for name, value in named.items():
        if _is_literal(value):
            texts[name] = repr(value)
        else:
            texts[name] = f"{name}_{position}"
            constants[texts[name]] = value
    if not assumption.paths:
        yield assumption.source.format("record", **texts)
        return
    values = [f"value{at}" for at in range(len(assumption.paths))]
    reads = [
        f"({value} := {path.expression('record', is_dict, assumption.allow_missing)})"
        for value, path in zip(values, assumption.paths, strict=True)
    ]
    if assumption.each or len(values) == 1:
        for read, value in zip(reads, values, strict=True):
            yield _passing_over(assumption, read, value, assumption.source.format(value, **texts))
    elif assumption.allow_none or assumption.allow_missing:
        # Rare enough: those with a field that is None or missing are left to `judge`.
        yield " and ".join(
            f"{read} is not None and {value} is not MISSING"
            for read, value in zip(reads, values, strict=True)
        )
        yield assumption.source.format(*values, **texts)
    else:
        yield from (f"{read} is not None" for read in reads)
        yield assumption.source.format(*values, **texts)


def _passing_over(assumption: Assumption, read: str, value: str, test: str) -> str:
    if assumption.allow_missing and assumption.allow_none:
        return f"({read} is None or {value} is MISSING or {test})"
    if assumption.allow_missing:
        return f"({read} is MISSING or {value} is not None and {test})"
    if assumption.allow_none:
        return f"({read} is None or {test})"
    return f"{read} is not None and {test}"


def _is_literal(value: Any) -> bool:
    kind = value.__class__
    return kind is int or kind is str or (kind is float and math.isfinite(value))

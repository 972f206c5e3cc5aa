"""One step of a run with all that is known of it: counts, times, kinds of refusal, its code, and gaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.metrics.names import LATENCY_BOUNDS_US, is_within
from beam_obs.records.wording import clean, microseconds_text
from beam_obs.reports.failure_text import failing_record_text
from beam_obs.reports.marked_graph import MarkedEdge, MarkedStep, marked_graph
from beam_obs.store.folding import WITHIN, folded
from beam_obs.store.run_record import RunRecord
from beam_obs.store.unknown_name import UnknownName


class StepPart(NamedTuple):
    """A step within a composite that is one row.

    Args:
      label: its label within that.
      taken: number of elements it took; None where not known.
      given: number of elements it gave; None where not known.
    """

    label: str
    taken: int | None
    given: int | None


class CodeDigest(NamedTuple):
    """The digests of the code of a part of a step.

    Args:
      part: its label.
      code: digest of its code.
      given: digest of the values that it was given: arguments, defaults, what its code takes from around it.
    """

    part: str
    code: str
    given: str


@dataclasses.dataclass(frozen=True)
class LatencyBucket:
    """How many of the timed records took so long.

    Args:
      text: from when to when.
      count: number of records.
    """

    text: str
    count: int


@dataclasses.dataclass(frozen=True)
class StepDetail:
    """A step of a run.

    Args:
      step: its numbers and marks.
      kind: name of the Beam transform in a stage; empty for any other step.
      takes: edges that lead to it.
      gives: edges that lead away from it.
      latency: times of its timed records, from the fastest; none where none was timed.
      kinds: kinds of its refusals, as in ``end.json``, folded.
      broken: checks of the balance that did not hold at it.
      unchecked: what was not checked at it, and why.
      code: digests of its code, by part.
      parts: the steps in it, where it is a composite that is one row.
      failing_record: the record that the run failed at in it, in a line; empty where it did not, or none is
        known.
    """

    step: MarkedStep
    kind: str
    takes: tuple[MarkedEdge, ...]
    gives: tuple[MarkedEdge, ...]
    latency: tuple[LatencyBucket, ...]
    kinds: tuple[Mapping[str, Any], ...]
    broken: tuple[str, ...]
    unchecked: tuple[str, ...]
    code: tuple[CodeDigest, ...]
    parts: tuple[StepPart, ...] = ()
    failing_record: str = ""

    @property
    def refusing_stages(self) -> tuple[str, ...]:
        """Full labels of the stages in it that refused records."""
        return tuple(dict.fromkeys(stage_of_kind(kind) for kind in self.kinds))


def step_detail(record: RunRecord, label: str) -> StepDetail:
    """Returns a step of a run.

    Args:
      record: the run, with all of its steps.
      label: full label of the step.

    Raises:
      NoStepsYet: no steps are known.
      UnknownName: there is no such step.
    """
    graph = marked_graph(record)
    step = next((one for one in graph.steps if one.label == label), None)
    if step is None:
        message = f"run {record.id} has no step {clean(label)!r}"
        raise UnknownName(message, label, (one.label for one in graph.steps))
    end = folded(record.last_known)
    stage: Mapping[str, Any] = next((one for one in end.get("stages") or () if one["label"] == label), {})
    takes = tuple(edge for edge in graph.edges if edge.target == label)
    gives = tuple(edge for edge in graph.edges if edge.source == label)
    kinds = (end.get("dead_letters") or {}).get("by_fingerprint") or ()
    balance = end.get("balance") or {}
    at = (end.get("error") or {}).get("at") or {}
    return StepDetail(
        step,
        stage.get("kind") or "",
        takes,
        gives,
        tuple(latency_buckets(stage.get("latency_us_le") or {})),
        tuple(kind for kind in kinds if kind["stage"] == label),
        tuple(line["text"] for line in balance.get("broken") or () if _is_of(line.get("where") or "", label)),
        tuple(_unchecked(step, (*takes, *gives))),
        tuple(_code(record, label)),
        tuple(_parts(record, label)) if end.get("counts_from") is not None else (),
        failing_record_text(at) if at and is_within(at["step"], label) else "",
    )


def stage_of_kind(kind: Mapping[str, Any]) -> str:
    """Returns the full label of the stage that refused the records of a kind, as dead letters have it.

    >>> stage_of_kind({"stage": "write", "within": "Observed"}), stage_of_kind({"stage": "parse"})
    ('write/Observed', 'parse')
    """
    return "/".join(filter(None, (kind["stage"], kind.get(WITHIN))))


def latency_buckets(cumulative: Mapping[str, int]) -> list[LatencyBucket]:
    """Returns how many records took how long, from the first bucket that has any to the last.

    Args:
      cumulative: upper bound in microseconds, or ``inf`` -> how many were as fast or faster.

    >>> latency_buckets({"1": 0, "5": 2, "25": 2, "100": 3, "inf": 3})
    [LatencyBucket(text='1 to 5 µs', count=2), LatencyBucket(text='5 to 25 µs', count=0), \
LatencyBucket(text='25 to 100 µs', count=1)]
    """
    buckets = []
    below, lower = 0, 0
    for bound in LATENCY_BOUNDS_US:
        until = cumulative.get(str(bound), below)
        buckets.append(LatencyBucket(_range_text(lower, bound), max(0, until - below)))
        below, lower = max(until, below), bound
    beyond = cumulative.get("inf", below) - below
    buckets.append(LatencyBucket(f"over {_time(lower)}", max(0, beyond)))
    some = [place for place, bucket in enumerate(buckets) if bucket.count]
    return buckets[some[0] : some[-1] + 1] if some else []


def _range_text(lower: int, upper: int) -> str:
    if not lower:
        return f"up to {_time(upper)}"
    lowest, highest = _time(lower), _time(upper)
    number, _, unit = lowest.partition(" ")
    return f"{number if highest.endswith(f' {unit}') else lowest} to {highest}"


def _time(microseconds: int) -> str:
    return microseconds_text(microseconds, "µs").replace(".0 ", " ")


def _is_of(where: str, label: str) -> bool:
    """Returns whether a check is of a step, or of an edge that leads to it or away from it."""
    return any(is_within(end, label) for end in where.split(" -> "))


def _unchecked(step: MarkedStep, edges: Sequence[MarkedEdge]) -> list[str]:
    told = [f"this step: {step.unchecked}"] if step.unchecked else []
    return told + [f"{edge.source} -> {edge.target}: {edge.unchecked}" for edge in edges if edge.unchecked]


def _parts(record: RunRecord, label: str) -> Iterator[StepPart]:
    told = record.last_known
    stages = {stage["label"]: stage for stage in told.get("stages") or ()}
    for step in told.get("steps") or ():
        part = step["label"]
        if part != label and is_within(part, label):
            counts = stages.get(part, step)
            yield StepPart(part[len(label) + 1 :], counts.get("in"), counts.get("out"))


def _code(record: RunRecord, label: str) -> list[CodeDigest]:
    digests = (record.start.get("step_code") or {}).get("steps") or {}
    return [
        CodeDigest(part, *pair) for part, pair in digests.items() if is_within(part, label) and len(pair) == 2
    ]

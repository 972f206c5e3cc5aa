"""`assert_metrics` and `assert_balanced`: that the counts of a run are right, and that they add up."""

from __future__ import annotations

import difflib
from typing import Any

from apache_beam.runners.runner import PipelineResult

from beam_obs.metrics.snapshot import Snapshot, StageCounts, read_snapshot
from beam_obs.runs.balance import Balance, balance
from beam_obs.testing.difference import table
from beam_obs.testing.observed_run import find_run


def assert_metrics(
    actual: Any,
    *,
    stage: str,
    in_: int | None = None,
    out: int | None = None,
    dead: int | None = None,
    filtered: int | None = None,
    dropped: int | None = None,
    broken: int | None = None,
    internal_errors: int | None = 0,
) -> None:
    """Asserts the counts of one stage; None leaves a count open.

    Args:
      actual: the result of a pipeline, observed or not.
      stage: full label of the stage.
      in_: elements taken.
      out: outputs passed on.
      dead: elements refused.
      filtered: elements that gave no output.
      dropped: elements too late for their window.
      broken: records that broke an assumption of a Check that only counts.
      internal_errors: errors of beam_obs itself; none, unless asked for.

    Raises:
      AssertionError: a count differs, or there is no such stage.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create([3, 4]) | "even" >> obs.Stage(beam.Filter(lambda number: number % 2 == 0))
    >>> assert_metrics(p.result, stage="even", in_=2, out=1, filtered=1)
    """
    stages = _snapshot(actual).stages
    # Beam tells no counter that is zero, so a stage that nothing reached may not be there.
    counts = stages.get(stage, StageCounts() if in_ == 0 else None)
    if counts is None:
        near = difflib.get_close_matches(stage, stages, n=1)
        meant = f"; is {near[0]!r} meant?" if near else ""
        raise AssertionError(f"no stage {stage!r} has counts; there are {_named(stages)}{meant}")
    expected = {
        "in_": in_,
        "out": out,
        "dead": dead,
        "filtered": filtered,
        "dropped": dropped,
        "broken": broken,
        "internal_errors": internal_errors,
    }
    found = {name: getattr(counts, name) for name in expected}
    if all(number in (None, found[name]) for name, number in expected.items()):
        return
    rows = [
        (name, _text(number), f"{found[name]:,}", number in (None, found[name]))
        for name, number in expected.items()
        if number not in (None, 0) or found[name]
    ]
    raise AssertionError(f"the counts of stage {stage!r} are not as expected:\n{table(rows)}")


def assert_balanced(actual: Any) -> None:
    """Asserts that every record is accounted for: taken = passed on + dead + filtered, and so on.

    Args:
      actual: the result of a pipeline, a `Store` or its folder (the newest run). Of an observed pipeline
        the edges between its steps and the dead letters kept are compared too.

    Raises:
      AssertionError: something is not accounted for, or nothing could be compared; a check that compares
        nothing would always pass.
    """
    if isinstance(actual, PipelineResult) and getattr(actual, "beam_obs_run", None) is None:
        found: Balance = balance(None, _snapshot(actual))
        holds, unchecked, broken = found.holds, found.unchecked, [line.text for line in found.broken]
    else:
        _, record = find_run(actual)
        if record.end is None:
            raise AssertionError(f"run {record.id} has not ended: it is {record.status}")
        told = record.end["balance"]
        holds, unchecked, broken = told["holds"], told["unchecked"], [line["text"] for line in told["broken"]]
    if holds is None:
        raise AssertionError(f"the balance could not be checked: {unchecked}")
    if not holds:
        lines = "\n".join(f"  {line}" for line in broken)
        raise AssertionError(f"not every record is accounted for:\n{lines}")


def _snapshot(actual: Any) -> Snapshot:
    if isinstance(actual, PipelineResult) or hasattr(actual, "metrics"):
        return read_snapshot(actual)
    _, record = find_run(actual)
    if record.end is None:
        raise AssertionError(f"run {record.id} has not ended: it is {record.status}")
    stages = {}
    for told in record.end["stages"]:
        names = ("out", "dead", "filtered", "dropped", "internal_errors", "broken")
        stages[told["label"]] = StageCounts(in_=told["in"], **{name: told.get(name, 0) for name in names})
    return Snapshot(stages)


def _text(number: int | None) -> str:
    return "any" if number is None else f"{number:,}"


def _named(stages: Any) -> str:
    return ", ".join(map(repr, sorted(stages))) or "none at all"

"""`assert_metrics` and `assert_balanced`: that the counts of a run are right, and that they add up."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any

from apache_beam.runners.direct.direct_runner import DirectPipelineResult
from apache_beam.runners.runner import PipelineResult

from beam_obs.metrics.run_snapshot import Snapshot, StageCounts, read_snapshot
from beam_obs.reports.balance_text import balance_text, unchecked_texts
from beam_obs.runs.balance import balance
from beam_obs.store.folding import folded
from beam_obs.store.run_record import RunRecord
from beam_obs.testing.expected_and_found import table
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

    Of an observed run that has ended the counts are those of its report.

    Args:
      actual: the result of a pipeline, observed or not; a `Store` or its folder (the newest run).
      stage: full label of the stage. Of an observed run that of any other step too, whose `in_`, `out` and
        `dropped` are known.
      in_: elements taken.
      out: outputs passed on.
      dead: elements refused.
      filtered: elements that gave no output.
      dropped: elements too late for their window; known of an observed run.
      broken: records that broke an assumption of a Check that only counts.
      internal_errors: errors of beam_obs itself; none, unless asked for.

    Raises:
      AssertionError: a count differs, is not known, or there is no such stage.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create([3, 4]) | "even" >> obs.Stage(beam.Filter(lambda number: number % 2 == 0))
    >>> assert_metrics(p.result, stage="even", in_=2, out=1, filtered=1)
    """
    record = _ended_run(actual)
    if record is not None:
        found = _found_in_store(record, stage)
    else:
        stages = _snapshot(actual).stages
        # Beam tells no counter that is zero, so a stage that nothing reached may not be there.
        counts = stages.get(stage, StageCounts() if in_ == 0 else None)
        if counts is None:
            raise _no_such_stage(stage, stages)
        found = {**dataclasses.asdict(counts), "dropped": None}
    expected = {
        "in_": in_,
        "out": out,
        "dead": dead,
        "filtered": filtered,
        "dropped": dropped,
        "broken": broken,
        "internal_errors": internal_errors,
    }
    if all(number in (None, found[name]) for name, number in expected.items()):
        return
    rows = [
        (name, _text(number), _found_text(found[name]), number in (None, found[name]))
        for name, number in expected.items()
        if number not in (None, 0) or found[name] or (number == 0 and found[name] is None)
    ]
    raise AssertionError(f"the counts of stage {stage!r} are not as expected:\n{table(rows)}")


def assert_balanced(actual: Any, *, everywhere: bool = False) -> None:
    """Asserts that every record is accounted for: taken = passed on + dead + filtered, and so on.

    Args:
      actual: the result of a pipeline, a `Store` or its folder (the newest run). Of an observed pipeline
        the edges between its steps and the dead letters kept are compared too.
      everywhere: whether every edge and step must have been checked.

    Raises:
      AssertionError: something is not accounted for, or nothing could be compared; a check that compares
        nothing would always pass. Or something was not checked, and everything had to be.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="numbers") as p:
    ...     _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    >>> assert_balanced(p.result)
    """
    if isinstance(actual, PipelineResult) and getattr(actual, "beam_obs_run", None) is None:
        told = balance(None, _snapshot(actual)).to_json()
    else:
        _, record = find_run(actual)
        if record.end is None:
            raise AssertionError(f"run {record.id} has not ended: it is {record.status}")
        told = record.end["balance"]
    if told["holds"] is None:
        raise AssertionError(f"the balance could not be checked: {told['unchecked']}")
    if not told["holds"]:
        raise AssertionError(f"not every record is accounted for:{_lines(x['text'] for x in told['broken'])}")
    unchecked = unchecked_texts(told)
    if everywhere and unchecked:
        raise AssertionError(f"{balance_text(told)}:{_lines(unchecked)}")


def _ended_run(actual: Any) -> RunRecord | None:
    """Returns the run that is meant, as the store has it; None of a result of a run that is not in one, or
    has not ended: the result is asked then."""
    is_result = isinstance(actual, PipelineResult) or hasattr(actual, "metrics")
    if is_result and getattr(actual, "beam_obs_run", None) is None:
        return None
    _, record = find_run(actual)
    if record.end is not None:
        return record
    if is_result:
        return None
    raise AssertionError(f"run {record.id} has not ended: it is {record.status}")


def _found_in_store(record: RunRecord, label: str) -> dict[str, int | None]:
    end = record.end or {}
    if end["counts_from"] is None:
        raise AssertionError(f"run {record.id} has no counts: {end['balance']['unchecked']}")
    stages = {stage["label"]: stage for stage in end["stages"]}
    rows = folded(end)
    # A stage in a composite has counts of its own, and the composite those of its row.
    stages = {stage["label"]: stage for stage in rows["stages"]} | stages
    steps = {step["label"]: step for step in (*end["steps"], *rows["steps"])}
    if label not in stages and label not in steps:
        raise _no_such_stage(label, stages or steps)
    told = stages.get(label) or steps[label]
    names = ("out", "dead", "filtered", "dropped", "broken")
    found = {"in_": told.get("in"), **{name: told.get(name) for name in names}}
    return {**found, "internal_errors": told.get("internal_errors", 0)}


def _snapshot(actual: Any) -> Snapshot:
    if isinstance(actual, DirectPipelineResult):
        raise AssertionError(
            "Beam's direct runner for streams loses counts of some bundles, so that they prove nothing: "
            "give the result of an obs.Pipeline, which has those of its report"
        )
    return read_snapshot(actual)


def _no_such_stage(label: str, labels: Iterable[str]) -> AssertionError:
    near = difflib.get_close_matches(label, labels, n=1)
    meant = f"; is {near[0]!r} meant?" if near else ""
    return AssertionError(f"no stage {label!r} has counts; there are {_named(labels)}{meant}")


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"\n  {text}" for text in texts)


def _found_text(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def _text(number: int | None) -> str:
    return "any" if number is None else f"{number:,}"


def _named(stages: Any) -> str:
    return ", ".join(map(repr, sorted(stages))) or "none at all"

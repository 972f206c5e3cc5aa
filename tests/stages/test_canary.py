"""Canaries go the way of a stream's records, are looked at, and get into nothing that is the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.periodicsequence import PeriodicImpulse

import beam_obs as obs
from beam_obs.reports.canary_notes import canary_notes
from tests.stages.canaries import check_canaries, run_canaries


def test_canaries_arrive_are_judged_and_never_get_out() -> None:
    record = run_canaries("DirectRunner", "out.txt")
    check_canaries(record, "out.txt")
    trips, odd = (
        next(note.text for note in canary_notes(record.end) if note.text.startswith(f"canary {name}:"))
        for name in ("trips", "odd")
    )
    assert "arrived at trips out (p50 ~" in trips
    assert not trips.endswith("missing")
    assert odd.endswith("wrong")


def canary(name: str = "trips", **other: Any) -> obs.Canary:
    given: dict[str, Any] = {"make": lambda mark: {"id": mark}, "mark_of": lambda row: row.get("id")}
    return obs.Canary(name, **(given | other))


MARK = "beam_obs:canary:trips:1.000:2.000"


def test_only_marks_of_its_own_are_taken_out() -> None:
    others = [{"id": None}, {}, {"id": 5}, {"id": MARK.replace("trips", "fares")}, {"id": f"{MARK} x"}]
    others += [{"id": "beam_obs:canary:trips:"}, {"id": MARK.replace("2.000", "nan")}]
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="leave") as p:
        rows = p | beam.Create([*others, {"id": MARK}]) | "out" >> canary().leave()
        assert_that(rows, equal_to(others))
    assert list(obs.read_dead_letters("leave@latest")) == []


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (lambda row: False, "canary trips is not as expected"),
        (lambda row: row["fare"] > 1, "canary trips cannot be looked at: KeyError: 'fare'"),
    ],
)
def test_a_canary_that_is_wrong_is_a_dead_letter(expect: Callable[[Any], bool], message: str) -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="leave") as p:
        rows = p | beam.Create([{"id": MARK}, {"id": "1"}]) | "out" >> canary(expect=expect).leave()
        assert_that(rows, equal_to([{"id": "1"}]))
    (letter,) = obs.read_dead_letters("leave@latest")
    assert (letter.error_type, letter.error_message) == ("beam_obs.CanaryFailed", message)


def rows_of(pipeline: Any) -> Any:
    return pipeline | PeriodicImpulse() | beam.Map(lambda at: {"id": str(at)})


def no_leave(pipeline: Any, one: obs.Canary) -> None:
    _ = rows_of(pipeline) | "in" >> one.enter() | "last" >> beam.Map(print)


def other_canary(pipeline: Any, one: obs.Canary) -> None:
    entered = rows_of(pipeline) | "in" >> one.enter()
    _ = entered | "out" >> canary("other").leave() | "last" >> beam.Map(print)


def one_branch(pipeline: Any, one: obs.Canary) -> None:
    entered = rows_of(pipeline) | "in" >> one.enter() | "parse" >> obs.Stage(beam.Map(dict))
    _ = entered | "out" >> one.leave()
    _ = entered | "last" >> beam.Map(print)


def side_input(pipeline: Any, one: obs.Canary) -> None:
    entered = rows_of(pipeline) | "in" >> one.enter()
    _ = entered | "out" >> one.leave()
    others = pipeline | beam.Create([1])
    _ = others | "last" >> beam.Map(lambda number, rows: number, beam.pvalue.AsIter(entered))


@pytest.mark.parametrize("build", [no_leave, other_canary, one_branch, side_input])
def test_a_pipeline_that_they_could_get_to_the_end_of_is_refused(build: Callable[[Any, Any], None]) -> None:
    pipeline = beam.Pipeline("DirectRunner", PipelineOptions(["--streaming"]))
    build(pipeline, canary())
    with pytest.raises(obs.UsageError, match=r"canary 'trips' .* enters by 'in' and gets to 'last'"):
        pipeline.run()


def test_what_they_enter_is_a_stream() -> None:
    with pytest.raises(obs.UsageError, match="'in': canaries are for streams"):
        _ = beam.Pipeline() | beam.Create([1]) | "in" >> canary().enter()
    with pytest.raises(obs.UsageError, match="'in': canaries enter a PCollection"):
        _ = beam.Pipeline() | "in" >> canary().enter()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a b"}, "name='a b'"),
        ({"make": 1}, "make=1: give a function"),
        ({"mark_of": None}, "mark_of=None: give a function"),
        ({"expect": 1}, "expect=1: give a function"),
        ({"every": 0}, "every=0: give seconds"),
        ({"every": "soon"}, "found 'soon', expected a number and a unit"),
        ({"stop_timestamp": 5}, "stop_timestamp=5, which is over"),
    ],
)
def test_misuse_is_told_when_it_is_made(given: dict[str, Any], message: str) -> None:
    with pytest.raises(obs.UsageError, match=message):
        canary(**given)


def test_those_that_are_under_way_are_not_yet_missing() -> None:
    samples = [{"step": "in", "labels": {"canary": "trips"}, "value": 3}]
    known = {"instruments": {"families": [{"name": "canaries_sent_total", "samples": samples}]}}
    texts = [canary_notes(known | end)[0].text for end in ({}, {"status": "done"})]
    assert texts == [
        "canary trips: 3 sent, 0 arrived, 3 under way or missing",
        "canary trips: 3 sent, 0 arrived, 3 missing",
    ]

"""Attributes that a source stamped stay with what is made of its records."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from tests.running import observed, run

STAMP = {"origin": "ab" * 16, "source_uri": "file.csv", "position": 7}
OWN = {"origin": "cd" * 16}


class Stamped(beam.PTransform):
    """A source that stamps its records."""

    stamps_lineage = True

    def expand(self, start: Any) -> Any:
        return start | beam.Create([{"a": 1, "_lineage": STAMP}])


@dataclasses.dataclass
class WithRoom:
    a: int
    _lineage: Any = None


@dataclasses.dataclass
class WithoutRoom:
    a: int


class Point(NamedTuple):
    x: int
    y: int


def outputs_of(function: Any, of: Any = beam.FlatMap, source: Any = Stamped, **arguments: Any) -> Any:
    return run(lambda p: p | "source" >> source() | observed(of(function), **arguments))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"b": 2}, {"b": 2, "_lineage": STAMP}),
        ({"b": 2, "_lineage": OWN}, {"b": 2, "_lineage": OWN}),
        ({"b": 2, "_lineage": None}, {"b": 2, "_lineage": STAMP}),
        (("k", {"b": 2}), ("k", {"b": 2, "_lineage": STAMP})),
        (WithRoom(2), WithRoom(2, STAMP)),
        (WithRoom(2, OWN), WithRoom(2, OWN)),
        (WithoutRoom(2), WithoutRoom(2)),
        (Point(1, 2), Point(1, 2)),
        (("k", 3), ("k", 3)),
        ("text", "text"),
        ([1], [1]),
        (None, None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("partial", [False, True])
def test_an_output_with_room_has_the_attributes_of_its_element(given: Any, kept: Any, partial: bool) -> None:
    def give(record: Any) -> Any:
        yield given

    assert outputs_of(give, partial=partial).values() == [kept]
    assert outputs_of(lambda record: given, beam.Map, partial=partial).values() == [kept]


def test_an_element_that_is_not_the_first_argument_hands_its_attributes_on() -> None:
    class ElementLast(beam.DoFn):
        def process(  # type: ignore[no-untyped-def]
            self, time=beam.DoFn.TimestampParam, record=beam.DoFn.ElementParam
        ):
            yield {"b": record["a"]}

    outcome = run(lambda p: p | Stamped() | observed(beam.ParDo(ElementLast())))
    assert outcome.values() == [{"b": 1, "_lineage": STAMP}]


def test_outputs_with_times_windows_and_tags_have_them_too() -> None:
    class Placing(beam.DoFn):
        def process(self, record):  # type: ignore[no-untyped-def]
            yield TimestampedValue({"b": 1}, 5)
            yield WindowedValue({"b": 2}, 6, (GlobalWindow(),))
            yield TaggedOutput("side", {"b": 3})

    outcome = run(lambda p: p | Stamped() | observed(beam.ParDo(Placing()).with_outputs("side", main="main")))
    assert outcome.values() == [{"b": 1, "_lineage": STAMP}, {"b": 2, "_lineage": STAMP}]
    assert outcome.values("side") == [{"b": 3, "_lineage": STAMP}]
    assert {one.timestamp for one in outcome.emitted["main"]} == {5_000_000, 6_000_000}


def test_a_dead_letter_further_down_has_its_place_in_the_source() -> None:
    def build(p: beam.Pipeline) -> Any:
        rows, _ = p | Stamped() | "first" >> observed(beam.Map(lambda record: {"b": record["a"]}))
        keyed = rows | beam.Map(lambda row: ("k", row))
        return keyed | observed(beam.Map(lambda pair: 1 // 0))

    letter = run(build).letter
    assert (letter.origin, letter.source_uri, letter.position) == tuple(STAMP.values())


def test_without_a_source_that_stamps_outputs_are_left_as_they_are() -> None:
    class NotOurs(beam.PTransform):
        def expand(self, start: Any) -> Any:
            return start | beam.Create([{"a": 1, "_lineage": STAMP}])

    assert outputs_of(lambda record: {"b": 2}, beam.Map, NotOurs).values() == [{"b": 2}]


def test_the_users_element_is_not_changed() -> None:
    def same(record: Any) -> Any:
        return record

    assert outputs_of(same, beam.Map).values() == [{"a": 1, "_lineage": STAMP}]

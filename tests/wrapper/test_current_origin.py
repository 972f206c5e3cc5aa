"""What a woven step knows of the element at hand: for user code, and for what it refuses."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import userstate

import beam_obs as obs
from beam_obs.records.known_partitions import note_partition, place_of
from beam_obs.records.origin import Partition, derived_origin, parse_origin
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings

_SEEN: list[Any] = []


def _see(element: Any) -> None:
    _SEEN.append(element)


def _dead_letters(build: Any) -> list[Any]:
    _SEEN.clear()
    with weaving(WeaveSettings(strict=True)), beam.Pipeline(FnApiRunner()) as pipeline:
        _ = build(pipeline) | "see" >> beam.Map(_see)
    return list(_SEEN)


def _refuse(row: Any) -> Any:
    raise ValueError("no good")


def _refuse_late(row: Any) -> Any:
    yield row
    raise ValueError("no good")


SEEN = userstate.BagStateSpec("seen", beam.coders.VarIntCoder())
SEEN_PARAM = beam.DoFn.StateParam(SEEN)


class Held(beam.DoFn):
    def process(self, pair: Any, seen: Any = SEEN_PARAM) -> Any:
        raise ValueError("no good")


STEPS = {
    "map": beam.Map(_refuse),
    "filter": beam.Filter(_refuse),
    "generator": beam.FlatMap(_refuse_late),
    "keyword": beam.Map(lambda row, timestamp=beam.DoFn.TimestampParam: _refuse(row)),
    "state": beam.ParDo(Held()),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_dead_letter_of_a_woven_stage_names_the_source_record(step: str) -> None:
    pathlib.Path("in.csv").write_text("a\n1\n22\n")

    def build(pipeline: Any) -> Any:
        rows = pipeline | obs.ReadFromCsv("in.csv")
        if step == "state":
            rows = rows | beam.Map(lambda row: ("k", row)).with_output_types(tuple[str, dict[str, str]])
        return (rows | "step" >> obs.Stage(STEPS[step]).with_dead_letters())[1]

    letters = sorted(_dead_letters(build), key=lambda letter: letter.position)

    assert [letter.position for letter in letters] == [2, 4]
    assert {pathlib.Path(letter.source_uri).name for letter in letters} == {"in.csv"}
    assert all(place_of(parse_origin(letter.origin)).position == letter.position for letter in letters)


def test_a_dead_letter_behind_a_read_of_beams_own_names_the_source_record_too() -> None:
    pathlib.Path("of beam.txt").write_text("1\n22\n")

    def build(pipeline: Any) -> Any:
        lines = pipeline | beam.io.ReadFromText("of beam.txt")
        return (lines | "step" >> obs.Stage(beam.Map(_refuse)).with_dead_letters())[1]

    letters = sorted(_dead_letters(build), key=lambda letter: letter.position)

    assert [letter.position for letter in letters] == [0, 2]
    assert {pathlib.Path(letter.source_uri).name for letter in letters} == {"of beam.txt"}


def test_a_dead_letter_of_an_aggregate_has_its_derived_origin_and_no_place() -> None:
    pathlib.Path("in.csv").write_text("a\n1\n22\n")

    def build(pipeline: Any) -> Any:
        sums = pipeline | obs.ReadFromCsv("in.csv") | beam.Map(lambda _: 1) | beam.CombineGlobally(sum)
        return (sums | "step" >> obs.Stage(beam.Map(_refuse)).with_dead_letters())[1]

    (letter,) = _dead_letters(build)

    assert letter.origin.startswith("00000000")
    assert letter.position is None
    assert letter.source_uri is None


def test_attributes_that_an_element_brings_go_first() -> None:
    pathlib.Path("in.csv").write_text("a\n1\n")

    def build(pipeline: Any) -> Any:
        rows = pipeline | obs.ReadFromCsv("in.csv", stamp=True) | beam.Map(_with_other_position)
        return (rows | "step" >> obs.Stage(beam.Map(_refuse)).with_dead_letters())[1]

    (letter,) = _dead_letters(build)

    assert letter.position == 77


def _with_other_position(row: Any) -> Any:
    return {**row, "_lineage": {**row["_lineage"], "position": 77}}


def test_attributes_that_are_no_attributes_do_no_harm() -> None:
    def build(pipeline: Any) -> Any:
        rows = pipeline | beam.Create([{"_lineage": {"origin": "mine"}}])
        return (rows | "step" >> obs.Stage(beam.Map(_refuse)).with_dead_letters())[1]

    (letter,) = _dead_letters(build)

    assert letter.origin == "mine"


def test_user_code_is_told_the_origin_of_its_element() -> None:
    pathlib.Path("in.csv").write_text("a\n1\n22\n")

    def build(pipeline: Any) -> Any:
        return pipeline | obs.ReadFromCsv("in.csv") | beam.Map(lambda row: (row["a"], obs.current_origin()))

    found = _dead_letters(build)

    assert [(value, place_of(origin).position) for value, origin in found] == [("1", 2), ("22", 4)]


class Telling(beam.DoFn):
    """With state, and a generator, which runs when `process` has returned."""

    def process(self, pair: Any, seen: Any = SEEN_PARAM) -> Any:
        yield pair[1]["a"], obs.current_origin()


@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
def test_user_code_with_state_is_told_the_origin_of_its_element(is_stage: bool) -> None:
    pathlib.Path("in.csv").write_text("a\n1\n22\n")

    def build(pipeline: Any) -> Any:
        rows = pipeline | obs.ReadFromCsv("in.csv")
        pairs = rows | beam.Map(lambda row: ("k", row)).with_output_types(tuple[str, dict[str, str]])
        return pairs | "step" >> (obs.Stage(beam.ParDo(Telling())) if is_stage else beam.ParDo(Telling()))

    found = sorted(_dead_letters(build))

    assert [(value, place_of(origin).position) for value, origin in found] == [("1", 2), ("22", 4)]


def test_of_a_partition_that_is_not_known_only_the_position_is_told() -> None:
    partition = Partition("never read", "1")

    assert place_of(partition.origin(7)) == (None, None, 7)
    assert place_of(Partition("never read", "1", wide=True).origin(7)) == (None, None, None)
    assert place_of(derived_origin("step", b"", b"", 0)) == (None, None, None)


def test_of_two_copies_none_is_told() -> None:
    partition = Partition("copied", "1")
    note_partition(partition, "a/copied", "run")
    note_partition(partition, "b/copied", "run")
    note_partition(partition, "a/copied", "run")

    assert place_of(partition.origin(7), "run").uri is None
    assert place_of(partition.origin(7), "other run").uri is None

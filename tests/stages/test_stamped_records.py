"""Lineage attributes stamped at a source reach the end through Stages, and the dead letters."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

import beam_obs as obs


def numbers(row: dict[str, str]) -> dict[str, int]:
    return {"a": int(row["a"])}


def by_parity(row: dict[str, Any]) -> tuple[int, dict[str, int]]:
    return row["a"] % 2, {"a": row["a"]}


@dataclasses.dataclass
class Number:
    a: int
    _lineage: dict[str, Any] | None = None


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\nx\n22\n")
    return str(path)


def positions(elements: list[Any]) -> list[int]:
    return sorted(element["_lineage"]["position"] for element in elements)


def test_typed_dicts_keep_the_place_they_came_from(rows: str) -> None:
    def check(elements: list[Any]) -> None:
        assert positions(elements) == [2, 6]

    with beam.Pipeline("DirectRunner") as p:
        read = p | "read" >> obs.ReadFromCsv(rows, stamp=True)
        hinted = beam.Map(numbers).with_output_types(dict[str, int])
        good, _ = read | "parse" >> obs.Stage(hinted).with_dead_letters()
        assert_that(good | beam.Reshuffle(), check)


def test_the_value_of_a_pair_keeps_its_place_through_a_shuffle(rows: str) -> None:
    def check(groups: list[Any]) -> None:
        assert {key: positions(list(values)) for key, values in groups} == {1: [2], 0: [6]}

    with beam.Pipeline("DirectRunner") as p:
        read = p | "read" >> obs.ReadFromCsv(rows, stamp=True)
        good, _ = read | "parse" >> obs.Stage(beam.Map(numbers)).with_dead_letters()
        keyed = beam.Map(by_parity).with_output_types(tuple[int, dict[str, int]])
        assert_that(good | "key" >> obs.Stage(keyed) | beam.GroupByKey(), check)


def test_a_dataclass_with_room_keeps_its_place(rows: str) -> None:
    def check(elements: list[Number]) -> None:
        assert sorted(element._lineage["position"] for element in elements if element._lineage) == [2, 6]

    with beam.Pipeline("DirectRunner") as p:
        read = p | "read" >> obs.ReadFromCsv(rows, stamp=True)
        typed = obs.Stage(beam.Map(lambda row: Number(int(row["a"]))))
        good, _ = read | "parse" >> typed.with_dead_letters()
        assert_that(good, check)


def test_a_dead_letter_of_a_plain_pipeline_has_origin_and_position(rows: str) -> None:
    def check(letters: list[Any]) -> None:
        (letter,) = letters
        assert (letter.source_uri, letter.position) == (rows, 4)
        assert len(letter.origin) == 32

    with beam.Pipeline("DirectRunner") as p:
        read = p | "read" >> obs.ReadFromCsv(rows, stamp=True)
        _, letters = read | "parse" >> obs.Stage(beam.Map(numbers)).with_dead_letters()
        assert_that(letters, check)

"""Damaged files through the pipeline: every damage is refused where it should be, and nothing else is."""

from __future__ import annotations

import collections
import json
import pathlib
from typing import Any, NamedTuple

import fastavro
import pytest

from pipelines.flights import demo
from pipelines.flights.damage import Damage, damage
from pipelines.flights.reference import DATA

JANUARY = DATA / "flights-2013-01.csv"
FLIGHTS_IN_JANUARY = 27_004


class DamagedRun(NamedTuple):
    damages: list[Damage]
    dead_letters: list[dict[str, Any]]
    flights: list[dict[str, Any]]
    statistics: list[dict[str, Any]]
    files: pathlib.Path
    end: dict[str, Any]


def read_avro(paths: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for path in sorted(paths):
        with path.open("rb") as file:
            records.extend(fastavro.reader(file))
    return records


@pytest.fixture(scope="module")
def run(flights_demo: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> DamagedRun:
    folder = flights_demo / demo.FOLDER
    damages = damage(JANUARY, tmp_path_factory.mktemp("damaged"))
    return DamagedRun(
        damages,
        read_avro(folder.glob("store/runs/flights/*/dead_letters-*.avro")),
        read_avro(folder.glob("flights-flights-*.avro")),
        read_avro(folder.glob("flights-statistics-*.avro")),
        folder / "input",
        json.loads(next(folder.glob("store/runs/flights/*/end.json")).read_text()),
    )


def refusals_of(one: Damage, dead_letters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        letter
        for letter in dead_letters
        if letter["stage"] == one.step
        and letter["error_type"].endswith(one.error)
        and all(text in letter["payload_text"] for text in one.shows)
    ]


def test_there_are_eight_kinds_of_damage(run: DamagedRun) -> None:
    assert len({one.kind for one in run.damages}) == 8


def test_each_damage_is_refused_once_and_where_it_should_be(run: DamagedRun) -> None:
    for one in run.damages:
        assert len(refusals_of(one, run.dead_letters)) == 1, one


def test_nothing_else_is_refused(run: DamagedRun) -> None:
    assert len(run.dead_letters) == len(run.damages)


def test_what_a_read_refuses_names_its_file(run: DamagedRun) -> None:
    for one in run.damages:
        if one.step == "read flights":
            (letter,) = refusals_of(one, run.dead_letters)
            assert letter["source_uri"].endswith(f"/{one.file}")


def test_the_position_of_a_refused_row_is_where_its_line_begins(run: DamagedRun) -> None:
    for one in run.damages:
        if one.step == "read flights" and one.line:
            (letter,) = refusals_of(one, run.dead_letters)
            lines = (run.files / one.file).read_bytes().splitlines(keepends=True)
            assert letter["position"] == sum(map(len, lines[: one.line - 1]))
            assert letter["payload"] == lines[one.line - 1].rstrip(b"\n")


def test_every_good_flight_comes_through_once(run: DamagedRun) -> None:
    rows = [row.split(",") for row in JANUARY.read_text().splitlines()[1:]]
    lost = {name for one in run.damages for name in one.lost}
    good = collections.Counter(f"{row[9]}{row[10]}/{row[18]}" for row in rows)
    through = collections.Counter(f"{f['carrier']}{f['number']}/{f['hour']}" for f in run.flights)
    assert through == {name: count for name, count in good.items() if name not in lost}


def test_good_and_lost_flights_add_up_to_january(run: DamagedRun) -> None:
    lost = sum(len(one.lost) for one in run.damages)
    assert len(run.flights) + lost == FLIGHTS_IN_JANUARY
    assert sum(day["flights"] for day in run.statistics) == len(run.flights)


def test_the_run_balances(run: DamagedRun) -> None:
    assert run.end["status"] == "done"
    assert run.end["balance"]["holds"]
    counts = {stage["label"]: stage for stage in run.end["stages"]}
    through = counts["write flights"]
    assert (through["in"], through["dead"]) == (len(run.flights), 0)
    assert sum(stage["dead"] for stage in counts.values()) == len(run.damages)
    for stage in counts.values():
        assert stage["in"] == stage["out"] + stage["dead"] + stage["filtered"]

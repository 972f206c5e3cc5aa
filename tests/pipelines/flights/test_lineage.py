"""What the flights pipeline answers about its own records, on January and on damaged files."""

from __future__ import annotations

import collections
import csv
import json
import pathlib
from collections.abc import Iterator

import fastavro
import pytest

import beam_obs as obs
from beam_obs.lineage import COMPLETE, VERIFIED, FromAggregate, FromSource, affected, fate, why
from pipelines.flights import demo
from pipelines.flights.damage import GOOD_FILE, MANIFEST

INPUT = demo.FOLDER / "input"
UNITED = {"carrier": "UA", "day": "2013-01-15"}


@pytest.fixture(scope="module")
def store(flights_demo: pathlib.Path) -> obs.Store:
    return obs.Store(str(flights_demo / demo.STORE))


@pytest.fixture(autouse=True)
def work_where_it_ran(flights_demo: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flights_demo)


def sources_in(tree: FromSource | FromAggregate) -> Iterator[FromSource]:
    if isinstance(tree, FromSource):
        yield tree
    else:
        for one in tree.contributors:
            yield from sources_in(one)


@pytest.mark.parametrize("output", ["flights-statistics*.jsonl", "flights-statistics*.avro"])
def test_the_mean_delay_of_a_day_is_made_of_its_flights(store: obs.Store, output: str) -> None:
    answer = why(f"{demo.FOLDER}/{output}", UNITED, store=store, all_contributors=True)
    assert answer.certainty.kind == COMPLETE
    assert answer.record is not None
    assert answer.record.fields is not None
    flights = list(sources_in(answer.made_of[0]))
    assert len(flights) == answer.record.fields["flights"] == 155
    assert all(flight.record.state == VERIFIED for flight in flights)
    rows = list(csv.reader(str(flight.record.text) for flight in flights))
    assert {(row[9], row[1], row[2]) for row in rows} == {("UA", "1", "15")}
    delays = [int(row[5]) for row in rows if row[5] != "NA"]
    assert answer.record.fields["mean_departure_delay"] == pytest.approx(sum(delays) / len(delays))


def test_line_839_of_the_input_went_into_two_outputs(store: obs.Store) -> None:
    line = INPUT.joinpath(GOOD_FILE).read_text().splitlines()[838].split(",")
    answer = fate(f"{INPUT}/{GOOD_FILE}:839", store=store)
    assert answer.certainty.kind == COMPLETE
    assert answer.into is not None
    assert [one.sink for one in answer.into.written] == ["write flights"]
    (day,) = answer.into.aggregates
    assert day.key == f"('{line[9]}', '2013-01-{int(line[2]):02}')"
    assert {one.sink for one in day.written} == {"write statistics", "write JSON"}


def test_every_damaged_line_leads_to_what_refused_it(store: obs.Store) -> None:
    for text in INPUT.joinpath(MANIFEST).read_text().splitlines():
        damage = json.loads(text)
        if not damage["line"]:
            continue
        into = fate(f"{INPUT}/{damage['file']}:{damage['line']}", store=store).into
        assert into is not None
        refused = into.dead_letters or [
            letter for aggregate in into.aggregates for letter in aggregate.dead_letters
        ]
        assert (damage["step"], damage["error"]) in {
            (letter.stage, letter.error_type.rpartition(".")[2]) for letter in refused
        }


def test_what_a_damaged_file_touched_are_its_flights_and_their_days(store: obs.Store) -> None:
    source = INPUT / "flights-torn-row.csv"
    (touched,) = affected(source=str(source), store=store).runs
    assert touched.certainty.kind == COMPLETE
    rows = [row for row in csv.DictReader(source.open()) if row["time_hour"]]
    days = {(row["carrier"], row["day"]) for row in rows}
    counts = {sink.label: sink.records for sink in touched.sinks}
    assert counts == {
        "write flights": len(rows),
        "write statistics": len(days),
        "write JSON": len(days),
    }


def test_every_flight_that_was_written_leads_to_its_line(store: obs.Store) -> None:
    (file,) = demo.FOLDER.glob("flights-flights-*.avro")
    with file.open("rb") as opened:
        written = list(fastavro.reader(opened))
    answered: collections.Counter[str] = collections.Counter()
    for number in range(1, len(written) + 1, 2000):
        answer = why(f"{file}:{number}", store=store)
        answered[answer.certainty.kind] += 1
        flight = written[number - 1]
        assert isinstance(flight, dict)
        for source in sources_in(answer.made_of[0]):
            row = next(csv.reader([str(source.record.text)]))
            assert (row[9], int(row[10]), row[11]) == (
                flight["carrier"],
                flight["number"],
                flight["tail_number"] or "NA",
            )
    assert set(answered) == {COMPLETE}

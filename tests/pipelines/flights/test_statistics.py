"""The pipeline's figures against figures computed from the CSV files by other means."""

from __future__ import annotations

import collections
import csv
import fractions
import json
import math
import pathlib
import statistics
from typing import Any

import fastavro
import pytest

from pipelines.flights import bare, batch
from pipelines.flights.reference import DATA

JANUARY = DATA / "flights-2013-01.csv"
RUN = ["--runner=FnApiRunner", f"--input={JANUARY}"]


def read_avro(prefix: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{prefix}-*.avro")):
        with path.open("rb") as file:
            records.extend(fastavro.reader(file))
    return records


def read_json(prefix: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    lines = [line for path in folder.glob(f"{prefix}-*.jsonl") for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    return [{name: value for name, value in record.items() if name != "_lineage"} for record in records]


def by_carrier_and_day(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(record["carrier"], record["day"]): record for record in records}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("january")
    batch.main([*RUN, f"--output={folder}/january", f"--obs_store={folder}/store"])
    return folder


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with JANUARY.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected(rows: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    with (DATA / "planes.csv").open(newline="") as file:
        registry = {row["tailnum"] for row in csv.DictReader(file)}
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["carrier"], f"2013-01-{int(row['day']):02}"].append(row)
    figures = {}
    for (carrier, day), group in groups.items():
        departure = [int(row["dep_delay"]) for row in group if row["dep_delay"] != "NA"]
        arrival = [int(row["arr_delay"]) for row in group if row["arr_delay"] != "NA"]
        figures[carrier, day] = {
            "carrier": carrier,
            "day": day,
            "flights": len(group),
            "cancelled": sum(row["dep_time"] == "NA" for row in group),
            "unknown_planes": sum(row["tailnum"] not in registry for row in group),
            "mean_departure_delay": exact_mean(departure),
            "p90_departure_delay": least_that_nine_in_ten_keep(departure),
            "mean_arrival_delay": exact_mean(arrival),
            "p90_arrival_delay": least_that_nine_in_ten_keep(arrival),
        }
    return figures


def exact_mean(values: list[int]) -> float | None:
    return float(statistics.mean(map(fractions.Fraction, values))) if values else None


def least_that_nine_in_ten_keep(values: list[int]) -> int | None:
    """The definition, taken literally."""
    keep = (least for least in sorted(set(values)) if 10 * sum(v <= least for v in values) >= 9 * len(values))
    return next(keep, None)


def test_the_statistics_are_those_of_the_csv_file(
    outputs: pathlib.Path, expected: dict[tuple[str, str], dict[str, Any]]
) -> None:
    found = by_carrier_and_day(read_avro("january-statistics", outputs))
    assert found == expected


def test_json_and_avro_say_the_same(outputs: pathlib.Path) -> None:
    avro = by_carrier_and_day(read_avro("january-statistics", outputs))
    assert by_carrier_and_day(read_json("january-statistics", outputs)) == avro


def test_no_flight_of_january_is_lost(outputs: pathlib.Path, rows: list[dict[str, str]]) -> None:
    flights = read_avro("january-flights", outputs)
    assert sorted(f"{f['carrier']}{f['number']}/{f['hour']}" for f in flights) == sorted(
        f"{row['carrier']}{row['flight']}/{row['time_hour']}" for row in rows
    )


def test_cancelled_flights_are_no_errors(outputs: pathlib.Path, rows: list[dict[str, str]]) -> None:
    flights = read_avro("january-flights", outputs)
    cancelled = sum(flight["departure"] is None for flight in flights)
    assert cancelled == sum(row["dep_time"] == "NA" for row in rows) == 521


def test_a_flight_has_its_plane_and_its_weather(outputs: pathlib.Path) -> None:
    flights = read_avro("january-flights", outputs)
    flight = next(f for f in flights if (f["carrier"], f["number"], f["day"]) == ("UA", 1545, "2013-01-01"))
    assert flight["carrier_name"] == "United Air Lines Inc."
    assert flight["plane"]["model"] == "737-824"
    assert math.isclose(flight["weather"]["temperature"], 39.02 - 0.0, abs_tol=1.0)
    assert flight["weather"]["hour"] == flight["hour"] == "2013-01-01T10:00:00Z"


@pytest.mark.slow
def test_the_bare_pipeline_gives_the_same_outputs(outputs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    bare.main([*RUN, f"--output={tmp_path}/january"])
    for kind in ("flights", "statistics"):
        observed, unobserved = (read_avro(f"january-{kind}", folder) for folder in (outputs, tmp_path))
        assert sorted(observed, key=repr) == sorted(unobserved, key=repr)
    assert by_carrier_and_day(read_json("january-statistics", tmp_path)) == by_carrier_and_day(
        read_json("january-statistics", outputs)
    )

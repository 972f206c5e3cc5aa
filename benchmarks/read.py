"""What reading CSV costs: obs.ReadFromCsv against beam.io.ReadFromText and csv.reader by hand.

    python -m benchmarks.read [--rows 200000] [--rounds 5]

Process CPU on the FnApiRunner, rounds interleaved, pipelines without rows taken off; figures are
nanoseconds per row, medians, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import csv
import gc
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs

_HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)
_ROW = "2013,1,{day},517,515,2,830,819,11,UA,{flight},N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
_QUOTED = (
    '2013,1,{day},517,515,2,830,819,11,"U""A",{flight},"N14228, x",EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z'
)


class Flight(NamedTuple):
    """Some columns, typed."""

    year: int
    month: int
    day: int
    dep_delay: int | None
    carrier: str
    flight: int
    tailnum: str
    distance: int


def by_hand(path: str) -> Any:
    """Beam's reader, and the header's names put to each line's fields."""
    names = _HEADER.split(",")
    return lambda p: (
        p
        | beam.io.ReadFromText(path, skip_header_lines=1)
        | beam.Map(lambda line: dict(zip(names, next(csv.reader([line])), strict=True)))
    )


def by_hand_typed(path: str) -> Any:
    """The same, and conversion as one writes it."""
    names = _HEADER.split(",")

    def flight(line: str) -> Flight:
        row = dict(zip(names, next(csv.reader([line])), strict=True))
        return Flight(
            int(row["year"]),
            int(row["month"]),
            int(row["day"]),
            int(row["dep_delay"]) if row["dep_delay"] else None,
            row["carrier"],
            int(row["flight"]),
            row["tailnum"],
            int(row["distance"]),
        )

    return lambda p: p | beam.io.ReadFromText(path, skip_header_lines=1) | beam.Map(flight)


def main() -> None:
    """Prints the figures."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = _file(folder, "plain.csv", _ROW, options.rows)
        quoted = _file(folder, "quoted.csv", _QUOTED, options.rows)
        empty = _file(folder, "empty.csv", _ROW, 0)
        pairs: dict[str, tuple[Callable[[str], Any], Callable[[str], Any], str]] = {
            "text lines": (obs.ReadFromText, beam.io.ReadFromText, plain),
            "csv to dict": (obs.ReadFromCsv, by_hand, plain),
            "csv to dict, quoted": (obs.ReadFromCsv, by_hand, quoted),
            "csv to NamedTuple": (lambda path: obs.ReadFromCsv(path, record=Flight), by_hand_typed, plain),
            "csv to dict, stamped": (lambda path: obs.ReadFromCsv(path, stamp=True), by_hand, plain),
        }
        print(f"{'':24} {'obs':>9} {'beam':>9} {'ratio':>7}   ns of CPU per row of {len(_ROW)} bytes")
        for name, (ours, theirs, path) in pairs.items():
            rounds = [
                (_cost(ours, path, empty, options.rows), _cost(theirs, path, empty, options.rows))
                for _ in range(options.rounds)
            ]
            mine, other = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(first / second for first, second in rounds)
            print(f"{name:24} {mine:9,.0f} {other:9,.0f} {ratio:7.2f}")


def _file(folder: str, name: str, row: str, rows: int) -> str:
    path = pathlib.Path(folder, name)
    lines = (row.format(day=number % 28 + 1, flight=number) for number in range(rows))
    path.write_text("\n".join((_HEADER, *lines, "")))
    return str(path)


def _cost(make: Callable[[str], Any], path: str, empty: str, rows: int) -> float:
    return (_run(make(path)) - _run(make(empty))) / rows * 1e9


def _run(read: Any) -> float:
    gc.collect()
    started = time.process_time()
    with beam.Pipeline("FnApiRunner", options=PipelineOptions([])) as p:
        _ = (
            read(p) | beam.Map(_nothing)
            if callable(read) and not isinstance(read, beam.PTransform)
            else p | read | beam.Map(_nothing)
        )
    return time.process_time() - started


def _nothing(_: Any) -> None:
    return None


if __name__ == "__main__":
    main()

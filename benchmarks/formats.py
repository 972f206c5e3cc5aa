"""What reading other formats costs: obs.ReadFromJson, ReadFromAvro and ReadFromParquet against Beam's reads.

    python -m benchmarks.formats [--rows 100000] [--rounds 5]

Process CPU on the FnApiRunner, rounds interleaved, pipelines without rows taken off; figures are
nanoseconds per record, medians, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
import pyarrow
import pyarrow.parquet

import beam_obs as obs

Make = Callable[[str], Any]


class Flight(NamedTuple):
    """Some columns, typed."""

    year: int
    month: int
    day: int
    dep_delay: float | None
    carrier: str
    flight: int
    distance: float


class _JsonByHand(beam.PTransform):
    """Beam's reader of lines, and each line parsed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, pbegin: Any) -> Any:
        return pbegin | beam.io.ReadFromText(self._path) | beam.Map(json.loads)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        full, empty = _files(folder, "full", options.rows), _files(folder, "empty", 0)
        pairs: dict[str, tuple[Make, Make, str]] = {
            "json to dict": (obs.ReadFromJson, _JsonByHand, "json"),
            "json to dict, stamped": (lambda path: obs.ReadFromJson(path, stamp=True), _JsonByHand, "json"),
            "json to NamedTuple": (lambda path: obs.ReadFromJson(path, Flight), _JsonByHand, "json"),
            "avro": (obs.ReadFromAvro, beam.io.ReadFromAvro, "avro"),
            "avro, stamped": (
                lambda path: obs.ReadFromAvro(path, stamp=True),
                beam.io.ReadFromAvro,
                "avro",
            ),
            "parquet": (obs.ReadFromParquet, beam.io.ReadFromParquet, "parquet"),
            "text in a Source": (
                lambda path: "read" >> obs.Source(beam.io.ReadFromText(path)),
                beam.io.ReadFromText,
                "json",
            ),
        }
        print(f"{'':24} {'obs':>9} {'beam':>9} {'ratio':>7}   ns of CPU per record")
        for name, (ours, theirs, kind) in pairs.items():
            rounds = [
                tuple(_cost(make, full[kind], empty[kind], options.rows) for make in (ours, theirs))
                for _ in range(options.rounds)
            ]
            mine, other = (statistics.median(column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(first / second for first, second in rounds)
            print(f"{name:24} {mine:9,.0f} {other:9,.0f} {ratio:7.2f}")
    return 0


def _files(folder: str, name: str, rows: int) -> dict[str, str]:
    flights = [
        {
            "year": 2013,
            "month": 1,
            "day": number % 28 + 1,
            "dep_delay": 2.0 if number % 50 else None,
            "carrier": "UA",
            "flight": number,
            "tailnum": "N14228",
            "origin": "EWR",
            "dest": "IAH",
            "distance": 1400.0,
        }
        for number in range(max(rows, 2))
    ]
    kinds = {int: "long", float: ["null", "double"], str: "string"}
    fields = [
        {"name": name, "type": kinds[float if name == "dep_delay" else type(value)]}
        for name, value in flights[1].items()
    ]
    schema = {"type": "record", "name": "Flight", "fields": fields}
    table = pyarrow.Table.from_pylist(flights).slice(0, rows)
    flights = flights[:rows]
    paths = {kind: str(pathlib.Path(folder, f"{name}.{kind}")) for kind in ("json", "avro", "parquet")}
    pathlib.Path(paths["json"]).write_text("".join(json.dumps(flight) + "\n" for flight in flights))
    with open(paths["avro"], "wb") as file:
        fastavro.writer(file, schema, flights, codec="deflate")
    pyarrow.parquet.write_table(table, paths["parquet"])
    return paths


def _cost(make: Make, path: str, empty: str, rows: int) -> float:
    return (_run(make(path)) - _run(make(empty))) / rows * 1e9


def _run(read: Any) -> float:
    gc.collect()
    started = time.process_time()
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | read | beam.Map(_nothing)
    return time.process_time() - started


def _nothing(_: Any) -> None:
    return None


if __name__ == "__main__":
    sys.exit(main())

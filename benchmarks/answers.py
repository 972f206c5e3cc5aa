"""`python -m benchmarks.answers`: how long `beam-obs why` and `fate` take, cold, on a million records.

The run is a real one with default settings: a million lines of CSV, some of them filtered, all others
written as they are and summed by key; 200,000 keys, of which twenty have some 5,000 records each. Asked are
100 random records of both outputs and 100 random lines of the source, every tenth of these the 101st record
of its key, each in a process of its own. None may take more than 1 s, and none may be "not recorded".
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import Verdict, print_verdicts

LIMIT_SECONDS = 1.0
KEYS = 200_000
LARGE_KEYS = 20
LARGE_SHARE = 0.1
SOURCE = "readings.csv"


def write_source(folder: pathlib.Path, records: int) -> None:
    """Writes the lines, the same for the same number of them."""
    dice = random.Random(11)
    keys = max(2 * LARGE_KEYS, KEYS * records // 1_000_000)
    with (folder / SOURCE).open("w") as file:
        file.write("id,sensor,value\n")
        for number in range(records):
            large = dice.random() < LARGE_SHARE
            key = dice.randrange(LARGE_KEYS) if large else LARGE_KEYS + dice.randrange(keys - LARGE_KEYS)
            file.write(f"{number},s{key},{dice.randrange(-10, 1000)}\n")


def is_good(record: dict[str, str]) -> bool:
    """One value in a hundred is below zero."""
    return not record["value"].startswith("-")


def by_sensor(record: dict[str, str]) -> tuple[str, int]:
    """Returns key and value."""
    return record["sensor"], int(record["value"])


def as_sum(sensor: str, total: int) -> dict[str, Any]:
    """Returns what is written of a key."""
    return {"sensor": sensor, "total": total}


def as_line(record: dict[str, str]) -> str:
    """Returns what is written of a record."""
    return f"{record['id']} {record['sensor']} {record['value']}"


def run_pipeline(folder: pathlib.Path) -> None:
    """Runs the pipeline, woven as by default."""
    argv = [f"--obs_store={folder / 'store'}", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="readings") as p:
        good = p | "read" >> obs.ReadFromCsv(str(folder / SOURCE)) | "good" >> obs.Stage(beam.Filter(is_good))
        good | "line" >> beam.Map(as_line) | "write lines" >> beam.io.WriteToText(str(folder / "lines"))
        (
            good
            | "key" >> beam.Map(by_sensor)
            | "sum" >> beam.CombinePerKey(sum)
            | "sums" >> beam.MapTuple(as_sum)
            | "write sums" >> obs.WriteToJson(str(folder / "sums"))
        )


def questions(folder: pathlib.Path, asked: int) -> Iterator[tuple[str, list[str]]]:
    """Gives commands, each with what kind it is."""
    dice = random.Random(7)
    outputs = [
        f"{file}:{line}"
        for pattern in ("lines-*", "sums-*")
        for file in sorted(folder.glob(pattern))
        for line in [dice.randint(1, _lines(file)) for _ in range(asked // 2)]
    ]
    for place in dice.sample(outputs, min(asked, len(outputs))):
        yield "why", ["why", place]
    by_key = collections.defaultdict(list)
    lines = (folder / SOURCE).read_text().splitlines()
    for number, line in enumerate(lines[1:], 2):
        _, sensor, value = line.split(",")
        if not value.startswith("-"):
            by_key[sensor].append(number)
    far = [numbers[100] for numbers in by_key.values() if len(numbers) > 100]
    for question in range(asked):
        number = dice.choice(far) if question % 10 == 0 and far else dice.randint(2, len(lines))
        yield "fate", ["fate", f"{folder / SOURCE}:{number}"]


def _lines(file: pathlib.Path) -> int:
    return file.read_bytes().count(b"\n")


def ask(folder: pathlib.Path, command: list[str]) -> tuple[float, float, dict[str, Any]]:
    """Returns how long a command takes in a process of its own, its CPU time, and its answer."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "beam_obs.cli", *command, "--json", "--store", str(folder / "store")],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return took, busy, json.loads(done.stdout)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--asked", type=int, default=100, help="questions of each kind")
    parser.add_argument(
        "--folder", type=pathlib.Path, help="keeps the run there, and takes one that is there"
    )
    arguments = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "store").exists():
            write_source(folder, arguments.records)
            began = time.perf_counter()
            run_pipeline(folder)
            print(f"a run of {arguments.records:,} records took {time.perf_counter() - began:.0f} s")
        print_evidence(folder)
        return report(folder, arguments.asked)


def print_evidence(folder: pathlib.Path) -> None:
    """Prints how much the run left."""
    sizes: collections.Counter[str] = collections.Counter()
    for file in (folder / "store").rglob("*.avro"):
        sizes[file.name.partition("-")[0]] += file.stat().st_size
    print(", ".join(f"{kind} {size / 1e6:.1f} MB" for kind, size in sorted(sizes.items())))


def report(folder: pathlib.Path, asked: int) -> int:
    """Asks, and prints the figures; returns the exit code."""
    seconds = collections.defaultdict(list)
    busy = collections.defaultdict(list)
    certainties: collections.Counter[str] = collections.Counter()
    for kind, command in questions(folder, asked):
        took, cpu, answer = ask(folder, command)
        seconds[kind].append(took)
        busy[kind].append(cpu)
        certainty = answer["certainty"]["kind"]
        certainties[f"{kind}: {certainty}"] += 1
        if certainty == "not recorded":
            print(f"not recorded: {' '.join(command)}: {answer['certainty']['reason']}")
    print(", ".join(f"{kind} {count}" for kind, count in sorted(certainties.items())))
    for kind, taken in busy.items():
        print(f"{kind}: CPU time {statistics.median(taken):.2f} s, at most {max(taken):.2f} s")
    missing = sum(count for kind, count in certainties.items() if kind.endswith("not recorded"))
    verdicts = [
        verdict
        for kind, taken in seconds.items()
        for verdict in (
            Verdict(
                f"{kind}, median of {len(taken)}",
                f"{statistics.median(taken):.2f} s",
                "1 s",
                statistics.median(taken) < LIMIT_SECONDS,
            ),
            Verdict(f"{kind}, slowest", f"{max(taken):.2f} s", "1 s", max(taken) < LIMIT_SECONDS),
        )
    ]
    verdicts.append(Verdict("not recorded", str(missing), "0", missing == 0))
    return int(not print_verdicts(verdicts))


if __name__ == "__main__":
    sys.exit(main())

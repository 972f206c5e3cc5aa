"""`python -m benchmarks.store`: how long each command takes, cold, on a store of 1,000 runs; 1 s is allowed.

Every run has a start, an end, a manifest and a file of dead letters, as a real one has: copies of one
real run under ids of their own. Half of them are of one pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import apache_beam as beam

import beam_obs as obs
from beam_obs.records.manifest import content_hash
from beam_obs.store.run_record import END, START
from beam_obs.store.run_record_forms import FILES
from beam_obs.store.sealing import encode_record, seal

LIMIT_SECONDS = 1.0

_PRUNE = ("prune", "--older-than", "0s")


def make_store(root: pathlib.Path, runs: int) -> None:
    """Fills a store with copies of one real run."""
    argv = [f"--obs_store={root}", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="nightly-0") as p:
        lines = p | beam.Create([str(number) for number in range(1000)] + ["x"] * 20)
        lines | "parse" >> obs.Stage(beam.Map(int))
    original = root / obs.Store(str(root)).find("latest").folder
    for number in range(1, runs):
        pipeline = "nightly-0" if number % 2 else f"nightly-{number % 20}"
        milliseconds = 1_760_000_000_000 + number * 60_000
        run = str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62) | number))
        copy_run(original, root / "runs" / pipeline / run)


def copy_run(original: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies a run to another folder, whose names are those of the pipeline and the run."""
    shutil.copytree(original, folder)
    start, end = (json.loads((folder / name).read_text()) for name in (START, END))
    for content in (start, end):
        del content["seal"]
    started = seal(encode_record({**start, "id": folder.name, "pipeline": folder.parent.name}))
    end[FILES][START] = content_hash(started).hexdigest()
    (folder / START).write_bytes(started)
    (folder / END).write_bytes(seal(encode_record(end)))


def seconds(command: tuple[str, ...], where: list[str]) -> tuple[float, float]:
    """Returns how long a command takes in a process of its own, and what it takes of the processors.

    Args:
      command: its arguments.
      where: those that lead to the store.
    """
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "beam_obs.cli", *command, *where],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processors = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - began, processors


def commands_on(store: obs.Store) -> list[tuple[str, ...]]:
    """Returns the commands that are measured on a store of `make_store`."""
    latest = store.find("nightly-0@latest")
    from beam_obs.store.evidence import dead_letters

    letter, _ = next(dead_letters(store, latest))
    return [
        ("runs",),
        ("runs", "--limit", "0"),
        ("runs", "--pipeline", "nightly-8"),
        ("show", "latest"),
        ("show", latest.id[:13]),
        ("dead-letters", "list", "nightly-0@latest"),
        ("dead-letters", "list", "nightly-0@latest", "--letters"),
        ("dead-letters", "list", "--pipeline", "nightly-0"),
        ("diff", "nightly-0@latest~1", "nightly-0@latest"),
        ("dead-letters", "show", letter.id),
        ("dead-letters", "show", letter.id, "--payload"),
        (*_PRUNE, "--dry-run"),
        _PRUNE,  # the last: it removes all runs but one of each pipeline
    ]


def slowest(commands: list[tuple[str, ...]], where: list[str], repeats: int) -> float:
    """Measures commands, prints the median of each, and returns the largest, in seconds."""
    worst = 0.0
    for command in commands:
        times = 1 if command == _PRUNE else repeats
        taken = [seconds(command, where) for _ in range(times)]
        median, processors = (statistics.median(each) for each in zip(*taken, strict=True))
        worst = max(worst, median)
        print(f"{median:6.2f} s, {processors:5.2f} s of processors  beam-obs {' '.join(command)}", flush=True)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        make_store(root, arguments.runs)
        worst = slowest(commands_on(obs.Store(folder)), ["--store", folder], arguments.repeats)
    print(f"{worst:6.2f} s  the slowest, of {LIMIT_SECONDS} s allowed, on {arguments.runs:,} runs")
    return int(worst > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

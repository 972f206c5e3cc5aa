"""`python -m benchmarks.refusals`: how long commands take, cold, on a run with a million dead letters.

The run is a real one: a CSV of which 99 lines in 100 are refused, by two stages and in four kinds, one of
them rare. Each command has a process of its own, and 1 s is allowed, with the indexes of the files and, for
comparison, without them, as runs of earlier releases are.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import Verdict, print_verdicts

LIMIT_SECONDS = 1.0
RECORDS = 1_010_101
SOURCE = "readings.csv"
PADDING = "x" * 120
"""Makes a line about 150 bytes long."""

ONE_IN = 100
RARE = 250_007


def write_source(folder: pathlib.Path, records: int) -> None:
    """Writes the lines, the same for the same number of them."""
    with (folder / SOURCE).open("w") as file:
        file.write("id,sensor,value,note\n")
        for number in range(records):
            if number % ONE_IN == 0:
                value = str(number % 50)
            elif number % RARE == 1:
                value = ""
            else:
                value = ("n/a", "-400", "4oo")[number % 3]
            file.write(f"{number},s{number % 1000},{value},{PADDING}\n")


def parse(record: dict[str, str]) -> dict[str, Any]:
    """Returns a record with its value as a number."""
    if not record["value"]:
        raise LookupError("no value")
    if record["value"] == "n/a":
        raise ValueError("not measured")
    return {"sensor": record["sensor"], "value": int(record["value"])}


def plausible(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record whose value can be one."""
    if record["value"] < -273:
        raise ValueError(f"too cold: {record['value']}")
    return record


def run_pipeline(folder: pathlib.Path) -> None:
    """Runs the pipeline, woven as by default."""
    argv = [f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_max_dead_rate=1"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="readings") as p:
        (
            p
            | "read" >> obs.ReadFromCsv(str(folder / SOURCE))
            | "parse" >> obs.Stage(beam.Map(parse))
            | "plausible" >> obs.Stage(beam.Map(plausible))
            | "text" >> beam.Map(str)
            | "write" >> beam.io.WriteToText(str(folder / "good"))
        )


def commands_of(folder: pathlib.Path) -> list[tuple[str, ...]]:
    """Returns what is asked: of a letter far behind, of a rare kind, of lines that were refused and not."""
    store = obs.Store(str(folder / "store"))
    run = store.find("latest")
    kinds = sorted((run.end or {})["dead_letters"]["by_fingerprint"], key=lambda kind: kind["count"])
    bundle = kinds[-1]["id"].rpartition(".")[0]
    count = max(1, kinds[-1]["count"])
    return [
        ("dead-letters", "list", "latest"),
        ("dead-letters", "list", "latest", "--letters", "--limit", "20"),
        ("dead-letters", "list", "latest", "--letters", "--stage", "plausible"),
        ("dead-letters", "list", "latest", "--fingerprint", kinds[0]["fingerprint"]),
        ("dead-letters", "show", f"{bundle}.{count - 1}", "--json"),
        ("fate", f"{folder / SOURCE}:{count}"),
        ("fate", f"{folder / SOURCE}:{ONE_IN + 2}"),
        ("fate", str(kinds[0]["origin"])),
        ("why", f"{folder / 'good-00000-of-00001'}:3"),
        ("affected", "--source", str(folder / SOURCE)),
    ]


class Took(NamedTuple):
    """What a command took: seconds, and CPU seconds."""

    seconds: float
    busy: float


def ask(folder: pathlib.Path, command: tuple[str, ...]) -> Took:
    """Returns what a command takes in a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_obs.cli", *command, "--store", str(folder / "store")],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Took(time.perf_counter() - began, used.ru_utime + used.ru_stime)


def report(folder: pathlib.Path, repeats: int) -> bool:
    """Asks with the indexes and without them, prints what it takes, and returns whether targets are met."""
    indexes = sorted((folder / "store").rglob("index-of-*"))
    verdicts = []
    print(f"  {'s':>6} {'CPU s':>6}   {'s':>6} {'CPU s':>6} without index")
    for command in commands_of(folder):
        taken = [ask(folder, command) for _ in range(repeats)]
        for index in indexes:
            index.rename(index.with_name(f"away-{index.name}"))
        without = ask(folder, command)
        for index in indexes:
            index.with_name(f"away-{index.name}").rename(index)
        seconds, busy = (statistics.median(one) for one in zip(*taken, strict=True))
        shown = " ".join(command)
        taken_without = f"{without.seconds:6.2f} {without.busy:6.2f}"
        print(f"  {seconds:6.2f} {busy:6.2f}   {taken_without}  beam-obs {shown}")
        verdicts.append(Verdict(shown[-60:], f"{seconds:.2f} s", "1 s", seconds < LIMIT_SECONDS))
    return print_verdicts(verdicts)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--repeats", type=int, default=3)
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
        return int(not report(folder, arguments.repeats))


if __name__ == "__main__":
    sys.exit(main())

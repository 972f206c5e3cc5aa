"""What observation adds to the start of a run: `python -m benchmarks.start`.

CPU time of a pipeline of three steps and three elements, built and run: bare, and observed with lineage in a
store of its own. What every run of a process pays is told apart from what its first one pays, in a fresh
interpreter: there the imports of Beam, of beam_obs and of what the run imports itself count, too.
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import (
    Verdict,
    in_turn,
    paired_difference,
    print_verdicts,
    process_seconds,
    without_warnings,
)

ROUNDS = 15
FRESH_ROUNDS = 5
TARGET_MILLISECONDS = 50.0
PROJECT = pathlib.Path(__file__).parent.parent


def build(pipeline: beam.Pipeline) -> None:
    """Three steps."""
    _ = (
        pipeline
        | "texts" >> beam.Create(["1", "2", "3"])
        | "number" >> beam.Map(int)
        | "double" >> beam.Map(lambda number: number * 2)
        | "sum" >> beam.CombineGlobally(sum)
    )


def bare() -> None:
    """One run as Beam has it."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        build(pipeline)


def observed() -> None:
    """One run in a store of its own, with lineage."""
    with (
        tempfile.TemporaryDirectory() as store,
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        obs.Pipeline(argv=["--runner=FnApiRunner", f"--obs_store={store}"], name="start") as pipeline,
    ):
        build(pipeline)


RUNS: dict[str, Callable[[], None]] = {"bare": bare, "observed": observed}


def seconds_in_fresh_interpreter(name: str) -> float:
    """Returns the CPU seconds of an interpreter that does one run and ends."""
    before = os.times()
    command = [sys.executable, "-m", "benchmarks.start", "--once", name]
    subprocess.run(command, check=True, cwd=PROJECT, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what observation adds to the start of a run.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--fresh-rounds", type=int, default=FRESH_ROUNDS, help="default: %(default)s")
    parser.add_argument("--once", choices=sorted(RUNS), help="do one run, without measuring")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)
    if arguments.once:
        RUNS[arguments.once]()
        return 0
    with without_warnings():
        warm = in_turn({name: partial(process_seconds, run) for name, run in RUNS.items()}, arguments.rounds)
    fresh = in_turn(
        {name: partial(seconds_in_fresh_interpreter, name) for name in RUNS}, arguments.fresh_rounds
    )
    print("CPU milliseconds of a run of three steps, fastest, and the median of what observation adds\n")
    print(f"  {'':<22}{'bare':>8}{'observed':>10}{'added':>8}")
    for name, samples in (("in a warm process", warm), ("in a fresh interpreter", fresh)):
        figures = [min(samples["bare"]), min(samples["observed"])]
        figures.append(paired_difference(samples, "observed", "bare"))
        shown = [f"{seconds * 1e3:.0f}" for seconds in figures]
        print(f"  {name:<22}{shown[0]:>8}{shown[1]:>10}{shown[2]:>8}")
    added = paired_difference(warm, "observed", "bare") * 1e3
    print()
    verdict = Verdict(
        "added to a run", f"{added:.0f} ms", f"<= {TARGET_MILLISECONDS:.0f} ms", added <= TARGET_MILLISECONDS
    )
    return 0 if print_verdicts([verdict]) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

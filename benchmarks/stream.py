"""The rate that a stream sustains, bare and observed: `python -m benchmarks.stream`.

Flights on Prism, from a source that never waits: parsed, checked, copies refused by state, departures of each
airport summed up in windows. Bare they are the same functions in Beam's own transforms, which fail at a bad
record; observed is all there is: every step a Stage, lineage, ledger and evidence. One after the other on the
same processors, in rounds, with the worker and Prism each a process: records a second from the first to the
last, and seconds of processors.
"""

from __future__ import annotations

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs
from benchmarks.measure import Verdict, in_turn, paired_ratio, print_verdicts, without_warnings
from benchmarks.soak import prism_options
from benchmarks.steady_source import steady
from pipelines.flights import checks, parse, stream_steps
from pipelines.flights.reference import ADDED_AIRPORTS, AIRLINES, AIRPORTS, DATA

RECORDS = 40_000
ROUNDS = 5
TARGET = 0.9
_BEGAN: list[float] = []
PROJECT = pathlib.Path(__file__).parent.parent


class Rows(beam.DoFn):
    """Gives the row of January's flights that has a number."""

    def setup(self) -> None:
        """Reads them; the stream runs from now on."""
        _BEGAN.append(time.perf_counter())
        self._rows = _rows_of("flights-2013-01.csv")

    def process(self, number: int) -> Any:
        """Gives one row, under a name of its own."""
        row = self._rows[number % len(self._rows)]
        yield {**row, "flight": str(int(row["flight"]) + 10_000 * (number // len(self._rows)))}


def _rows_of(name: str) -> list[parse.Row]:
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def build(pipeline: beam.Pipeline, records: int, step: Any) -> None:
    """Adds the steps to `pipeline`.

    Args:
      pipeline: bare or observed.
      records: how many there are.
      step: makes the step of a transform that may refuse records.
    """
    carriers = dict(map(parse.parse_carrier, _rows_of(AIRLINES)))
    airports = dict(map(parse.parse_airport, [*_rows_of(AIRPORTS), *_rows_of(ADDED_AIRPORTS)]))
    _ = (
        steady(pipeline, 1e6, records)
        | "rows" >> beam.ParDo(Rows())
        | "parse" >> step(beam.Map(parse.parse_flight))
        | "check" >> step(beam.Map(checks.check_flight, carriers=carriers, airports=airports))
        | "key by name" >> beam.Map(checks.by_name)
        | "refuse copies" >> step(beam.ParDo(stream_steps.FirstOfName()))
        | "key by airport" >> beam.Map(stream_steps.by_airport)
        | "windows" >> beam.WindowInto(FixedWindows(10))
        | "combine" >> beam.CombinePerKey(stream_steps.CombineDepartures())
        | "statistics" >> step(beam.Map(stream_steps.to_airport_statistics, "fixed"))
    )


def run_here(variant: str, records: int) -> None:
    """Runs a variant in this process."""
    with tempfile.TemporaryDirectory() as folder, without_warnings():
        ours = [f"--obs_store={folder}", "--obs_report=off", "--obs_progress=off"]
        arguments = [*prism_options(), "--streaming", *(ours if variant == "observed" else [])]
        options = PipelineOptions(arguments)
        observed = variant == "observed"
        pipeline = (
            obs.Pipeline("PrismRunner", options, name="stream")
            if observed
            else beam.Pipeline("PrismRunner", options)
        )
        build(pipeline, records, obs.Stage if observed else lambda transform: transform)
        pipeline.run().wait_until_finish()
        print(f"{records / (time.perf_counter() - _BEGAN[0]):.1f}")


class Cost(NamedTuple):
    """What a run took.

    Args:
      rate: records a second.
      cpu: seconds of processors, of the worker and of Prism.
    """

    rate: float
    cpu: float


def run(variant: str, records: int) -> Cost:
    """Runs a variant in a process of its own, and returns what it took."""
    # Not as a module that is `__main__`: its DoFns would travel as copies, which do not tell when it began.
    program = f"from benchmarks.stream import run_here; run_here({variant!r}, {records})"
    command = [sys.executable, "-c", program]
    before = os.times()
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(float(done.stdout.split()[-1]), used)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the rate that a stream sustains.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    parser.add_argument("--records", type=int, default=RECORDS, help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often (default: %(default)s)")
    given = parser.parse_args(argv)
    prism_options()  # or it ends here, and not in the first of the processes
    costs: dict[str, list[Cost]] = {"bare": [], "observed": []}

    def rate_of(variant: str) -> float:
        costs[variant].append(run(variant, given.records))
        return costs[variant][-1].rate

    variants = {name: (lambda name=name: rate_of(name)) for name in costs}
    rates = in_turn(variants, given.rounds, lambda told: print(f"  {told}", file=sys.stderr))
    for name, taken in costs.items():
        taken = taken[1:]
        print(
            f"  {name:<10}{sum(one.rate for one in taken) / len(taken):>9,.0f} records a second"
            f"{1e6 * sum(one.cpu for one in taken) / len(taken) / given.records:>9,.0f} us of processors each"
        )
    ratio = paired_ratio(rates, "observed", "bare")
    met = print_verdicts(
        [Verdict("rate, observed over bare", f"{ratio:.2f}", f">= {TARGET}", ratio >= TARGET)]
    )
    return 0 if met or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())

"""What dead letters cost: `python -m benchmarks.dead`.

One Stage of an observed pipeline takes 200,000 records, all of them good, or one in ten bad, in CPU time of
the process. A bad record is kept whole, with its error and traceback, in the run's store. Two Stages are
measured: one that parses a row of flights, and one that does next to nothing with 300 bytes of text, where
whatever a dead letter costs weighs the most.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import (
    Verdict,
    in_turn,
    paired_difference,
    paired_ratio,
    print_verdicts,
    process_seconds,
    without_warnings,
)
from pipelines.flights.parse import parse_flight

ELEMENTS = 200_000
ROUNDS = 5
TARGET = 2.0
ONE_IN = 10

PADDING = "x" * 280
"""Makes a text about 300 bytes long."""

FLIGHT = {
    "year": "2013",
    "month": "1",
    "day": "1",
    "dep_time": "517",
    "sched_dep_time": "515",
    "dep_delay": "2",
    "arr_time": "830",
    "sched_arr_time": "819",
    "arr_delay": "11",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "227",
    "distance": "1400",
    "hour": "5",
    "minute": "15",
    "time_hour": "2013-01-01T10:00:00Z",
}


class Records(NamedTuple):
    """Records of one kind.

    Args:
      parse: what the Stage does; raises on a bad record.
      good: gives the good record of a number.
      bad: gives the bad record of a number.
    """

    parse: Callable[[Any], object]
    good: Callable[[int], object]
    bad: Callable[[int], object]


def parse_text(text: str) -> tuple[int, str]:
    """Returns number and padding; raises ValueError where the number is none."""
    number, padding = text.split(",", 1)
    return int(number), padding


def good_text(number: int) -> str:
    return f"{number},{PADDING}"


def bad_text(number: int) -> str:
    return f"bad {number},{PADDING}"


def good_row(number: int) -> dict[str, str]:
    return {**FLIGHT, "flight": str(number)}


def bad_row(number: int) -> dict[str, str]:
    return {**FLIGHT, "arr_delay": "UA", "flight": str(number)}


KINDS = {
    "rows of flights": Records(parse_flight, good_row, bad_row),
    "trivial": Records(parse_text, good_text, bad_text),
}


def run(records: Records, one_in: int, elements: int) -> None:
    """Runs the pipeline in a store of its own.

    Args:
      records: what goes through.
      one_in: one record in this many is bad; 0 for none.
      elements: how many records.
    """

    def make(number: int) -> object:
        return records.bad(number) if one_in and number % one_in == 0 else records.good(number)

    with (
        tempfile.TemporaryDirectory() as store,
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        obs.Pipeline(argv=["--runner=FnApiRunner", f"--obs_store={store}"], name="dead") as pipeline,
    ):
        _ = (
            pipeline
            | "start" >> beam.Impulse()
            | "count" >> beam.FlatMap(lambda _: range(elements)).with_output_types(int)
            | "make" >> beam.Map(make)
            | "parse" >> obs.Stage(beam.Map(records.parse))
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what dead letters cost.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)
    elements = arguments.elements
    variants = {
        f"{kind}, {what}": partial(process_seconds, partial(run, records, one_in, elements))
        for kind, records in KINDS.items()
        for what, one_in in (("good only", 0), ("one in ten bad", ONE_IN))
    }
    with without_warnings():
        samples = in_turn(variants, arguments.rounds)
    print(f"{elements:,} records through one Stage of an observed pipeline, CPU seconds, fastest round\n")
    print(f"  {'':<20}{'good only':>12}{'one in ten bad':>18}{'per dead letter':>18}")
    verdicts = []
    for kind in KINDS:
        good, bad = f"{kind}, good only", f"{kind}, one in ten bad"
        each = paired_difference(samples, bad, good) / (elements / ONE_IN) * 1e6
        print(f"  {kind:<20}{min(samples[good]):>10.2f} s{min(samples[bad]):>16.2f} s{each:>15.0f} us")
        ratio = paired_ratio(samples, bad, good)
        verdicts.append(Verdict(kind, f"{ratio:.2f} x", f"<= {TARGET:.0f} x", ratio <= TARGET))
    print()
    met = print_verdicts(verdicts)
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

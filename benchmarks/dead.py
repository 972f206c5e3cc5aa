"""What dead letters cost: `python -m benchmarks.dead`.

One Stage parses 200,000 texts in an observed pipeline, in CPU time of the process: all of them good, and
one in ten bad. A bad record is kept whole, with its error and traceback, in the run's store.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import Verdict, in_turn, paired_ratio, print_verdicts, process_seconds

ELEMENTS = 200_000
ROUNDS = 5
TARGET = 2.0
ONE_IN = 10

PADDING = "x" * 280
"""Makes a record about 300 bytes long, as rows of real files are."""


def parse(text: str) -> tuple[int, str]:
    """Returns number and padding; raises ValueError where the number is none."""
    number, padding = text.split(",", 1)
    return int(number), padding


def good(number: int) -> str:
    return f"{number},{PADDING}"


def one_in_ten_bad(number: int) -> str:
    return f"{number},{PADDING}" if number % ONE_IN else f"bad {number},{PADDING}"


def run(make: Callable[[int], str], elements: int) -> None:
    """Runs the pipeline in a store of its own.

    Args:
      make: gives the text of a number.
      elements: how many.
    """
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
            | "parse" >> obs.Stage(beam.Map(parse))
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what dead letters cost.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    elements = arguments.elements
    samples = in_turn(
        {
            "good only": lambda: process_seconds(lambda: run(good, elements)),
            "one in ten bad": lambda: process_seconds(lambda: run(one_in_ten_bad, elements)),
        },
        arguments.rounds,
    )
    print(f"{elements:,} records of 300 bytes through one Stage of an observed pipeline, CPU seconds\n")
    for name, costs in samples.items():
        print(f"  {name:<20}{min(costs):>8.2f} s")
    ratio = paired_ratio(samples, "one in ten bad", "good only")
    extra = (min(samples["one in ten bad"]) - min(samples["good only"])) / (elements / ONE_IN)
    print(f"  {'per dead letter':<20}{extra * 1e6:>8.0f} us\n")
    met = print_verdicts([Verdict("one in ten bad", f"{ratio:.2f} x", f"<= {TARGET:.0f} x", ratio <= TARGET)])
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the ledger costs on top of lineage: `python -m benchmarks.ledger [NAME ...]`.

CPU time of the process on the FnApiRunner, rows of lineage written to a folder, with the ledger and without,
rounds in turn. Cases are those of `benchmarks.weave` that chain ten steps.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from functools import partial

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from benchmarks.measure import Verdict, in_turn, paired_difference, print_verdicts, process_seconds
from benchmarks.weave import CASES, ELEMENTS, ROUNDS, STEPS, Case

AIM_NANOSECONDS = 20
NAMES = [name for name, case in CASES.items() if case.nanoseconds is not None]


def run(case: Case, keeps_ledger: bool) -> float:
    """Returns the CPU seconds of one run."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = beam.Pipeline(runner=FnApiRunner())
        one = pipeline | "one" >> beam.Create([0])
        case.build(one | "numbers" >> beam.FlatMap(lambda _: range(ELEMENTS)), lambda step: step)
        with weaving(WeaveSettings(evidence=folder, keeps_ledger=keeps_ledger)):
            return process_seconds(pipeline.run)


def main(argv: list[str] | None = None) -> int:
    """Prints the figures; returns 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description="What the ledger costs on top of lineage.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    verdicts = []
    for name in chosen.names or NAMES:
        variants = {"without": partial(run, CASES[name], False), "with": partial(run, CASES[name], True)}
        samples = in_turn(variants, chosen.rounds)
        added = paired_difference(samples, "with", "without") / ELEMENTS / STEPS * 1e9
        verdicts.append(Verdict(name, f"{added:+.0f} ns", f"+{AIM_NANOSECONDS} ns", added <= AIM_NANOSECONDS))
    return 0 if print_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

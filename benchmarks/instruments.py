"""What an update of an instrument costs: `python -m benchmarks.instruments`.

Ten chained steps over ints in one fused bundle of the FnApiRunner, in CPU time of the process, each of which
updates one instrument; against the same steps that do nothing, and against steps that update what Beam has.
Flushing, and the thread that takes the values of histograms, are in it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

import apache_beam as beam
from apache_beam.metrics.metric import Metrics

import beam_obs as obs
from benchmarks.measure import (
    Verdict,
    in_turn,
    paired_difference,
    print_verdicts,
    process_seconds,
    without_warnings,
)

STEPS = 10
ELEMENTS = 100_000
ROUNDS = 5

ROWS = obs.counter("bench_rows")
SECONDS = obs.histogram("bench_seconds")
BEAM_ROWS = Metrics.counter("bench", "rows")
BEAM_SIZES = Metrics.distribution("bench", "sizes")

BARE = "bare"
TARGETS: dict[str, int | None] = {
    "counter": None,
    "histogram": 150,
    "Beam's counter": None,
    "Beam's distribution": None,
}
"""Ways of updating, each with its target in nanoseconds an update."""


class Bare(beam.DoFn):
    """Updates nothing."""

    def process(self, number: int) -> Iterator[int]:
        yield number


class Counting(beam.DoFn):
    """Updates a counter."""

    def process(self, number: int) -> Iterator[int]:
        ROWS.inc()
        yield number


class Observing(beam.DoFn):
    """Updates a histogram of twelve buckets."""

    def process(self, number: int) -> Iterator[int]:
        SECONDS.observe(0.3)
        yield number


class BeamCounting(beam.DoFn):
    """Updates a counter of Beam's."""

    def process(self, number: int) -> Iterator[int]:
        BEAM_ROWS.inc()
        yield number


class BeamObserving(beam.DoFn):
    """Updates a distribution of Beam's."""

    def process(self, number: int) -> Iterator[int]:
        BEAM_SIZES.update(3)
        yield number


DOFNS: dict[str, type[beam.DoFn]] = {
    BARE: Bare,
    "counter": Counting,
    "histogram": Observing,
    "Beam's counter": BeamCounting,
    "Beam's distribution": BeamObserving,
}


def _numbers(count: int) -> Iterator[int]:
    yield from range(count)


def run(dofn: type[beam.DoFn], elements: int) -> None:
    """Runs the steps.

    Args:
      dofn: of each of them.
      elements: how many go through.
    """
    with beam.Pipeline("FnApiRunner") as pipeline:
        numbers = pipeline | beam.Create([elements]) | beam.FlatMap(_numbers)
        for step in range(STEPS):
            numbers = numbers | f"step {step}" >> beam.ParDo(dofn()).with_output_types(int)


def main(arguments: list[str] | None = None) -> int:
    """Prints the figures, and returns 0 where they keep their targets.

    Args:
      arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--elements", type=int, default=ELEMENTS)
    parser.add_argument("--only", help="measure this way only, beside the bare steps")
    asked = parser.parse_args(arguments)
    chosen = {name: dofn for name, dofn in DOFNS.items() if asked.only in (None, name) or name == BARE}
    variants: dict[str, Callable[[], float]] = {
        name: partial(process_seconds, partial(run, dofn, asked.elements)) for name, dofn in chosen.items()
    }
    with without_warnings():
        samples = in_turn(variants, asked.rounds, lambda text: print(text, file=sys.stderr))
    updates = STEPS * asked.elements
    bare = sorted(samples[BARE])[len(samples[BARE]) // 2] / updates * 1e9
    print(f"{updates:,} updates in {STEPS} steps; a step that updates nothing takes {bare:.0f} ns an element")
    verdicts = []
    for name in chosen.keys() - {BARE}:
        added = paired_difference(samples, name, BARE) / updates * 1e9
        target = TARGETS[name]
        goal = "none" if target is None else f"{target} ns"
        verdicts.append(Verdict(name, f"{added:.0f} ns", goal, target is None or added <= target))
    return 0 if print_verdicts(sorted(verdicts)) else 1


if __name__ == "__main__":
    sys.exit(main())

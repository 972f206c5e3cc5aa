"""Measuring on a machine that others use too: rounds in turn, compared pair by pair.

Every round runs every variant once, in an order that rotates, so that a slow spell of the machine falls
on all of them. A difference is the median over the rounds of variant minus yardstick in the same round.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

Samples = Mapping[str, Sequence[float]]


def process_seconds(run: Callable[[], object]) -> float:
    """Returns the CPU time of this process, all threads, that `run` takes."""
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turn(
    variants: Mapping[str, Callable[[], float]],
    rounds: int,
    progress: Callable[[str], object] = lambda _: None,
) -> dict[str, list[float]]:
    """Returns what each variant gave in each round, after one round that does not count.

    Args:
      variants: each runs once and returns its cost.
      rounds: how often each of them runs.
      progress: told what comes next.
    """
    names = list(variants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            progress(f"round {number} of {rounds}: {name}" if number else f"warm-up: {name}")
            cost = variants[name]()
            if number:
                samples[name].append(cost)
    return samples


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keeps Beam's warnings out of the figures while the block runs, and no longer."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def paired_difference(samples: Samples, variant: str, yardstick: str) -> float:
    """Returns the median of variant minus yardstick over the rounds.

    >>> paired_difference({"a": [3.0, 9.0, 4.0], "b": [1.0, 2.0, 1.0]}, "a", "b")
    3.0
    """
    return statistics.median(
        cost - base for cost, base in zip(samples[variant], samples[yardstick], strict=True)
    )


def paired_ratio(samples: Samples, variant: str, yardstick: str) -> float:
    """Returns the median of variant over yardstick over the rounds.

    >>> paired_ratio({"a": [3.0, 9.0, 4.0], "b": [1.0, 2.0, 2.0]}, "a", "b")
    3.0
    """
    return statistics.median(
        cost / base for cost, base in zip(samples[variant], samples[yardstick], strict=True)
    )


class Verdict(NamedTuple):
    """A figure and the target it is held against.

    Args:
      name: what was measured.
      figure: with its unit, for people.
      target: likewise.
      met: whether the figure keeps the target.
    """

    name: str
    figure: str
    target: str
    met: bool


def print_verdicts(verdicts: Sequence[Verdict]) -> bool:
    """Prints the verdicts, and returns whether all targets are met."""
    width = max(len(verdict.name) for verdict in verdicts)
    for verdict in verdicts:
        mark = "met" if verdict.met else "MISSED"
        print(f"  {verdict.name:<{width}}  {verdict.figure:>12}  (target {verdict.target}: {mark})")
    return all(verdict.met for verdict in verdicts)

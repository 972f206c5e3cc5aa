"""What an update of an instrument costs: `python -m benchmarks.instruments`.

Updates in a bundle of a real step on the FnApiRunner, many in a row; that the values of histograms and
summaries are taken then is in the figure. The fastest of many rounds counts, since a machine that others use
only adds; beside it stands what an update of Beam's own costs.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metric import Metrics

import beam_obs as obs
from benchmarks.measure import Verdict, print_verdicts, without_warnings

UPDATES = 5_000
ROUNDS = 400

TARGETS: dict[str, int | None] = {
    "counter": None,
    "counter, labels asked for each time": None,
    "histogram": 150,
    "gauge": None,
    "summary": None,
    "Beam's counter": None,
    "Beam's distribution": None,
}
"""Ways of updating, each with its target in nanoseconds an update."""


def updates() -> dict[str, Callable[[], object]]:
    """Returns a way of updating each kind once."""
    rows, flights = obs.counter("bench_rows"), obs.counter("bench_flights", "carrier")
    seconds, wait = obs.histogram("bench_seconds"), obs.summary("bench_wait_seconds")
    level = obs.gauge("bench_level")
    beam_rows, beam_sizes = Metrics.counter("bench", "rows"), Metrics.distribution("bench", "sizes")
    return {
        "counter": lambda: rows.inc(),
        "counter, labels asked for each time": lambda: flights.labels(carrier="UA").inc(),
        "histogram": lambda: seconds.observe(0.3),
        "gauge": lambda: level.set(0.3),
        "summary": lambda: wait.observe(0.3),
        "Beam's counter": lambda: beam_rows.inc(),
        "Beam's distribution": lambda: beam_sizes.update(3),
    }


def waiting(container: Any) -> list[Any]:
    """Returns the cells of a step that have values to take."""
    return [cell for cell in container.metrics.values() if hasattr(cell, "drain")]


class Measure(beam.DoFn):
    """Writes to a file how many nanoseconds an update takes, of each way in turn.

    Args:
      rounds: how many rounds there are.
      count: updates in a round.
      file: path of the file.
    """

    def __init__(self, rounds: int, count: int, file: str) -> None:
        self._rounds = rounds
        self._count = count
        self._file = file

    def process(self, _: object) -> None:
        ways = {"": lambda: None, **updates()}
        best = dict.fromkeys(ways, float("inf"))
        container = MetricsEnvironment.current_container()
        for _round in range(self._rounds):
            for name, update in ways.items():
                started = time.perf_counter_ns()
                for _update in range(self._count):
                    update()
                for cell in waiting(container) if name in ("histogram", "summary") else ():
                    cell.drain()
                best[name] = min(best[name], (time.perf_counter_ns() - started) / self._count)
        found = {name: best[name] - best[""] for name in ways if name}
        pathlib.Path(self._file).write_text(json.dumps(found))


def main(arguments: list[str] | None = None) -> int:
    """Prints the figures, and returns 0 where they keep their targets.

    Args:
      arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description="Measure what an update of an instrument costs.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--updates", type=int, default=UPDATES, help="default: %(default)s")
    asked = parser.parse_args(arguments)
    updates()  # made before the pipeline is, as where a module is imported
    with without_warnings(), tempfile.TemporaryDirectory() as store:
        options, file = ["--obs_report=off", f"--obs_store={store}"], f"{store}/found.json"
        with obs.Pipeline("FnApiRunner", argv=options, name="instruments") as p:
            _ = p | beam.Create([None]) | beam.ParDo(Measure(asked.rounds, asked.updates, file))
        found: dict[str, float] = json.loads(pathlib.Path(file).read_text())
    print(f"nanoseconds of an update, the fastest of {asked.rounds} rounds of {asked.updates:,}")
    verdicts = []
    for name, nanoseconds in found.items():
        target = TARGETS[name]
        goal = "none" if target is None else f"{target} ns"
        verdicts.append(Verdict(name, f"{nanoseconds:.0f} ns", goal, target is None or nanoseconds <= target))
    return 0 if print_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

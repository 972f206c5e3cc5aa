"""What a log record of user code costs more for saying what it is about: `python -m benchmarks.logs`.

Log records in a woven step on the FnApiRunner, many in a row, to a handler that drops them; with what they
say and without. The fastest of many rounds counts, since a machine that others use only adds. A call below
the logger's level stands beside.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import Any

import apache_beam as beam

import beam_obs as obs
from benchmarks.measure import Verdict, print_verdicts

LOGGER = logging.getLogger("benchmarks.logs.measured")
RECORDS = 500
TARGET_MICROSECONDS = 15
_BEST: dict[tuple[str, str], float] = {}


class _Drop(logging.Handler):
    def handle(self, record: logging.LogRecord) -> bool:
        return True


class _Measure(beam.DoFn):
    """Notes the nanoseconds that a log record takes, of the fastest round.

    Args:
      form: of the run.
      rounds: how many there are.
    """

    def __init__(self, form: str, rounds: int) -> None:
        self._form = form
        self._rounds = rounds

    def process(self, _: Any) -> None:
        for level, log in (("logged", LOGGER.info), ("below the level", LOGGER.debug)):
            for _ in range(self._rounds):
                begun = time.perf_counter_ns()
                for number in range(RECORDS):
                    log("number %d", number)
                took = (time.perf_counter_ns() - begun) / RECORDS
                key = (self._form, level)
                _BEST[key] = min(took, _BEST.get(key, took))


def measure(form: str, rounds: int) -> None:
    """Runs a pipeline whose step logs."""
    options = [f"--obs_logs={form}", "--obs_report=off", "--obs_progress=off"]
    with obs.Pipeline("FnApiRunner", name="benchmark-logs", argv=options) as p:
        _ = p | "make" >> beam.Create([1]) | "log" >> beam.ParDo(_Measure(form, rounds))


def main(arguments: list[str] | None = None) -> int:
    """Prints the figures; returns 1 where one misses its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args(arguments).rounds
    LOGGER.propagate = False
    LOGGER.addHandler(_Drop())
    LOGGER.setLevel(logging.INFO)
    for form in ("off", "attributes"):
        measure(form, rounds)
    more = (_BEST["attributes", "logged"] - _BEST["off", "logged"]) / 1000
    silent = _BEST["attributes", "below the level"] - _BEST["off", "below the level"]
    print(f"a log record without: {_BEST['off', 'logged'] / 1000:.1f} us")
    verdicts = [
        Verdict(
            "more, for what it says",
            f"{more:.1f} us",
            f"{TARGET_MICROSECONDS} us",
            more <= TARGET_MICROSECONDS,
        ),
        Verdict("more, below the level", f"{silent:.0f} ns", "20 ns", silent <= 20),
    ]
    return 0 if print_verdicts(verdicts) else 1


if __name__ == "__main__":
    # As a module of its own, steps are pickled by name, and what they note is found again.
    from benchmarks import logs

    sys.exit(logs.main())

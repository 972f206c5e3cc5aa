"""A stream at a steady rate for as long as one likes, with faults: `python -m benchmarks.soak --minutes 60`.

On Prism, whose workers are this process. Of so many records one is torn, one meets a service that is down for
a moment, and the sink takes a while now and then. Held at the end: memory has not grown by more than a
twentieth since the first sixth of the time, the ledger holds, and each torn record is a dead letter, once.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs
from beam_obs.metrics.process_memory import process_memory
from benchmarks.measure import Verdict, print_verdicts, without_warnings
from benchmarks.steady_source import steady
from tests.engines.install import PRISM, program

RATE = 100
GROWTH_PERCENT = 5.0
KEYS = 10
TORN_ONE_IN, DOWN_ONE_IN, SLOW_ONE_IN = 50, 500, 50
"""Records that are torn, and that meet a service that is down; groups for which the sink takes a while."""

_SLOW_SECONDS = 0.1
_LOOKS_SECONDS = 0.5
_TRIED: set[int] = set()


def text(number: int) -> str:
    return f"{number}," if number % TORN_ONE_IN else f"{number}"


def parse(line: str) -> int:
    number, comma, _ = line.partition(",")
    if not comma:
        raise ValueError("torn")
    return int(number)


def ask(number: int) -> tuple[int, int]:
    """Asks a service, which is down for one record in so many, and up again when it is asked once more."""
    if number % DOWN_ONE_IN == 1 and number not in _TRIED:
        _TRIED.add(number)
        raise ConnectionError("down")
    _TRIED.discard(number)
    return number % KEYS, number


def deliver(keyed: tuple[int, Iterable[int]]) -> tuple[int, int]:
    numbers = list(keyed[1])
    if numbers[0] // KEYS % SLOW_ONE_IN == 0:
        time.sleep(_SLOW_SECONDS)
    return keyed[0], len(numbers)


def build(pipeline: beam.Pipeline, rate: float, until: pathlib.Path) -> None:
    """Adds the steps to `pipeline`."""
    delivered = (
        steady(pipeline, rate, until)
        | "text" >> beam.Map(text)
        | "parse" >> obs.Stage(beam.Map(parse))
        | "ask" >> obs.Stage(beam.Map(ask), retry=obs.Retry(on=ConnectionError, backoff=0.01))
        | "windows" >> beam.WindowInto(FixedWindows(1))
        | "group" >> beam.GroupByKey()
        | "deliver" >> obs.Stage(beam.Map(deliver).with_output_types(tuple[int, int]))
    )
    _ = delivered | "count" >> beam.CombinePerKey(sum)


class Soaked(NamedTuple):
    """What a stream came to.

    Args:
      memory: of this process in the course of time, bytes.
      end: of the run, as the store has it.
    """

    memory: Sequence[int]
    end: dict[str, Any]

    @property
    def growth_percent(self) -> float:
        """By how much more memory there is in the last sixth of the time than in the second one."""
        sixth = max(1, len(self.memory) // 6)
        first, last = self.memory[sixth : 2 * sixth], self.memory[-sixth:]
        return 100 * (statistics.median(last) / statistics.median(first) - 1)

    @property
    def given(self) -> int:
        """How many records there were."""
        return int(_stage(self.end, "parse")["in"])

    @property
    def wrong(self) -> list[str]:
        """What is lost or doubled: edges of the ledger, torn records that are not one dead letter each."""
        edges = self.end["ledger"]["edges"]
        told = [json.dumps(edge) for edge in edges if edge.get("lost") or edge.get("added")]
        torn = {"parse": -(-self.given // TORN_ONE_IN)}
        refused = self.end["dead_letters"]["by_stage"]
        if not self.end["ledger"]["holds"] and not told:
            told.append(f"the ledger says nothing: {self.end['ledger']['unchecked']}")
        return told if refused == torn else [*told, f"torn: {torn}, dead letters: {refused}"]


def _stage(end: dict[str, Any], label: str) -> dict[str, Any]:
    (found,) = (stage for stage in end["stages"] if stage["label"] == label)
    return dict(found)


def soak(seconds: float, rate: float, folder: pathlib.Path, options: Sequence[str]) -> Soaked:
    """Runs the stream for so long.

    Args:
      seconds: how long.
      rate: records a second.
      folder: an empty one, for its store.
      options: of Prism.
    """
    until = folder / "ends"
    # Beam's own wait for a job on Prism ends in an error once this is over, five minutes by default.
    patience = f"--job_server_timeout={round(seconds) + 600}"
    arguments = [*options, patience, "--streaming", f"--obs_store={folder / 'store'}", "--obs_report=off"]
    pipeline = obs.Pipeline("PrismRunner", options=PipelineOptions(arguments), name="soak")
    build(pipeline, rate, until)
    result = pipeline.run()
    memory: list[int] = []
    ends = threading.Timer(seconds, until.touch)
    ends.start()
    try:
        while not until.exists():
            found = process_memory()
            memory += [found.used] if found is not None else []
            _tell(memory)
            time.sleep(_LOOKS_SECONDS)
        result.wait_until_finish()
    finally:
        ends.cancel()
        until.touch()
    return Soaked(memory, obs.Store(str(folder / "store")).find("latest").end or {})


def _tell(memory: Sequence[int]) -> None:
    """Says how much memory there is, each minute."""
    minutes, rest = divmod(len(memory) * _LOOKS_SECONDS, 60)
    if minutes and not rest:
        print(f"  {minutes:.0f} min, {memory[-1] / 2**20:.0f} MiB", file=sys.stderr, flush=True)


def prism_options() -> list[str]:
    """Returns options for the Prism of `make engines`, or of `PATH`.

    Raises:
      SystemExit: with 2: there is none.
    """
    found = program(PRISM, "prism")
    if found is None:
        print("error: Prism is not installed: make engines (it needs Go)", file=sys.stderr)
        raise SystemExit(2)
    return ["--environment_type=LOOPBACK", f"--prism_location={found}"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run a stream for a long time, with faults.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=RATE, help="records a second (default: %(default)s)")
    given = parser.parse_args(argv)
    options = prism_options()
    with tempfile.TemporaryDirectory() as folder, without_warnings():
        soaked = soak(60 * given.minutes, given.rate, pathlib.Path(folder), options)
    for wrong in soaked.wrong:
        print(f"  {wrong}")
    print(f"\n  {soaked.given:,} records in {given.minutes:g} min, {soaked.memory[-1] / 2**20:.0f} MiB")
    growth = soaked.growth_percent
    verdicts = [
        Verdict("growth of memory", f"{growth:+.1f} %", f"<= {GROWTH_PERCENT:g} %", growth <= GROWTH_PERCENT),
        Verdict(
            "records lost or doubled",
            "some" if soaked.wrong else "none",
            "none",
            not soaked.wrong,
        ),
    ]
    return 0 if print_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

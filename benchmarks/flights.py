"""A year of flights end to end, bare and observed: `python -m benchmarks.flights`.

The same pipeline over 336,776 records: `pipelines.flights.bare` with Beam's own reader and csv parsing by
hand; `pipelines.flights.batch` with ours, every step a Stage, a store and a report, without lineage; and the
same with all there is: the weave, origins stamped on what is written, derivations and output index in the
store. Each run is a process of its own, measured as the operating system counts it: CPU (user and system) and
peak memory, from the start of the interpreter to its end.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.measure import Verdict, in_turn, paired_ratio, print_verdicts
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

ROUNDS = 5
TARGETS = {"observed": 1.03, "with lineage": 1.05}
"""Of CPU, over bare."""

MEMORY_TARGET = 1.03
VARIANTS = {
    "bare": ("pipelines.flights.bare", ()),
    "observed": ("pipelines.flights.batch", ("--obs_lineage=off",)),
    "with lineage": ("pipelines.flights.batch", ()),
}
PROJECT = pathlib.Path(__file__).parent.parent


class Cost(NamedTuple):
    """What one process took.

    Args:
      cpu: seconds, user and system.
      memory: peak resident set, MiB.
      wall: seconds.
    """

    cpu: float
    memory: float
    wall: float


def run(module: str, pattern: str, reference: pathlib.Path, options: Sequence[str] = ()) -> Cost:
    """Runs a flights pipeline in a process of its own and returns what it took.

    Args:
      module: ``pipelines.flights.bare`` or ``pipelines.flights.batch``.
      pattern: the files of flights.
      reference: folder of the reference tables.
      options: more of them.

    Raises:
      RuntimeError: the pipeline failed; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--runner=FnApiRunner", f"--input={pattern}", f"--reference={reference}"]
        command = [sys.executable, "-m", module, *arguments, f"--output={folder}/flights", *options]
        environment = os.environ | {"BEAM_OBS_STORE": f"{folder}/store"}
        with (pathlib.Path(folder) / "said").open("w+") as said:
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=said, stderr=said, cwd=PROJECT, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise RuntimeError(f"{module} ended with {process.returncode}:\n{said.read()}")
    kilobytes = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return Cost(usage.ru_utime + usage.ru_stime, kilobytes / 1024, wall)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure a year of flights, bare and observed.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--files", default="flights-*.csv", help="of the year's; default: %(default)s")
    arguments = parser.parse_args(argv)
    count = fetch_full_year()
    pattern = f"{FULL_YEAR}/{arguments.files}"
    costs: dict[str, list[Cost]] = {name: [] for name in VARIANTS}

    def cpu_of(name: str) -> float:
        module, options = VARIANTS[name]
        costs[name].append(run(module, pattern, FULL_YEAR, options))
        return costs[name][-1].cpu

    cpu = in_turn(
        {name: partial(cpu_of, name) for name in VARIANTS},
        arguments.rounds,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    memory = {name: [cost.memory for cost in taken[1:]] for name, taken in costs.items()}
    if arguments.files == parser.get_default("files"):
        print(f"\n{count:,} flights end to end, {arguments.rounds} rounds in turn, medians\n")
    print(f"  {'':<14}{'CPU':>10}{'memory':>12}{'wall':>10}")
    for name, taken in costs.items():
        seconds, wall = statistics.median(cpu[name]), statistics.median(cost.wall for cost in taken[1:])
        print(f"  {name:<14}{seconds:>8.1f} s{statistics.median(memory[name]):>8.0f} MiB{wall:>8.1f} s")
    print(f"\n  lineage alone takes {paired_ratio(cpu, 'with lineage', 'observed'):.3f} x of observed\n")
    verdicts = []
    for name, target in TARGETS.items():
        for unit, samples, limit in (("CPU", cpu, target), ("peak memory", memory, MEMORY_TARGET)):
            ratio = paired_ratio(samples, name, "bare")
            verdicts.append(Verdict(f"{name}, {unit}", f"{ratio:.3f} x", f"<= {limit} x", ratio <= limit))
    met = print_verdicts(verdicts)
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

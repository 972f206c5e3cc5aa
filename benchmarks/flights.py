"""A year of flights end to end, bare and observed: `python -m benchmarks.flights`.

The same pipeline over 336,776 records: `pipelines.flights.bare` with Beam's own reader and csv parsing by
hand, and `pipelines.flights.batch` with ours, every step a Stage, a store and a report. Each run is a
process of its own, measured as the operating system counts it: CPU (user and system) and peak memory,
from the start of the interpreter to its end.
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
from typing import NamedTuple

from benchmarks.measure import Verdict, in_turn, paired_ratio, print_verdicts
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

ROUNDS = 5
TARGET = 1.05
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


def run(module: str, pattern: str, reference: pathlib.Path) -> Cost:
    """Runs a flights pipeline in a process of its own and returns what it took.

    Args:
      module: ``pipelines.flights.bare`` or ``pipelines.flights.batch``.
      pattern: the files of flights.
      reference: folder of the reference tables.

    Raises:
      RuntimeError: the pipeline failed; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--runner=FnApiRunner", f"--input={pattern}", f"--reference={reference}"]
        command = [sys.executable, "-m", module, *arguments, f"--output={folder}/flights"]
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
    arguments = parser.parse_args(argv)
    count = fetch_full_year()
    pattern = f"{FULL_YEAR}/flights-*.csv"
    costs: dict[str, list[Cost]] = {"bare": [], "observed": []}

    def cpu_of(name: str, module: str) -> float:
        cost = run(module, pattern, FULL_YEAR)
        costs[name].append(cost)
        return cost.cpu

    cpu = in_turn(
        {
            "bare": lambda: cpu_of("bare", "pipelines.flights.bare"),
            "observed": lambda: cpu_of("observed", "pipelines.flights.batch"),
        },
        arguments.rounds,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    memory = {name: [cost.memory for cost in taken[1:]] for name, taken in costs.items()}
    print(f"\n{count:,} flights end to end, {arguments.rounds} rounds in turn, medians\n")
    print(f"  {'':<12}{'CPU':>10}{'memory':>12}{'wall':>10}")
    for name, taken in costs.items():
        seconds, wall = statistics.median(cpu[name]), statistics.median(cost.wall for cost in taken[1:])
        print(f"  {name:<12}{seconds:>8.1f} s{statistics.median(memory[name]):>8.0f} MiB{wall:>8.1f} s")
    ratios = {
        "CPU": paired_ratio(cpu, "observed", "bare"),
        "peak memory": paired_ratio(memory, "observed", "bare"),
    }
    print()
    met = print_verdicts(
        [Verdict(name, f"{ratio:.3f} x", f"<= {TARGET} x", ratio <= TARGET) for name, ratio in ratios.items()]
    )
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

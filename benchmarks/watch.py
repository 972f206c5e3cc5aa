"""What it costs to watch a run: `python -m benchmarks.watch`.

A year of flights, 336,776 records, in this process, with all there is. CPU time of the two threads that look
at its counts and keep them in the store, as the operating system counts each, against that of the process.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.measure import Verdict, print_verdicts
from pipelines.flights import batch
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

TARGET_PERCENT = 0.5
THREADS = ("beam_obs watcher", "beam_obs heartbeat")
_SAMPLE_SECONDS = 0.2


class ThreadSeconds:
    """CPU time of this process's threads of some names, looked at until `stop`.

    Args:
      names: of the threads.

    Attributes:
      seconds: of CPU, by the name of the thread.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.seconds = dict.fromkeys(names, 0.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            for thread in threading.enumerate():
                if thread.name in self.seconds and thread.ident is not None and thread.is_alive():
                    clock = time.pthread_getcpuclockid(thread.ident)
                    self.seconds[thread.name] = time.clock_gettime(clock)


class Watched(NamedTuple):
    """What a run took.

    Args:
      wall: seconds.
      cpu: seconds of the process.
      threads: seconds of CPU by the name of the thread.
    """

    wall: float
    cpu: float
    threads: Mapping[str, float]

    @property
    def percent(self) -> float:
        """Share of the process's CPU that the threads took."""
        return 100 * sum(self.threads.values()) / self.cpu


def run(
    pattern: str, reference: pathlib.Path, options: Sequence[str] = (), names: Sequence[str] = THREADS
) -> Watched:
    """Runs the flights pipeline in this process and returns what it took.

    Args:
      pattern: the files of flights.
      reference: folder of the reference tables.
      options: more of them.
      names: of the threads that are looked at.
    """
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        threads = ThreadSeconds(names)
        arguments = ["--runner=FnApiRunner", f"--input={pattern}", f"--reference={reference}"]
        of_ours = [f"--obs_store={folder}/store", "--obs_report=off", *options]
        batch.main([*arguments, f"--output={folder}/flights", *of_ours])
        threads.stop()
        return Watched(time.perf_counter() - began, time.process_time() - used, threads.seconds)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what it costs to watch a run.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    parser.add_argument("--files", default="flights-*.csv", help="of the year's; default: %(default)s")
    arguments = parser.parse_args(argv)
    fetch_full_year()
    took = run(f"{FULL_YEAR}/{arguments.files}", FULL_YEAR)
    print(f"\n  a run of {took.wall:.1f} s took {took.cpu:.1f} s of CPU, of which")
    for name, seconds in took.threads.items():
        print(f"  {name:<20}{1000 * seconds:>8.1f} ms")
    told = Verdict(
        "CPU to watch", f"{took.percent:.3f} %", f"<= {TARGET_PERCENT} %", took.percent <= TARGET_PERCENT
    )
    met = print_verdicts([told])
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

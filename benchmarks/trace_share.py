"""What share of a run of flights goes into traces: `python -m benchmarks.trace_share`.

Two runs of one program differ by more than the percent or two that traces take. So a run with traces is
looked at from outside, some hundred times a second: py-spy notes the stack of the thread that holds Python's
lock. A stack is the traces' where one of its calls is in `beam_obs/traces`, unless that has called the user's
code or a sink's, which is at work.

What is not seen is what a woven step compares of each record, which `benchmarks/traces.py` tells, and garbage
that is collected while other code runs.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.measure import Verdict, print_verdicts
from benchmarks.traces import TARGETS
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

LOOKS_A_SECOND = 300
PROJECT = pathlib.Path(__file__).parent.parent
OF_TRACES = "beam_obs/traces/"
OF_OTHERS = ("pipelines/", "beam_obs/io/")
"""What traces call that is there without them: the user's functions, and what a sink makes of a record."""


class Share(NamedTuple):
    """How often a run was looked at.

    Args:
      looks: in all.
      of_traces: how many of them found code of the traces at work.
    """

    looks: int
    of_traces: int


def share_of(stacks: Iterable[str]) -> Share:
    """Returns how many looks found traces at work.

    Args:
      stacks: lines of py-spy's raw format: calls, the outermost first, with ``;`` between them, a blank and
        how many looks found them.

    >>> share_of(["run (a.py:1);start (beam_obs/traces/step_tracer.py:5) 2", "run (a.py:1) 98"])
    Share(looks=100, of_traces=2)
    >>> share_of(["_call (beam_obs/traces/step_tracer.py:9);parse (pipelines/flights/parse.py:3) 1"])
    Share(looks=1, of_traces=0)
    """
    looks = of_traces = 0
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        looks += int(times)
        _, ours, below = stack.rpartition(OF_TRACES)
        if ours and not any(place in below for place in OF_OTHERS):
            of_traces += int(times)
    return Share(looks, of_traces)


def looked_at(files: str, runs: int, data: pathlib.Path = FULL_YEAR) -> Share:
    """Runs flights with traces of 1 % of the records in a process of its own, which is looked at.

    Args:
      files: of a year, which of them.
      runs: how often they run.
      data: the folder that they are in.
    """
    with tempfile.TemporaryDirectory() as folder:
        noted = pathlib.Path(folder) / "stacks"
        looking = [f"{sysconfig.get_path('scripts')}/py-spy", "record", "--gil", "--format=raw"]
        looking += [f"--rate={LOOKS_A_SECOND}", f"--output={noted}", "--", sys.executable, "-c"]
        ended = pathlib.Path(folder) / "ended"
        run = f"flights_seconds({files!r}, FLIGHTS['1 %'], pathlib.Path({str(data)!r}))"
        program = "import pathlib\nfrom benchmarks.traces import FLIGHTS, flights_seconds\n"
        program += f"for _ in range({runs}): {run}\npathlib.Path({str(ended)!r}).touch()"
        done = subprocess.run([*looking, program], cwd=PROJECT, check=False, capture_output=True, text=True)
        if not ended.exists():  # py-spy itself ends well then
            raise RuntimeError(f"the run that was looked at has failed: {done.stderr[-2000:]}")
        return share_of(noted.read_text(encoding="utf-8").splitlines())


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints; returns 0, and 1 where the target is missed and `--check` was given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    parser.add_argument("--files", default="flights-2013-*.csv", help="of a year (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="how often (default: %(default)s)")
    given = parser.parse_args(arguments)
    fetch_full_year()
    share = looked_at(given.files, given.runs)
    print(f"flights of {given.files} with traces of 1 % of the records, {share.looks:,} looks")
    ratio = share.looks / (share.looks - share.of_traces)
    target = TARGETS["1 % of flights"]
    told = f"{ratio:.3f} x ({share.of_traces:,} looks)"
    met = print_verdicts([Verdict("over all but the traces", told, f"<= {target} x", ratio <= target)])
    return 0 if met or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())

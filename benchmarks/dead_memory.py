"""What dead letters cost in memory: `python -m benchmarks.dead_memory`.

One Stage parses 1,000,000 records of 300 bytes in a process of its own: all of them good, and all of them
bad. The bad ones are written whole, as Avro files, by the writer behind the Stage; the process must not
grow with them. Prints the peak memory of both and their ratio.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import Verdict, print_verdicts

ELEMENTS = 1_000_000
TARGET = 1.10
PADDING = "x" * 280
"""Makes a record about 300 bytes long, as rows of real files are."""


def run(bad: bool, elements: int) -> dict[str, float]:
    """Runs the pipeline and returns peak memory, seconds, and number and bytes of the files.

    Args:
      bad: whether every record is refused, or none.
      elements: how many.
    """
    import apache_beam as beam

    import beam_obs as obs

    start = "bad " if bad else ""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline("FnApiRunner") as pipeline, obs.DeadLetters(folder) as dead:
            _ = (
                pipeline
                | "start" >> beam.Impulse()
                | "count" >> beam.FlatMap(lambda _: range(elements)).with_output_types(int)
                | "make" >> beam.Map(lambda number: f"{start}{number:012},{PADDING}")
                | "parse" >> obs.Stage(beam.Map(lambda text: int(text.split(",")[0])), dead_letters=dead)
            )
        files = [file.stat().st_size for file in pathlib.Path(folder).glob("dead_letters-*.avro")]
    return {
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": time.perf_counter() - began,
        "files": len(files),
        "file_mb": sum(files) / 1e6,
    }


def in_a_process_of_its_own(bad: bool, elements: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.dead_memory", "--elements", str(elements)]
    done = subprocess.run(
        [*command, "--inside", "bad" if bad else "good"], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what dead letters cost in memory.")
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the target is missed")
    parser.add_argument("--inside", choices=["good", "bad"], help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.inside:
        print(json.dumps(run(arguments.inside == "bad", arguments.elements)))
        return 0
    print(f"{arguments.elements:,} records of 300 bytes through one Stage, peak memory of the process\n")
    found = {}
    for name, bad in (("all good", False), ("all bad", True)):
        found[name] = of_run = in_a_process_of_its_own(bad, arguments.elements)
        written = f"{of_run['files']:.0f} files of {of_run['file_mb']:.0f} MB" if bad else ""
        print(f"  {name:<12}{of_run['peak_mb']:>8.0f} MB  {of_run['seconds']:>6.1f} s  {written}")
    print()
    ratio = found["all bad"]["peak_mb"] / found["all good"]["peak_mb"]
    verdict = Verdict("all bad", f"{ratio:.2f} x", f"<= {TARGET:.2f} x", ratio <= TARGET)
    return 0 if print_verdicts([verdict]) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

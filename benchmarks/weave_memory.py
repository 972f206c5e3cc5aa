"""What lineage costs in memory: `python -m benchmarks.weave_memory`.

A million lines of 100 bytes are read, grouped 200 a key and counted, bare and woven, each in a process of its
own, on the FnApiRunner, which holds all of a shuffle. Prints the peak memory of both and their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import resource
import subprocess
import sys
import tempfile

from benchmarks.measure import Verdict, print_verdicts

LINES = 1_000_000
A_KEY = 200
TARGET = 1.15
KEY_CHARACTERS = 6


def keyed(line: str) -> tuple[str, str]:
    """Returns a line behind its key."""
    return line[:KEY_CHARACTERS], line


def peak_memory(is_woven: bool, lines: int) -> float:
    """Runs the pipeline and returns the peak memory of this process, in MiB."""
    import apache_beam as beam

    from beam_obs.weaving.hook import weaving
    from beam_obs.weaving.settings import WeaveSettings

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "lines.txt"
        with file.open("w") as written:
            for number in range(lines):
                key = number % max(lines // A_KEY, 1)
                written.write(f"{key:0{KEY_CHARACTERS}},{number:0{99 - KEY_CHARACTERS}}\n")
        pipeline = beam.Pipeline("FnApiRunner")
        _ = (
            pipeline
            | "read" >> beam.io.ReadFromText(str(file))
            | "key" >> beam.Map(keyed)
            | "group" >> beam.GroupByKey()
            | "count" >> beam.MapTuple(lambda key, values: (key, len(list(values))))
        )
        settings = WeaveSettings(evidence=f"{folder}/evidence")
        with weaving(settings) if is_woven else contextlib.nullcontext():
            pipeline.run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what lineage costs in memory.")
    parser.add_argument("--lines", type=int, default=LINES, help="default: %(default)s")
    parser.add_argument("--inside", choices=["bare", "woven"], help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.inside:
        print(peak_memory(arguments.inside == "woven", arguments.lines))
        return 0
    found = {}
    for name in ("bare", "woven"):
        command = [sys.executable, "-m", "benchmarks.weave_memory", "--lines", str(arguments.lines)]
        done = subprocess.run([*command, "--inside", name], stdout=subprocess.PIPE, check=True, text=True)
        found[name] = float(done.stdout.splitlines()[-1])
    ratio = found["woven"] / found["bare"]
    figure = f"{ratio:.2f} x ({found['bare']:.0f} MiB bare, {found['woven']:.0f} MiB woven)"
    print_verdicts([Verdict("GroupByKey, peak memory", figure, f"{TARGET:.2f} x", ratio <= TARGET)])
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

"""What `import beam_obs` costs over `import apache_beam`: `python -m benchmarks.import_time`.

Each import runs in a fresh interpreter. A pipeline uses more than the bare import, so the names that
most pipelines use are measured too, without a target.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
from functools import partial

from benchmarks.measure import Verdict, in_turn, paired_difference, print_verdicts

TARGET_MILLISECONDS = 50.0
ROUNDS = 7
PROJECT = pathlib.Path(__file__).parent.parent

_BEAM = "import apache_beam"
IMPORTS = {
    "apache_beam": _BEAM,
    "apache_beam, beam_obs": f"{_BEAM}\nimport beam_obs",
    "apache_beam, beam_obs and its names": (
        f"{_BEAM}\nfrom beam_obs import Pipeline, ReadFromCsv, Stage, WriteToAvro"
    ),
    "beam_obs alone": "import beam_obs",
}
_CLOCK = "import time\nstart = time.process_time()\n{}\nprint(time.process_time() - start)"


def import_milliseconds(code: str) -> float:
    """Returns the CPU time that a fresh interpreter takes for the imports in `code`."""
    command = [sys.executable, "-c", _CLOCK.format(code)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    return float(finished.stdout) * 1e3


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the time that importing beam_obs adds.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)
    samples = in_turn(
        {name: partial(import_milliseconds, code) for name, code in IMPORTS.items()},
        arguments.rounds,
    )
    print(f"CPU milliseconds of an import in a fresh interpreter, fastest of {arguments.rounds}\n")
    for name, costs in samples.items():
        print(f"  {name:<40}{min(costs):>8.0f} ms")
    over = paired_difference(samples, "apache_beam, beam_obs", "apache_beam")
    print()
    verdict = Verdict(
        "beam_obs over apache_beam",
        f"{over:.1f} ms",
        f"<= {TARGET_MILLISECONDS:.0f} ms",
        over <= TARGET_MILLISECONDS,
    )
    return 0 if print_verdicts([verdict]) or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())

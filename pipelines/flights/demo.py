"""`make demo`: January's flights, some of them deliberately damaged, through the flights pipeline.

Prints the run's report, holds what was refused against what was damaged, and shows what to try next.
"""

from __future__ import annotations

import collections
import pathlib
import shutil
import subprocess
import sys

import beam_obs as obs
from pipelines.flights import batch
from pipelines.flights.damage import MANIFEST, Damage, damage
from pipelines.flights.reference import DATA

FOLDER = pathlib.Path("demo-output")
STORE = FOLDER / "store"


def main() -> int:
    """Runs the demonstration in the current folder; returns its exit code."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    files = FOLDER / "input"
    damages = damage(DATA / "flights-2013-01.csv", files)
    kinds = dict.fromkeys(one.kind for one in damages)
    print(f"Flights of January 2013, with {len(damages)} deliberate damages of {len(kinds)} kinds:")
    print(f"{', '.join(kinds)}.\n", flush=True)

    arguments = [f"--input={files}/flights-*.csv", f"--output={FOLDER}/flights", f"--obs_store={STORE}"]
    batch.main(["--runner=FnApiRunner", *arguments])

    as_expected = refused() == expected(damages)
    if as_expected:
        print(f"\nEach of the {len(damages)} damages was refused where it should be, and nothing else was.")
    else:
        print(f"\nRefused: {refused()}\nDamaged: {expected(damages)}", file=sys.stderr)
    print_next_steps(files)
    offer_pages()
    return 0 if as_expected else 1


def expected(damages: list[Damage]) -> collections.Counter[tuple[str, str]]:
    """Returns the number of damages by the step and the error that should refuse them."""
    return collections.Counter((one.step, one.error) for one in damages)


def refused() -> collections.Counter[tuple[str, str]]:
    """Returns the number of dead letters of the latest run, by step and error."""
    end = obs.Store(str(STORE)).find("flights@latest").end or {}
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for group in end["dead_letters"]["by_fingerprint"]:
        counts[group["stage"], group["error_type"].rpartition(".")[2]] += group["count"]
    return counts


def print_next_steps(files: pathlib.Path) -> None:
    """Prints where things are, and commands to try."""
    beam_obs = command()
    print(
        f"""
What was damaged   {files / MANIFEST}
What was written   {FOLDER}/flights-flights-*.avro, flights-statistics-*.avro and .jsonl

Try next
  export BEAM_OBS_STORE={STORE}
  {beam_obs} runs
  {beam_obs} show latest
  {beam_obs} dead-letters list latest
  {beam_obs} dead-letters list latest --stage check --letters
  {beam_obs} why {FOLDER}/flights-statistics --match carrier=UA --match day=2013-01-15
  {beam_obs} fate {files}/flights-good.csv:839
  {beam_obs} fate {files}/flights-torn-row.csv:9
  {beam_obs} affected --source {files}/flights-torn-row.csv
  {beam_obs} graph latest --output {FOLDER}/graph.svg

All of it as pages
  {beam_obs} serve --store {STORE}"""
    )


def command() -> pathlib.Path:
    """Returns the path of `beam-obs`, from the current folder where it is in there."""
    beam_obs = pathlib.Path(sys.executable).parent / "beam-obs"
    if beam_obs.is_relative_to(pathlib.Path.cwd()):
        beam_obs = beam_obs.relative_to(pathlib.Path.cwd())
    return beam_obs


def offer_pages() -> None:
    """Serves the pages of the run where somebody sits at a terminal and wants them; asks nobody else."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    try:
        print("\nLook at it in a browser? [Y/n] ", end="", flush=True)
        if input().strip().lower() in ("", "y", "yes"):
            serve = ["-m", "beam_obs.cli", "serve", f"--store={STORE}", "--port=0", "--open"]
            subprocess.run([sys.executable, *serve], check=False)
    except (EOFError, KeyboardInterrupt):
        print()


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: January's flights, some of them deliberately damaged, through the flights pipeline.

Prints the run's report, holds what was refused against what was damaged, and shows what to try next.
"""

from __future__ import annotations

import pathlib
import shutil

from pipelines.flights import batch
from pipelines.flights.damage import MANIFEST, damage
from pipelines.flights.reference import DATA

FOLDER = pathlib.Path("demo-output")


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    files = FOLDER / "input"
    found = damage(DATA / "flights-2013-01.csv", files)
    kinds = dict.fromkeys(one.kind for one in found)
    print(f"January 2013 with {len(found)} deliberate damages of {len(kinds)} kinds: {', '.join(kinds)}.")
    print(f"They are listed in {files / MANIFEST}.\n", flush=True)
    batch.main(
        [
            "--runner=FnApiRunner",
            f"--input={files}/flights-*.csv",
            f"--output={FOLDER}/flights",
            f"--obs_store={FOLDER}/store",
        ]
    )
    store = f"--store {FOLDER}/store"
    print(
        f"""
Written: {FOLDER}/flights-flights-*.avro, flights-statistics-*.avro, flights-statistics-*.jsonl

Try next:
  .venv/bin/beam-obs runs {store}
  .venv/bin/beam-obs show latest {store}
  .venv/bin/beam-obs dead-letters list latest {store}
  .venv/bin/beam-obs dead-letters list latest --stage check --json {store}"""
    )


if __name__ == "__main__":
    main()

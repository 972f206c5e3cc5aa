"""`python -m benchmarks.record_pages`: how long pages of records and of dead letters take.

Records are those of the run of a million that `benchmarks.answers` makes, dead letters the million of
`benchmarks.refusals`. A page is made and rendered in this process, as a server does it for the second
visitor; 1 s is allowed. On a machine that others use too, CPU time tells more than the time that passes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.store.store import Store
from beam_obs.web.links import Links
from beam_obs.web.page import Page
from beam_obs.web.pages.dead_letter_page import dead_letter_page
from beam_obs.web.pages.dead_letters_page import dead_letters_page
from beam_obs.web.pages.record_page import record_at_page, record_page
from beam_obs.web.rendering import render
from beam_obs.web.stored_runs import StoredRuns
from benchmarks import answers, refusals
from benchmarks.measure import Verdict, print_verdicts

LIMIT_SECONDS = 1.0
_LARGE_KEY = "s3"
"""A key of the first run that has some 5,000 records."""

Pages = Iterator[tuple[str, Callable[[], Page]]]


def pages_of_records(folder: pathlib.Path) -> Pages:
    """Gives pages of the run of `benchmarks.answers` in a folder, by name."""
    runs, files = StoredRuns(Store(folder / "store")), ReadableFiles([str(folder)])
    (lines,) = folder.glob("lines-*")
    (sums,) = folder.glob("sums-*")
    for name, place in (("source", folder / answers.SOURCE), ("output", lines), ("aggregate", sums)):
        yield f"record, of the {name}", lambda at=f"{place}:4444": record_at_page(runs, {"at": at}, files)  # type: ignore[misc]
    keys = [json.loads(line)["sensor"] for line in sums.read_text().splitlines()]
    large = f"{sums}:{keys.index(_LARGE_KEY) + 1}"
    origin = str(record_at_page(runs, {"at": large}, files).values["origin"])
    yield "aggregate, its 1,000th contributor", lambda: record_page(runs, origin, {"first": "1000"}, files)


def pages_of_dead_letters(folder: pathlib.Path) -> Pages:
    """Gives pages of the run of `benchmarks.refusals` in a folder, by name."""
    runs, files = StoredRuns(Store(folder / "store")), ReadableFiles([str(folder)])
    run = runs.find("latest")
    refused = (run.end or {})["dead_letters"]
    kinds = refused["by_fingerprint"]
    asked = {
        "dead letters, the first": {},
        "dead letters, from the middle": {"page": str(refused["count"] // 2)},
        "dead letters, the last": {"page": str(refused["count"] - 50)},
        "dead letters, of a rare kind": {"fingerprint": kinds[-1]["fingerprint"]},
        "dead letters, of a stage": {"stage": "plausible"},
        "dead letters, with a text": {"text": "n/a"},
    }
    for name, query in asked.items():
        yield name, lambda query=query: dead_letters_page(runs, run.id, query)  # type: ignore[misc]
    bundle = kinds[0]["id"].rpartition(".")[0]
    yield "dead letter", lambda: dead_letter_page(runs, f"{bundle}.{kinds[0]['count'] - 1}", files)


def taken(make: Callable[[], Page]) -> tuple[float, float, int]:
    """Returns seconds, CPU seconds, and bytes of a page."""
    began, busy = time.perf_counter(), time.process_time()
    html = render(make(), Links(), {"store": "store"})
    return time.perf_counter() - began, time.process_time() - busy, len(html.encode())


def report(pages: Pages, repeats: int) -> list[Verdict]:
    """Prints what each page takes, and returns whether that is allowed."""
    verdicts = []
    for name, make in pages:
        taken(make)
        seconds, busy, sizes = zip(*(taken(make) for _ in range(repeats)), strict=True)
        passed, used = statistics.median(seconds), statistics.median(busy)
        print(f"  {passed:6.2f} s {used:6.2f} CPU s {max(sizes) / 1e3:6.0f} kB  {name}")
        verdicts.append(Verdict(name, f"{passed:.2f} s, CPU {used:.2f} s", "1 s", passed < LIMIT_SECONDS))
    return verdicts


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--folder", type=pathlib.Path, help="keeps the runs there, and takes those that are there"
    )
    arguments = parser.parse_args(argv)
    verdicts: list[Verdict] = []
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for made_by, pages in ((answers, pages_of_records), (refusals, pages_of_dead_letters)):
            here = folder / made_by.__name__.rpartition(".")[2]
            here.mkdir(parents=True, exist_ok=True)
            if not (here / "store").exists():
                made_by.write_source(here, arguments.records)
                made_by.run_pipeline(here)
            verdicts += report(pages(here), arguments.repeats)
    return int(not print_verdicts(verdicts))


if __name__ == "__main__":
    sys.exit(main())

"""`make demo-schedule`: a conference's schedule, scraped before and after the redesign of its site.

Three runs into one store: the site's first version with a destination that is not there, the same once it
is there, and the second version. Then what differs between the last two, from the store alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import beam_obs as obs
from beam_obs.runs.record import RunRecord, parse_time
from beam_obs.runs.report import SHORT_ID, console_for, print_plainly
from beam_obs.runs.wording import clean
from pipelines.schedule import batch
from pipelines.schedule.upload import count_sessions

FOLDER = pathlib.Path("demo-output/schedule")
SITE = FOLDER / "site"
PAGES = pathlib.Path(__file__).parent / "pages"


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    store = obs.Store(str(FOLDER / "store"))

    _say(f"The site as it is, and a destination that is not there: {SITE}")
    _scrape("v1", "monday", report="off")
    _say("The folder is there now; the same again")
    SITE.mkdir()
    _scrape("v1", "tuesday")

    _say("Overnight the site has been redesigned")
    _scrape("v2", "wednesday")

    after, before, *_ = store.runs("schedule")
    show_difference(store, before, after, console_for(sys.stdout))
    there = count_sessions((SITE / "schedule.csv").read_bytes())
    print(f"\n{SITE}/schedule.csv has the {there} sessions of Tuesday: nobody has seen Wednesday's.")
    where = f"--store {FOLDER}/store"
    command = os.path.relpath(pathlib.Path(sys.executable).with_name("beam-obs"))
    print(
        f"""
Try next:
  {command} runs {where}
  {command} show {before.id[:SHORT_ID]} {where}
  {command} dead-letters list {after.id[:SHORT_ID]} --stage parse {where}
  {command} dead-letters list {after.id[:SHORT_ID]} --stage check --json {where}"""
    )


def show_difference(store: obs.Store, before: RunRecord, after: RunRecord, console: Console) -> None:
    """Prints what differs between two runs: counts per stage, and kinds of refusals new, recurring and gone.

    Args:
      store: that has the runs.
      before: the earlier run.
      after: the later one.
      console: where to print.
    """
    counts = Table(box=box.SIMPLE_HEAD, title="Records per stage, before and after", title_justify="left")
    counts.add_column("stage")
    for column in ("in", "", "out", "", "dead", ""):
        counts.add_column(column, justify="right")
    earlier = {stage["label"]: stage for stage in before.end["stages"]} if before.end else {}
    for stage in after.end["stages"] if after.end else []:
        was = earlier.get(stage["label"], {})
        cells = [f"{of.get(name, 0):,}" for name in ("in", "out", "dead") for of in (was, stage)]
        counts.add_row(stage["label"], *cells)
    print_plainly(console, counts)

    had, has = _kinds(before), _kinds(after)
    lines: list[RenderableType] = [Text("Kinds of refusals, before and after\n", "italic")]
    for fingerprint in sorted({**had, **has}, key=lambda one: (one in had, one not in has)):
        kind = has.get(fingerprint) or had[fingerprint]
        word = "new" if fingerprint not in had else "recurring" if fingerprint in has else "gone"
        of_both = (of.get(fingerprint, {}).get("count", 0) for of in (had, has))
        line = Text(f"  {word:<10}", "bold red" if word == "new" else "")
        line.append("{:>4,} {:>4,}  ".format(*of_both)).append(f"{kind['stage']:<14}", "bold")
        line.append(f"since {first_seen(store, fingerprint, after.pipeline)}", "dim")
        error = f"{kind['error_type'].rpartition('.')[2]}: {clean(kind['error_message'])}"
        lines.extend((line, Padding(Text(error, "red"), (0, 0, 0, 12))))
    print_plainly(console, Group(*lines))


def first_seen(store: obs.Store, fingerprint: str, pipeline: str) -> str:
    """Returns time and id of the first run that refused anything of this kind."""
    first = [run for run in store.runs(pipeline) if fingerprint in _kinds(run)][-1]
    return f"{parse_time(first.start['started']):%Y-%m-%d %H:%M:%S}, run {first.id[:SHORT_ID]}"


def _kinds(run: RunRecord) -> dict[str, dict[str, Any]]:
    """Returns a run's refusals by fingerprint, commonest first."""
    refused = (run.end or {}).get("dead_letters") or {}
    return {kind["fingerprint"]: kind for kind in refused.get("by_fingerprint", [])}


def _scrape(version: str, day: str, report: str = "text") -> None:
    try:
        batch.run(
            [
                "--runner=FnApiRunner",
                f"--input={PAGES}/{version}/*.html",
                f"--output={FOLDER}/{day}/schedule",
                f"--destination={SITE}",
                f"--obs_store={FOLDER}/store",
                f"--obs_report={report}",
                "--obs_sample_rate=1",
            ]
        )
    except obs.DeadRateExceeded as error:
        print(f"{error}\n", flush=True)


def _say(text: str) -> None:
    print(f"\n# {text}\n", flush=True)


if __name__ == "__main__":
    main()

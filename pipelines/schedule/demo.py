"""`make demo-schedule`: a conference's schedule, scraped before and after the redesign of its site.

Three runs into one store: the site's first version with a destination that is not there, the same once it
is there, and the second version. Then two commands say what differs, and since when, from the store alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

import beam_obs as obs
from beam_obs.cli.main import exit_code
from pipelines.schedule import batch
from pipelines.schedule.upload import count_sessions

FOLDER = pathlib.Path("demo-output/schedule")
SITE = FOLDER / "site"
STORE = FOLDER / "store"
PAGES = pathlib.Path(__file__).parent / "pages"


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)

    _say(f"The site as it is, and a destination that is not there: {SITE}")
    _scrape("v1", "monday", report="off")
    _say("The folder is there now; the same again")
    SITE.mkdir()
    _scrape("v1", "tuesday")

    _say("Overnight the site has been redesigned")
    _scrape("v2", "wednesday")

    there = count_sessions((SITE / "schedule.csv").read_bytes())
    print(f"{SITE}/schedule.csv has the {there} sessions of Tuesday: nobody has seen Wednesday's.")
    _command("diff", "schedule@latest~1", "schedule@latest")
    _command("dead-letters", "list", "--pipeline", "schedule")
    command = os.path.relpath(pathlib.Path(sys.executable).with_name("beam-obs"))
    print(
        f"""
Try next
  export BEAM_OBS_STORE={STORE}
  {command} runs
  {command} show schedule@latest~1
  {command} dead-letters list latest --stage parse --letters"""
    )


def _command(*arguments: str) -> None:
    """Types a command, and shows it."""
    _say(f"beam-obs {' '.join(arguments)}")
    exit_code([*arguments, "--store", str(STORE)])


def _scrape(version: str, day: str, report: str = "text") -> None:
    try:
        batch.run(
            [
                "--runner=FnApiRunner",
                f"--input={os.path.relpath(PAGES)}/{version}/*.html",
                f"--output={FOLDER}/{day}/schedule",
                f"--destination={SITE}",
                f"--obs_store={STORE}",
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

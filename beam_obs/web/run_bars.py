"""Runs as a strip of bars: the higher the longer a run took, coloured by status; below, what it refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean, seconds_text
from beam_obs.store.run_record import now_text, seconds_between
from beam_obs.store.run_summary import RunSummary
from beam_obs.web.rendering import moment, share

SHOWN_RUNS = 30

STEP, WIDTH = 7, 5
HIGHEST, LOWEST = 28, 3
DEAD_AT, MOST_DEAD = HIGHEST + 2, 9
HEIGHT = DEAD_AT + MOST_DEAD


class Bar(NamedTuple):
    """A run as a bar.

    Args:
      run: id of the run.
      status: its status.
      title: what it says when it is pointed at.
      x: of its left edge.
      height: of the bar, which stands on the line.
      dead: height of the mark for what it refused, which hangs below the line; 0 where it refused nothing.
    """

    run: str
    status: str
    title: str
    x: int
    height: int
    dead: int


class Bars(NamedTuple):
    """Runs beside each other, the newest at the right.

    Args:
      bars: the bars, oldest first.
      title: what they say in one sentence.
      width: of the strip.
      key: what tells its bars apart from those of other strips for the same runs.
    """

    bars: list[Bar]
    title: str
    width: int
    key: str = "bar"


def run_bars(runs: Sequence[RunSummary], places: int = SHOWN_RUNS) -> Bars:
    """Returns runs as bars.

    Args:
      runs: newest first.
      places: bars that there is room for.
    """
    shown = runs[:places]
    now = now_text()
    took = [run.seconds if run.seconds is not None else _so_far(run, now) for run in shown]
    longest = max(took, default=0.0) or 1.0
    bars = [
        Bar(
            run.id,
            run.status,
            title_of(run),
            (places - 1 - at) * STEP,
            max(LOWEST, round(HIGHEST * seconds / longest)),
            _dead_height(run),
        )
        for at, (run, seconds) in enumerate(zip(shown, took, strict=True))
    ]
    return Bars(bars[::-1], _sentence(shown), places * STEP)


def count_bars(runs: Sequence[RunSummary], counts: Sequence[int], key: str) -> Bars:
    """Returns how many there were of something in each run, as bars.

    Args:
      runs: newest first.
      counts: of each of them.
      key: what tells the bars apart from those of other strips for the same runs.
    """
    most = max(counts, default=0) or 1
    bars = [
        Bar(
            run.id,
            "count",
            f"{moment(run.started)}, {count:,} in run {run.id[:SHORT_ID]}, {run.status}",
            (SHOWN_RUNS - 1 - at) * STEP,
            max(LOWEST, round(HIGHEST * count / most)) if count else 0,
            0,
        )
        for at, (run, count) in enumerate(zip(runs, counts, strict=True))
    ]
    having = sum(count > 0 for count in counts)
    title = f"In {having:,} of the newest {counted(len(runs), 'run')}, {max(counts, default=0):,} at most"
    return Bars(bars[::-1], title, SHOWN_RUNS * STEP, key)


def title_of(run: RunSummary) -> str:
    """Returns what a run is, in one line."""
    of = f" of {counted(run.taken, 'record')}" if run.taken is not None else ""
    part = share(run.refused, run.taken) if run.refused and run.taken else ""
    took = f"took {seconds_text(run.seconds)}" if run.seconds is not None else ""
    told = f"{run.status_text}{of}{f' ({part})' if part else ''}"
    return ", ".join(filter(None, (moment(run.started), clean(told), took)))


def _so_far(run: RunSummary, now: str) -> float:
    return max(0.0, seconds_between(run.started, now)) if run.status == "running" else 0.0


def _dead_height(run: RunSummary) -> int:
    if run.refused <= 0:
        return 0
    # Few among many are to be seen, too: one in a hundred is a tenth of the height.
    part = min(1.0, run.refused / run.taken) if run.taken and run.taken > 0 else 1.0
    return max(2, round(MOST_DEAD * math.sqrt(part)))


def _sentence(runs: Sequence[RunSummary]) -> str:
    statuses = [run.status for run in runs]
    told = ", ".join(f"{statuses.count(one):,} {one}" for one in dict.fromkeys(statuses))
    refusing = sum(run.refused > 0 for run in runs)
    refused = f"; {refusing:,} with dead letters" if refusing else ""
    return f"The newest {counted(len(runs), 'run')}: {told}{refused}"

"""A run that is followed until it ends, by looking at the store: `--follow`."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.reports.columns import is_terminal
from beam_obs.reports.store_argument import store_argument
from beam_obs.reports.telling import tell
from beam_obs.store.run_record import RunRecord, parse_time, seconds_between
from beam_obs.store.store import Store

_SECONDS = 1.0
_REMOTE_SECONDS = 5.0
"""Between two looks; in a store that is not of this machine each is some requests."""

_pause = time.sleep
_NOT_GOING_ON = ("lost", "template", "damaged")

follow_option = click.option(
    "--follow", is_flag=True, help="Go on until the run ends; what is new is shown as it comes."
)


def until_ended(store: Store, record: RunRecord) -> Iterator[RunRecord]:
    """Gives a run as it is, again whenever something was written of it, and last with its end.

    Args:
      store: the store.
      record: the run.

    Raises:
      click.Abort: the person who follows it has seen enough (Ctrl-C).
    """
    seconds = _SECONDS if store.local else _REMOTE_SECONDS
    if record.status == "submitted":
        watch = f"beam-obs watch {record.id[:SHORT_ID]}{store_argument(store)}"
        told = f"its launcher has left: `{watch}` keeps its counts and writes its end"
        click.echo(f"beam-obs: {told}", err=True)
    before = None
    try:
        while True:
            now = record.status, record.as_of, record.refused
            if now != before:
                yield record
            before = now
            if has_ended(record):
                return
            _pause(seconds)
            (record,) = store.read([(record.id, record.pipeline)])
    except KeyboardInterrupt:
        raise click.Abort from None


def has_ended(record: RunRecord) -> bool:
    """Returns whether nothing more will come of a run."""
    return record.end is not None or record.status in _NOT_GOING_ON


def end_as(record: RunRecord) -> None:
    """Ends a command with exit code 1 where the run that it followed has failed, or was lost."""
    if record.status in ("failed", "lost", "damaged"):
        raise click.exceptions.Exit(1)


def show_until_ended(store: Store, record: RunRecord, all_steps: bool) -> RunRecord:
    """Shows the counts of a run as they grow: its report on a terminal, else a line for each look.

    Args:
      store: the store.
      record: the run.
      all_steps: whether steps within a composite of Beam's own have rows of their own.

    Returns:
      The run as it is at the end.
    """
    with display(store, all_steps) as show:
        for now in until_ended(store, record):
            if not has_ended(now):
                show(now)
    return now


@contextlib.contextmanager
def display(store: Store, all_steps: bool = False) -> Iterator[Callable[[RunRecord], object]]:
    """Gives what shows a run that goes on: its report on a terminal, drawn anew; else a line a look."""
    if not is_terminal(sys.stdout):
        yield _Lines().show
        return
    from rich.live import Live

    from beam_obs.reports.console import console_for, writes_unicode
    from beam_obs.reports.run_report import render_report

    console = console_for(sys.stdout)
    ascii_only = not writes_unicode(console)
    with Live(console=console, transient=True, auto_refresh=False) as display:
        yield lambda record: display.update(
            render_report(record, store, ascii_only, all_steps=all_steps), refresh=True
        )


class _Lines:
    """A line for each look: when, what came in, how fast since the last one, what was refused."""

    def __init__(self) -> None:
        self._before: tuple[str, int] | None = None

    def show(self, record: RunRecord) -> None:
        history = (record.live or {}).get("history")
        facts = [record.status_text]
        if history and record.as_of is not None:
            taken = history[-1]["in"]
            facts.append(counted(taken, "record"))
            if self._before is not None and record.as_of > self._before[0]:
                rate = (taken - self._before[1]) / seconds_between(self._before[0], record.as_of)
                facts.append(f"{rate:,.0f}/s")
            self._before = record.as_of, taken
        at = f"{parse_time(record.as_of):%Y-%m-%d %H:%M:%S}  " if record.as_of is not None else ""
        tell(f"{at}{record.id[:SHORT_ID]}  {', '.join(facts)}")
        sys.stdout.flush()

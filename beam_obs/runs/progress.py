"""What is shown while a pipeline runs: records per second of each stage.

Counts are looked at in this process where the workers live in it, else asked of the runner's result.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from beam_obs.metrics.snapshot import Snapshot
from beam_obs.records.wording import clean, seconds_text
from beam_obs.reports.console import console_for

_REFRESH_SECONDS = 0.5
_LINE_SECONDS = 10.0
_PATIENCE_SECONDS = 20.0


class Progress:
    """Shows a run's progress on standard error, from `start` to `stop`.

    Args:
      run: id of the run.
      mode: ``auto`` (on a terminal), ``on`` (as plain lines elsewhere) or ``off``.
      runner: name of the runner.
      read: gives the numbers so far, or None where nobody has any.
    """

    def __init__(self, run: str, mode: str, runner: str, read: Callable[[], Snapshot | None]) -> None:
        self._run = run
        self._runner = runner
        self._read = read
        self._terminal = sys.stderr.isatty()
        self._shown = mode == "on" or (mode == "auto" and self._terminal)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def start(self) -> None:
        """Begins to show, in a thread of its own."""
        if self._shown:
            self._thread = threading.Thread(target=self._show, name="beam_obs progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Takes the display away."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * _REFRESH_SECONDS)

    def _show(self) -> None:
        began = time.monotonic()
        console = console_for(sys.stderr)
        if not self._terminal:
            self._show_lines(began)
            return
        both = sys.stdout.isatty()
        with Live(
            console=console, transient=True, auto_refresh=False, redirect_stdout=both, redirect_stderr=both
        ) as display:
            told = False
            while not self._ended.wait(_REFRESH_SECONDS):
                snapshot = self._read()
                elapsed = time.monotonic() - began
                if snapshot is None and elapsed > _PATIENCE_SECONDS and not told:
                    told = True
                    console.print(self._no_progress())
                if snapshot is not None:
                    display.update(self._table(snapshot, elapsed), refresh=True)

    def _show_lines(self, began: float) -> None:
        told = False
        while not self._ended.wait(_LINE_SECONDS):
            snapshot = self._read()
            if snapshot is not None:
                stages = self._with_rates(snapshot)
                text = ", ".join(f"{label} {taken:,} ({rate:,.0f}/s)" for label, taken, rate, _, _ in stages)
                print(f"{seconds_text(time.monotonic() - began)}: {text}", file=sys.stderr, flush=True)
            elif not told and time.monotonic() - began > _PATIENCE_SECONDS:
                told = True
                print(self._no_progress(), file=sys.stderr, flush=True)

    def _no_progress(self) -> str:
        return f"{self._runner} tells no counts before the job has ended: no progress to show"

    def _with_rates(self, snapshot: Snapshot) -> list[tuple[str, int, float, int, int]]:
        now = time.monotonic()
        rows = []
        for label, counts in snapshot.stages.items():
            at, taken = self._before.get(label, (now, counts.in_))
            if label not in self._before or now - at >= 1.0:
                self._before[label] = (now, counts.in_)
                if now > at:
                    self._rates[label] = (counts.in_ - taken) / (now - at)
            rows.append((clean(label), counts.in_, self._rates.get(label, 0.0), counts.out, counts.dead))
        return rows

    def _table(self, snapshot: Snapshot, elapsed: float) -> Any:
        table = Table(box=None, pad_edge=False, padding=(0, 1), title_justify="left")
        table.add_column(
            Text(f"running {seconds_text(elapsed)}", "bold cyan"), no_wrap=True, overflow="ellipsis", ratio=1
        )
        for name in ("in", "per second", "out", "dead"):
            table.add_column(Text(name, "dim"), justify="right", no_wrap=True)
        for label, taken, rate, out, dead in self._with_rates(snapshot):
            table.add_row(
                label,
                f"{taken:,}",
                f"{rate:,.0f}",
                f"{out:,}",
                Text(f"{dead:,}", "bold red" if dead else "dim"),
            )
        return table

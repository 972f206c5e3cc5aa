"""What is shown while a pipeline runs: records per second and times of stages; how far a stream is behind."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.records.wording import clean, microseconds_text, seconds_text

if TYPE_CHECKING:
    from rich.live import Live

_REFRESH_SECONDS = 0.5
_LINE_SECONDS = 10.0
_PATIENCE_SECONDS = 20.0


class Progress:
    """Shows a run's progress on standard error, within its ``with`` block.

    Args:
      mode: ``auto`` (on a terminal), ``on`` (as plain lines elsewhere) or ``off``.
      runner: name of the runner.

    Attributes:
      lateness: how far a stream is behind the clock; shown below the stages.
    """

    lateness = ""

    def __init__(self, mode: str, runner: str) -> None:
        self._runner = runner
        self._terminal = sys.stderr.isatty()
        self._shown = mode == "on" or (mode == "auto" and self._terminal)
        self._began = self._line_at = time.monotonic()
        self._has_told = False
        self._display: Live | None = None
        self._before: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    @property
    def seconds(self) -> float | None:
        """How often it wants to show something; None where it has no wish."""
        if not self._shown:
            return None
        return _REFRESH_SECONDS if self._terminal else min(_LINE_SECONDS, 5.0)

    def __enter__(self) -> Progress:
        self._began = self._line_at = time.monotonic()
        if self._shown and self._terminal:
            from rich.live import Live  # a run that shows nothing need not wait for it

            from beam_obs.reports.console import console_for

            both = sys.stdout.isatty()
            self._display = Live(
                console=console_for(sys.stderr),
                transient=True,
                auto_refresh=False,
                redirect_stdout=both,
                redirect_stderr=both,
            )
            self._display.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None

    def show(self, snapshot: Snapshot | None) -> None:
        """Shows numbers; says once, after a while, that there are none."""
        now = time.monotonic()
        elapsed = now - self._began
        if not self._shown or elapsed < _REFRESH_SECONDS / 2:  # a run that ends at once shows nothing
            return
        if snapshot is None:
            if elapsed > _PATIENCE_SECONDS and not self._has_told:
                self._has_told = True
                self._say(f"{self._runner} tells no counts before the job has ended: no progress to show")
        elif self._display is not None:
            self._display.update(self._table(snapshot, elapsed), refresh=True)
        elif now - self._line_at >= 0.9 * _LINE_SECONDS:
            self._line_at = now
            stages = self._with_rates(snapshot)
            text = ", ".join(f"{label} {counts.in_:,} ({rate:,.0f}/s)" for label, rate, counts in stages)
            behind = f"; {self.lateness}" if self.lateness else ""
            self._say(f"{seconds_text(elapsed)}: {text}{behind}")

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _with_rates(self, snapshot: Snapshot) -> list[tuple[str, float, StageCounts]]:
        now = time.monotonic()
        rows = []
        for label, counts in snapshot.stages.items():
            at, taken = self._before.get(label, (now, counts.in_))
            if label not in self._before or now - at >= 1.0:
                self._before[label] = (now, counts.in_)
                if now > at:
                    self._rates[label] = (counts.in_ - taken) / (now - at)
            rows.append((clean(label), self._rates.get(label, 0.0), counts))
        return rows

    def _table(self, snapshot: Snapshot, elapsed: float) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 1), caption_justify="left")
        table.caption = Text(self.lateness, "dim") if self.lateness else None
        table.add_column(
            Text(f"running {seconds_text(elapsed)}", "bold cyan"), no_wrap=True, overflow="ellipsis", ratio=1
        )
        for name in ("in", "per second", "out", "dead", "p50", "p99"):
            table.add_column(Text(name, "dim"), justify="right", no_wrap=True)
        for label, rate, counts in self._with_rates(snapshot):
            table.add_row(
                label,
                f"{counts.in_:,}",
                f"{rate:,.0f}",
                f"{counts.out:,}",
                Text(f"{counts.dead:,}", "bold red" if counts.dead else "dim"),
                *(microseconds_text(counts.latency.quantile_us(share)) for share in (0.5, 0.99)),
            )
        return table

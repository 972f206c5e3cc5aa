"""A table of runs, and what their states look like."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import RenderableType
from rich.text import Text

from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean, seconds_text, short_code
from beam_obs.reports.as_of import so_far_text
from beam_obs.reports.fitting import FittingColumn, FittingTable, whole
from beam_obs.store.run_record import RunRecord, parse_time

NAME_COLUMNS = 16
"""Names go on in the next line before a column of numbers is left out, but are not narrower than this."""
STATUS_STYLES = {
    "done": "bold green",
    "running": "bold cyan",
    "submitted": "bold cyan",
    "template": "bold cyan",
    "failed": "bold red",
    "lost": "bold red",
    "cancelled": "bold yellow",
}


JOB_STYLES = {"done": "green", "failed": "red", "cancelled": "yellow"}


def render_runs(records: Iterable[RunRecord], ascii_only: bool = False) -> RenderableType:
    """Returns a table of runs, newest first as given."""
    columns = (
        FittingColumn("run", "left"),
        FittingColumn("pipeline", "left", NAME_COLUMNS),
        FittingColumn("started (UTC)", "left"),
        FittingColumn("took"),
        FittingColumn("status", "left", 12, is_last=True),
        FittingColumn("code", "left", 12),
    )
    rows = []
    for record in records:
        status = whole(record.status, STATUS_STYLES.get(record.status, "bold"))
        if record.job_state:
            status.append(f", job {record.job_state}", JOB_STYLES.get(record.job_state, "dim"))
        if record.refused:
            status.append(f", {record.refused:,} dead", "red")
        if so_far := so_far_text(record):
            status.append(f", {so_far}", "dim")
        if ((record.end or {}).get("balance") or {}).get("holds") is False:
            status.append(", not balanced", "bold red")
        rows.append(
            (
                Text(record.id[:SHORT_ID]),
                whole(clean(record.pipeline)),
                Text(f"{parse_time(record.start['started']):%Y-%m-%d %H:%M:%S}"),
                Text(seconds_text(record.seconds)),
                status,
                whole(clean(short_code((record.start.get("code") or {}).get("version", "?"))), "dim"),
            )
        )
    lines = None if ascii_only else box.SIMPLE_HEAD
    return FittingTable(columns, rows, ("code", "took", "started (UTC)"), lines)

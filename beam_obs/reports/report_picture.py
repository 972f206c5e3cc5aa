"""The report of a run as a picture."""

from __future__ import annotations

import io
import re

from beam_obs.reports.console import PLAIN_COLUMNS, CleanConsole
from beam_obs.reports.run_report import render_report
from beam_obs.reports.seen_from_here import seen_from_here
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def report_svg(
    record: RunRecord, store: Store, columns: int = PLAIN_COLUMNS, title: str = "", all_steps: bool = False
) -> str:
    """Returns the report as a picture of a terminal, in SVG; a picture is for others, so that what lies below
    the working folder is shown from there."""
    console = CleanConsole(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(render_report(seen_from_here(record), store, all_steps=all_steps))
    picture = console.export_svg(title=title or f"{record.pipeline}: {record.status_text}")
    # Whoever opens the picture is not to ask a server for fonts; any monospace one will do.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)

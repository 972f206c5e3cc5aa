"""The report of a run as a picture."""

from __future__ import annotations

import dataclasses
import io
import os
import re
from typing import Any

from beam_obs.reports.console import PLAIN_COLUMNS, CleanConsole
from beam_obs.reports.run_report import render_report
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
    below = os.getcwd() + os.sep
    start, end = _seen_from(below, record.start), _seen_from(below, record.end)
    seen = dataclasses.replace(record, start=start, end=end)
    console.print(render_report(seen, store, all_steps=all_steps))
    picture = console.export_svg(title=title or f"{record.pipeline}: {record.status_text}")
    # Whoever opens the picture is not to ask a server for fonts; any monospace one will do.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)


def _seen_from(folder: str, value: Any) -> Any:
    """Returns JSON-able values with paths below a folder as they are seen from it."""
    if isinstance(value, str):
        return value.replace(folder, "")
    if isinstance(value, list):
        return [_seen_from(folder, part) for part in value]
    if isinstance(value, dict):
        return {name: _seen_from(folder, part) for name, part in value.items()}
    return value

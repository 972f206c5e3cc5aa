"""Runs and answers as notebooks show them: a table, or a tree that unfolds, in the words of the commands.

Plain HTML without a script or a style sheet, readable on a light page and on a dark one: colours lie between,
and say nothing that a word does not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from beam_obs.lineage.answers import Fate, Why
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean, seconds_text, short_code
from beam_obs.reports.lineage_text import fate_lines, why_lines
from beam_obs.store.run import Run
from beam_obs.store.run_record import RunRecord, RunRecords, parse_time

_MOST_RUNS = 50
_MOST_KINDS = 10
_UNFOLDED = 3
"""Levels of a tree that are open at first."""

_CELL = "text-align:left;vertical-align:baseline;padding:0.2em 1em 0.2em 0"
_STYLES = {
    "1": "font-weight:bold",
    "2": "opacity:0.7",
    "31": "color:#d14343;font-weight:bold",
    "32": "color:#2b8a4e;font-weight:bold",
    "33": "color:#a3700f;font-weight:bold",
}
"""Of a terminal's colours -> how a page says the same."""
_COLOURED = re.compile(r"\x1b\[([\d;]*)m")
_INDENT = re.compile(r" *")


def html_of(shown: Any) -> str | None:
    """Returns what a notebook shows of a run, of runs, or of an answer about lineage; None of all else."""
    match shown:
        case RunRecords():
            return _runs(shown)
        case RunRecord():
            return _run(shown)
        case Run():
            return _run(shown.store.read([(shown.record.id, shown.record.pipeline)])[0])
        case Why():
            return _lines(why_lines(shown))
        case Fate():
            return _lines(fate_lines(shown))
    return None


def _runs(runs: Sequence[RunRecord]) -> str:
    if not runs:
        return "<p>no runs</p>"
    heading = ("run", "pipeline", "started (UTC)", "took", "status", "code")
    rows = [
        (
            run.id[:SHORT_ID],
            run.pipeline,
            f"{parse_time(run.start['started']):%Y-%m-%d %H:%M:%S}",
            seconds_text(run.seconds),
            _status(run),
            short_code((run.start.get("code") or {}).get("version", "?")),
        )
        for run in runs[:_MOST_RUNS]
    ]
    more = f"<p>and {len(runs) - _MOST_RUNS:,} older</p>" if len(runs) > _MOST_RUNS else ""
    return _table(rows, heading) + more


def _run(run: RunRecord) -> str:
    code = (run.start.get("code") or {}).get("version")
    facts = (
        ("run", run.id),
        ("pipeline", run.pipeline),
        ("status", _status(run)),
        ("started", f"{parse_time(run.start['started']):%Y-%m-%d %H:%M:%S} UTC"),
        ("took", seconds_text(run.seconds)),
        ("runner", run.start.get("runner") or ""),
        ("code", code or ""),
    )
    told = _table([fact for fact in facts if fact[1]])
    kinds = ((run.last_known.get("dead_letters") or {}).get("by_fingerprint")) or ()
    if not kinds:
        return told
    rows = [
        (f"{kind['count']:,}", kind["stage"], f"{kind['error_type']}: {kind['error_message']}")
        for kind in kinds[:_MOST_KINDS]
    ]
    more = len(kinds) - _MOST_KINDS
    rest = f"<p>and {counted(more, 'kind')} more</p>" if more > 0 else ""
    return told + _table(rows, ("dead", "stage", "error")) + rest


def _status(run: RunRecord) -> str:
    balanced = ((run.end or {}).get("balance") or {}).get("holds")
    return f"{run.status_text}, not balanced" if balanced is False else run.status_text


def _table(rows: Iterable[Sequence[str]], heading: Sequence[str] = ()) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        made = "".join(f'<{tag} style="{_CELL}">{html.escape(clean(cell))}</{tag}>' for cell in cells)
        return f"<tr>{made}</tr>"

    head = f"<thead>{line(heading, 'th')}</thead>" if heading else ""
    body = "".join(line(cells, "td") for cells in rows)
    return f'<table style="border-collapse:collapse">{head}<tbody>{body}</tbody></table>'


class _Line(NamedTuple):
    indent: int
    text: str
    below: list[Any]


def _lines(lines: Iterable[str]) -> str:
    """Returns lines as a tree: what is indented more than a line is below it."""
    root = _Line(-1, "", [])
    above = [root]
    for line in lines:
        indent = len(_INDENT.match(line)[0])  # type: ignore[index]
        if indent == len(line):
            continue
        while above[-1].indent >= indent:
            above.pop()
        one = _Line(indent, line[indent:], [])
        above[-1].below.append(one)
        above.append(one)
    made = "".join(_node(one, 0) for one in root.below)
    return f'<div style="font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere">{made}</div>'


def _node(line: _Line, depth: int) -> str:
    text = _coloured(line.text)
    if not line.below:
        return f"<div>{text}</div>"
    below = "".join(_node(one, depth + 1) for one in line.below)
    unfolded = " open" if depth < _UNFOLDED else ""
    return (
        f'<details{unfolded}><summary style="cursor:pointer">{text}</summary>'
        f'<div style="margin-left:1.5em">{below}</div></details>'
    )


def _coloured(text: str) -> str:
    """Returns a line as HTML, with its colours.

    >>> _coloured("by \\x1b[1ma<b\\x1b[0m")
    'by <span style="font-weight:bold">a&lt;b</span>'
    """
    parts = _COLOURED.split(text)
    made = [html.escape(parts[0])]
    styles: list[str] = []
    for code, part in zip(parts[1::2], parts[2::2], strict=True):
        styles = [] if code in ("", "0") else [*styles, _STYLES.get(code, "")]
        told = html.escape(clean(part))
        style = ";".join(filter(None, styles))
        made.append(f'<span style="{style}">{told}</span>' if style and part else told)
    return "".join(made)

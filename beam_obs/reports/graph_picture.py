"""A picture of a run's step graph, in SVG: counts on the edges; dead, filtered and opaque parts marked.

Needs nothing but a viewer: no script, no font, nothing fetched; light or dark as the viewer is. Every step
and edge says what it is in attributes (`data-step`, `data-from`, `data-to`, `data-count`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from beam_obs.records.wording import clean, seconds_text
from beam_obs.reports.as_of import as_of_text
from beam_obs.reports.balance_text import NOT_BALANCED, balance_text
from beam_obs.reports.graph_drawing import add_hatch, add_mark, draw_graph, marks_of
from beam_obs.reports.marked_graph import marked_graph
from beam_obs.reports.seen_from_here import seen_from_here
from beam_obs.reports.svg_shapes import SMALL, add_text, number, text_width
from beam_obs.store.run_record import RunRecord, parse_time

_MARGIN = 24.0
_LEAST_WIDTH = 300.0
"""So wide is the longest line of the legend."""

_STYLE = """
.paper{fill:#fff}
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;\
fill:#1f2328;dominant-baseline:central}
.small{font-size:11px;fill:#59636e}
.heading{font-size:18px;font-weight:600}
.box{fill:#f6f8fa;stroke:#afb8c1}
.stage .box{fill:#eef6ff;stroke:#54aeff}
.dataset .box{fill:#f4f1ea;stroke:#8c8577}
.opaque .box{fill:url(#hatch);stroke:#9a6700;stroke-dasharray:5 3}
.hatch{stroke:#9a6700;stroke-opacity:.16;stroke-width:2}
.hatched{fill:#fffdf5}
.failed .box{stroke:#cf222e;stroke-width:2.5}
.line{fill:none;stroke:#818b98}
.tip{fill:#818b98}
.empty .line,.side .line{stroke-dasharray:4 3}
.count{font-size:11px;fill:#424a53}
.dead .line{stroke:#cf222e}.dead .tip,tspan.dead,.dead text{fill:#cf222e}
.filtered .line,.dropped .line{stroke-dasharray:3 3}
.dropped .line{stroke:#9a6700}.dropped .tip,.dropped text,.small.opaque,tspan.opaque{fill:#9a6700}
.good{fill:#1a7f37}.open{fill:#0969da}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}
text{fill:#e6edf3}
.small{fill:#9198a1}
.box{fill:#161b22;stroke:#4b535d}
.stage .box{fill:#10233d;stroke:#316dca}
.dataset .box{fill:#211f1b;stroke:#7d7768}
.opaque .box{stroke:#d29922}
.hatch{stroke:#d29922}
.hatched{fill:#1c1a12}
.failed .box{stroke:#ff7b72}
.line{stroke:#6e7681}
.tip{fill:#6e7681}
.count{fill:#b7bdc8}
.dead .line{stroke:#ff7b72}.dead .tip,tspan.dead,.dead text{fill:#ff7b72}
.dropped .line{stroke:#d29922}.dropped .tip,.dropped text,.small.opaque,tspan.opaque{fill:#d29922}
.good{fill:#3fb950}.open{fill:#58a6ff}
}
"""

_STATUS_CLASSES = {"done": "good", "failed": "dead", "lost": "dead", "cancelled": "opaque"}


def run_picture(record: RunRecord, all_steps: bool = False) -> str:
    """Returns the step graph of a run as an SVG document; paths are seen from the working folder.

    Args:
      record: the run.
      all_steps: whether steps within a composite of Beam's own have boxes of their own.

    Raises:
      NoStepsYet: none are known.
    """
    graph = marked_graph(seen_from_here(record), all_steps)
    drawing = draw_graph(graph)
    heading = _heading(record)
    below = _MARGIN + 26 + 18 * (len(heading) - 1) + 14
    width = max(
        drawing.width,
        *(sum(text_width(text, size) for text, _, size in line) for line in heading),
        _LEAST_WIDTH,
    )
    legend = _legend_rows(marks_of(graph), width)
    height = below + drawing.height + (26 + 20 * len(legend) if legend else 0) + _MARGIN
    aside = _MARGIN + (width - drawing.width) / 2

    root = _root(record, width + 2 * _MARGIN, height)
    _draw_heading(root, heading)
    drawing.body.set("transform", f"translate({number(aside)},{number(below)})")
    root.append(drawing.body)
    _draw_legend(root, legend, height - _MARGIN - 9 - 20 * (len(legend) - 1))
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _heading(record: RunRecord) -> list[list[tuple[str, str, float]]]:
    """Returns lines of (text, class, size)."""
    end, start = record.last_known, record.start
    code = start.get("code") or {}
    first = [
        (f"{clean(record.pipeline)}  ", "heading", 18.0),
        (record.status, f"heading {_STATUS_CLASSES.get(record.status, 'open')}", 18.0),
        *([(f", {record.refused:,} dead", "heading dead", 18.0)] if record.refused else []),
    ]
    facts = [
        f"run {record.id}",
        f"started {parse_time(start['started']):%Y-%m-%d %H:%M:%S} UTC",
        *([f"took {seconds_text(record.seconds)}"] if record.seconds is not None else []),
    ]
    more = [
        f"code {code.get('version', '?')}{', changed since its commit' if code.get('dirty') else ''}",
        *([str(code["package"])] if code.get("package") else []),
        str(start.get("runner", "?")),
        *([_lineage_text(end["lineage"])] if end.get("lineage") else []),
    ]
    notes = {None: "no counts: the runner told none", "live": "counts are live, none was committed"}
    note = as_of_text(record) or notes.get(end.get("counts_from"), "")
    lines = [" · ".join(clean(fact) for fact in line) for line in (facts, more)]
    balance = balance_text(end["balance"]) if end.get("balance") else ""
    style = "small dead" if balance == NOT_BALANCED else "small"
    told = [(line, "small") for line in [*lines, note]] + [(balance, style)]
    return [first, *([(line, style, SMALL)] for line, style in told if line)]


def _lineage_text(lineage: Mapping[str, Any]) -> str:
    text, _, reasons = str(lineage["text"]).partition(" opaque: ")
    return f"{text} opaque" if reasons else text


def _legend_width(text: str) -> float:
    return 24 + text_width(text, SMALL) + 18


def _legend_rows(marks: list[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    """Returns what marks mean in rows that are not wider than the picture."""
    rows: list[list[tuple[str, str]]] = []
    room = 0.0
    for text, name in marks:
        if not rows or _legend_width(text) > room:
            rows.append([])
            room = width
        rows[-1].append((text, name))
        room -= _legend_width(text)
    return rows


def _draw_legend(root: ElementTree.Element, rows: list[list[tuple[str, str]]], y: float) -> None:
    group = ElementTree.SubElement(root, "g", {"class": "legend"})
    for row in rows:
        x = _MARGIN
        for text, name in row:
            add_mark(group, name, x, y)
            add_text(group, x + 24, y, text, "small")
            x += _legend_width(text)
        y += 20


def _draw_heading(root: ElementTree.Element, lines: list[list[tuple[str, str, float]]]) -> None:
    y = _MARGIN + 9
    for line in lines:
        text = ElementTree.SubElement(root, "text", {"x": number(_MARGIN), "y": number(y)})
        for part, style, _ in line:
            ElementTree.SubElement(text, "tspan", {"class": style, "style": "white-space:pre"}).text = part
        y += 26 if line is lines[0] else 18


def _root(record: RunRecord, width: float, height: float) -> ElementTree.Element:
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "width": number(width),
            "height": number(height),
            "role": "img",
        },
    )
    ElementTree.SubElement(root, "title").text = f"{clean(record.pipeline)}: {record.status_text}"
    ElementTree.SubElement(root, "style").text = _STYLE
    add_hatch(root)
    ElementTree.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    return root

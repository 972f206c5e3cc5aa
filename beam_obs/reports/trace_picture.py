"""A picture of a record's way, in SVG: a row for each span, a bar for its time.

Needs nothing but a viewer: no script, no font, nothing fetched; light or dark as the viewer is. Every row
says which span it is in attributes (`data-span`, `data-step`).
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from beam_obs.lineage.way_of_record import RecordTrace, SpanNode
from beam_obs.records.wording import clean, microseconds_text
from beam_obs.reports.svg_shapes import SIZE, add_text, cut, number, text_width
from beam_obs.reports.trace_text import failures_of

_MARGIN, _ROW, _INDENT, _BARS = 20.0, 22.0, 14.0, 360.0
_LONGEST_NAME = 48
_LEAST_BAR = 2.0
_ROWS = 400

_STYLE = """
.paper{fill:#fff}
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;\
fill:#1f2328;dominant-baseline:central}
.small{font-size:11px;fill:#59636e}
.bar{fill:#54aeff}.failed .bar{fill:#cf222e}.failed text{fill:#cf222e}
.lane{stroke:#d1d9e0}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}
text{fill:#e6edf3}
.small{fill:#9198a1}
.bar{fill:#316dca}.failed .bar{fill:#ff7b72}.failed text{fill:#ff7b72}
.lane{stroke:#30363d}
}
"""


def trace_picture(answer: RecordTrace) -> str:
    """Returns the way of a record as an SVG document.

    Args:
      answer: with at least one span.
    """
    rows = list(_rows(answer))
    hidden, rows = max(0, len(rows) - _ROWS), rows[:_ROWS]
    began = min(node.span.start for node, _, _ in rows)
    whole = max(1, max(node.span.end for node, _, _ in rows) - began)
    names = max(depth * _INDENT + text_width(_name(node, into), SIZE) for node, depth, into in rows)
    bars = _MARGIN + names + 16
    width = bars + _BARS + 90
    top = _MARGIN + 34
    height = top + _ROW * (len(rows) + bool(hidden)) + _MARGIN
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
    ElementTree.SubElement(root, "title").text = f"way of the record {answer.origin.hex()}"
    ElementTree.SubElement(root, "style").text = _STYLE
    ElementTree.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    add_text(root, _MARGIN, _MARGIN, f"trace {answer.trace_id}")
    add_text(root, _MARGIN, _MARGIN + 18, f"{microseconds_text(whole / 1000)} in all", "small")
    for place, (node, depth, into) in enumerate(rows):
        y = top + _ROW * place + _ROW / 2
        _draw_row(root, node, _MARGIN + depth * _INDENT, y, into, bars, began, whole)
    if hidden:
        add_text(root, _MARGIN, height - _MARGIN, f"and {hidden:,} more spans", "small")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _rows(answer: RecordTrace) -> Iterator[tuple[SpanNode, int, bool]]:
    """Gives spans with their depth, and whether each is an aggregate that the one above went into."""

    def below(node: SpanNode, depth: int, into: bool) -> Iterator[tuple[SpanNode, int, bool]]:
        yield node, depth, into
        for child in node.children:
            yield from below(child, depth + 1, False)
        for aggregate in node.into:
            yield from below(aggregate, depth + 1, True)

    for root in answer.roots:
        yield from below(root, 0, False)


def _name(node: SpanNode, into: bool) -> str:
    return f"{'into ' if into else ''}{cut(node.span.name, _LONGEST_NAME)}"


def _draw_row(
    root: ElementTree.Element,
    node: SpanNode,
    x: float,
    y: float,
    into: bool,
    bars: float,
    began: int,
    whole: int,
) -> None:
    span = node.span
    attributes = {"data-span": span.span_id, "data-step": clean(span.name)}
    group = ElementTree.SubElement(
        root, "g", {"class": "row failed" if span.status == 2 else "row", **attributes}
    )
    for failure in failures_of(node)[:1]:
        ElementTree.SubElement(group, "title").text = failure
    lane = {"x1": number(bars), "x2": number(bars + _BARS), "y1": number(y), "y2": number(y)}
    ElementTree.SubElement(group, "line", {"class": "lane", **lane})
    add_text(group, x, y, _name(node, into))
    start = bars + _BARS * (span.start - began) / whole
    long = max(_LEAST_BAR, _BARS * (span.end - span.start) / whole)
    bar = {"x": number(start), "y": number(y - 5), "width": number(long), "height": "10", "rx": "2"}
    ElementTree.SubElement(group, "rect", {"class": "bar", **bar})
    told = microseconds_text((span.end - span.start) / 1000)
    add_text(group, bars + _BARS + 8, y, told, "small")

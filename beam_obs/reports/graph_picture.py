"""A picture of a run's step graph, in SVG: counts on the edges; dead, filtered and opaque parts marked.

Needs nothing but a viewer: no script, no font, nothing fetched; light or dark as the viewer is. Every step
and edge says what it is in attributes (`data-step`, `data-from`, `data-to`, `data-count`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from beam_obs.records.wording import clean, seconds_text
from beam_obs.reports.as_of import as_of_text
from beam_obs.reports.balance_text import NOT_BALANCED, balance_text
from beam_obs.reports.layered_layout import Box, Link, Route, lay_out
from beam_obs.reports.marked_graph import MarkedEdge, MarkedGraph, MarkedStep, marked_graph
from beam_obs.store.run_record import RunRecord, parse_time

_MARGIN = 24.0
_CELL = 0.605
"""Width of a letter of a monospace font, of its size; 0.602 in the widest of the common ones."""
_SIZE, _SMALL = 13.0, 11.0
_PADDING = 12.0
_EXIT_LINE = 26.0
_EXIT_HEIGHT = 17.0
_LONGEST = 34

_STYLE = """
.paper{fill:#fff}
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:13px;\
fill:#1f2328;dominant-baseline:central}
.small{font-size:11px;fill:#59636e}
.heading{font-size:18px;font-weight:600}
.box{fill:#f6f8fa;stroke:#afb8c1}
.stage .box{fill:#eef6ff;stroke:#54aeff}
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
    """Returns the step graph of a run as an SVG document.

    Args:
      record: the run.
      all_steps: whether steps within a composite of Beam's own have boxes of their own.

    Raises:
      NoStepsYet: none are known.
    """
    graph = marked_graph(record, all_steps)
    cards = [_Card(step) for step in graph.steps]
    places = {step.label: number for number, step in enumerate(graph.steps)}
    links = [
        Link(places[edge.source], places[edge.target], _width(_count_text(edge), _SMALL))
        for edge in graph.edges
    ]
    layout = lay_out([card.box for card in cards], links)
    heading = _heading(record)
    legend = _legend(graph)
    below = _MARGIN + 26 + 18 * (len(heading) - 1) + 14
    width = max(
        layout.width,
        *(sum(_width(text, size) for text, _, size in line) for line in heading),
        sum(_legend_width(text) for text, _ in legend),
    )
    height = below + layout.height + (46 if legend else 0) + _MARGIN
    aside = _MARGIN + (width - layout.width) / 2

    root = _root(record, width + 2 * _MARGIN, height)
    _draw_heading(root, heading)
    body = ElementTree.SubElement(root, "g", transform=f"translate({_number(aside)},{_number(below)})")
    for edge, route in zip(graph.edges, layout.routes, strict=True):
        _draw_edge(body, edge, route)
    for card, (axis, top) in zip(cards, layout.boxes, strict=True):
        card.draw(body, axis, top)
    _draw_legend(root, legend, height - _MARGIN - 9)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


class _Card:
    """A step as it is drawn: a box with its name, and an arrow aside for whatever did not go on."""

    def __init__(self, step: MarkedStep) -> None:
        self.step = step
        above, name = _split(step.label)
        self.lines = [(_shortened(name), "", _SIZE)]
        if above:
            self.lines.append((_shortened(above, front=True), "small", _SMALL))
        if step.opaque:
            self.lines.append(
                (
                    _shortened(f"opaque: {next(iter(step.opaque.values()))}", _LONGEST + 6),
                    "small opaque",
                    _SMALL,
                )
            )
        self.exits = [
            (name, f"{count:,} {name}")
            for name, count in (("dead", step.dead), ("filtered", step.filtered), ("dropped", step.dropped))
            if count
        ]
        self.width = max(max(_width(text, size) for text, _, size in self.lines) + 2 * _PADDING, 72.0)
        exits = max((_EXIT_LINE + 8 + _width(text, _SMALL) for _, text in self.exits), default=0.0)
        self.height = max(14 + 16.0 * len(self.lines), _EXIT_HEIGHT * len(self.exits) + 4)
        self.box = Box(self.width / 2, self.width / 2 + exits, self.height, self.width / 2 - 10)

    def draw(self, parent: ElementTree.Element, axis: float, top: float) -> None:
        """Draws the step with its axis and top at a place."""
        step = self.step
        marks = {"stage": step.is_stage, "opaque": bool(step.opaque), "failed": step.has_failed}
        group = ElementTree.SubElement(
            parent,
            "g",
            {
                "class": " ".join(["step", *(name for name, holds in marks.items() if holds)]),
                "data-step": clean(step.label),
                "data-dead": str(step.dead),
                "data-filtered": str(step.filtered),
                "data-dropped": str(step.dropped),
            },
        )
        ElementTree.SubElement(group, "title").text = _tooltip(step)
        _box(group, axis - self.width / 2, top, self.width, self.height, 6)
        first = top + self.height / 2 - 8.0 * (len(self.lines) - 1)
        for index, (text, style, _) in enumerate(self.lines):
            _text(group, axis, first + 16 * index, text, style, anchor="middle")
        edge = axis + self.width / 2
        first = top + self.height / 2 - _EXIT_HEIGHT / 2 * (len(self.exits) - 1)
        for index, (name, text) in enumerate(self.exits):
            y = first + _EXIT_HEIGHT * index
            aside = ElementTree.SubElement(group, "g", {"class": f"exit {name}"})
            _line(aside, f"M{_number(edge)} {_number(y)}H{_number(edge + _EXIT_LINE - 6)}", 1.5)
            tip = edge + _EXIT_LINE
            _tip(aside, [(tip, y), (tip - 8, y - 4), (tip - 8, y + 4)])
            _text(aside, tip + 4, y, text, "count")


def _draw_edge(parent: ElementTree.Element, edge: MarkedEdge, route: Route) -> None:
    marks = {"side": edge.is_side, "empty": edge.count == 0}
    group = ElementTree.SubElement(
        parent,
        "g",
        {
            "class": " ".join(["edge", *(name for name, holds in marks.items() if holds)]),
            "data-from": clean(edge.source),
            "data-to": clean(edge.target),
            "data-count": "" if edge.count is None else str(edge.count),
        },
    )
    told = "not counted" if edge.count is None else f"{edge.count:,}"
    kind = " (side input)" if edge.is_side else ""
    gap = f"\nnot checked: {clean(edge.unchecked)}" if edge.unchecked else ""
    title = f"{clean(edge.source)} → {clean(edge.target)}: {told}{kind}{gap}"
    ElementTree.SubElement(group, "title").text = title
    runs = list(route.runs)
    end_x, end_y, _ = runs[-1]
    back = -7.0 if end_y > runs[0][1] else 7.0
    runs[-1] = (end_x, end_y + back, end_y + back)
    path = ""
    previous = 0.0
    for index, (x, begin, end) in enumerate(runs):
        if index == 0:
            path = f"M{_number(x)} {_number(begin)}"
        else:
            middle = (previous + begin) / 2
            path += (
                f"C{_number(runs[index - 1][0])} {_number(middle)} "
                f"{_number(x)} {_number(middle)} {_number(x)} {_number(begin)}"
            )
        if end != begin:
            path += f"V{_number(end)}"
        previous = end
    _line(group, path, 1.5)
    _tip(group, [(end_x, end_y), (end_x - 4, end_y + 1.2 * back), (end_x + 4, end_y + 1.2 * back)])
    if edge.count is not None:
        _text(group, *route.label, _count_text(edge), "count")


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
    return [first, *([(line, style, _SMALL)] for line, style in told if line)]


def _lineage_text(lineage: Mapping[str, Any]) -> str:
    text, _, reasons = str(lineage["text"]).partition(" opaque: ")
    return f"{text} opaque" if reasons else text


def _legend(graph: MarkedGraph) -> list[tuple[str, str]]:
    """Returns what marks mean, of those that are in the picture: text and class."""
    steps, edges = graph.steps, graph.edges
    dashed = [
        *(["side input"] if any(edge.is_side for edge in edges) else []),
        *(["no elements"] if any(edge.count == 0 for edge in edges) else []),
    ]
    kinds = [
        ("stage: its records are counted and timed", "stage", any(step.is_stage for step in steps)),
        ("other step", "plain", any(not step.is_stage and not step.opaque for step in steps)),
        ("opaque: carries no lineage", "opaque", any(step.opaque for step in steps)),
        ("failed", "failed", any(step.has_failed for step in steps)),
        (" or ".join(dashed), "side", bool(dashed)),
    ]
    return [(text, name) for text, name, is_there in kinds if is_there]


def _legend_width(text: str) -> float:
    return 24 + _width(text, _SMALL) + 18


def _draw_legend(root: ElementTree.Element, legend: list[tuple[str, str]], y: float) -> None:
    x = _MARGIN
    group = ElementTree.SubElement(root, "g", {"class": "legend"})
    for text, name in legend:
        swatch = ElementTree.SubElement(group, "g", {"class": name})
        if name == "side":
            _line(swatch, f"M{_number(x)} {_number(y)}H{_number(x + 18)}", 1.5)
        else:
            _box(swatch, x, y - 6, 18, 12, 3)
        _text(group, x + 24, y, text, "small")
        x += _legend_width(text)


def _draw_heading(root: ElementTree.Element, lines: list[list[tuple[str, str, float]]]) -> None:
    y = _MARGIN + 9
    for line in lines:
        text = ElementTree.SubElement(root, "text", {"x": _number(_MARGIN), "y": _number(y)})
        for part, style, _ in line:
            ElementTree.SubElement(text, "tspan", {"class": style, "style": "white-space:pre"}).text = part
        y += 26 if line is lines[0] else 18


def _root(record: RunRecord, width: float, height: float) -> ElementTree.Element:
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
            "role": "img",
        },
    )
    ElementTree.SubElement(root, "title").text = f"{clean(record.pipeline)}: {record.status_text}"
    ElementTree.SubElement(root, "style").text = _STYLE
    pattern = ElementTree.SubElement(
        ElementTree.SubElement(root, "defs"),
        "pattern",
        {
            "id": "hatch",
            "width": "8",
            "height": "8",
            "patternUnits": "userSpaceOnUse",
            "patternTransform": "rotate(45)",
        },
    )
    ElementTree.SubElement(pattern, "rect", {"class": "hatched", "width": "8", "height": "8"})
    ElementTree.SubElement(pattern, "path", {"class": "hatch", "d": "M1 0V8"})
    ElementTree.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    return root


def _tooltip(step: MarkedStep) -> str:
    """Returns all that is known of a step, in lines."""
    lines = [clean(step.label)]
    for name, count in (("in", step.taken), ("out", step.given)):
        if count is not None:
            lines.append(f"{name} {count:,}")
    for name, count in (("dead", step.dead), ("filtered", step.filtered), ("dropped late", step.dropped)):
        if count:
            lines.append(f"{name} {count:,}")
    lines.extend(
        f"opaque: {'' if part == step.label else f'{clean(part)} - '}{clean(reason)}"
        for part, reason in step.opaque.items()
    )
    if step.unchecked:
        lines.append(f"not checked: {clean(step.unchecked)}")
    lines.extend(clean(part) for part in step.parts)
    if step.has_failed:
        lines.append("the run failed here")
    return "\n".join(lines)


def _split(label: str) -> tuple[str, str]:
    """Returns the path of a composite's part and its own name; a slash within brackets is no path.

    >>> _split("read/parse"), _split("Map(<lambda at a/b.py:3>)")
    (('read', 'parse'), ('', 'Map(<lambda at a/b.py:3>)'))
    """
    depth = 0
    for position in range(len(label) - 1, -1, -1):
        depth += (label[position] in ")]>}") - (label[position] in "([<{")
        if label[position] == "/" and depth <= 0 and 0 < position < len(label) - 1:
            return label[:position], label[position + 1 :]
    return "", label


def _shortened(text: str, limit: int = _LONGEST, front: bool = False) -> str:
    """Returns text on one line that is not too long; cut at its end, or at its front."""
    text = clean(text)
    if len(text) <= limit:
        return text
    return f"…{text[1 - limit :]}" if front else f"{text[: limit - 1]}…"


def _count_text(edge: MarkedEdge) -> str:
    return "" if edge.count is None else f"{edge.count:,}"


def _width(text: str, size: float) -> float:
    """Returns how wide a text is at most: letters of East Asia take two places, marks on others none."""
    cells = sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
    return cells * _CELL * size


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(
    parent: ElementTree.Element, x: float, y: float, text: str, style: str, anchor: str | None = None
) -> None:
    attributes = {"x": _number(x), "y": _number(y)}
    if style:
        attributes["class"] = style
    if anchor is not None:
        attributes["text-anchor"] = anchor
    ElementTree.SubElement(parent, "text", attributes).text = text


def _box(parent: ElementTree.Element, x: float, y: float, width: float, height: float, radius: float) -> None:
    place = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    attributes = {name: _number(value) for name, value in place.items()}
    ElementTree.SubElement(parent, "rect", {"class": "box", **attributes})


def _line(parent: ElementTree.Element, path: str, width: float) -> None:
    ElementTree.SubElement(parent, "path", {"class": "line", "d": path, "stroke-width": _number(width)})


def _tip(parent: ElementTree.Element, corners: list[tuple[float, float]]) -> None:
    points = "L".join(f"{_number(x)} {_number(y)}" for x, y in corners)
    ElementTree.SubElement(parent, "path", {"class": "tip", "d": f"M{points}Z"})

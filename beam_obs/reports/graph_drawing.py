"""The step graph of a run drawn in SVG: boxes, the lines between them and what marks mean.

One drawing, for a picture of its own and for a page: what it looks like is a matter of the classes. Every
step and edge says what it is in attributes (`data-step`, `data-from`, `data-to`, `data-count`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import posixpath
from collections.abc import Callable
from xml.etree import ElementTree

from beam_obs.records.wording import clean, microseconds_text
from beam_obs.reports.layered_layout import Box, Layout, Link, Route, lay_out
from beam_obs.reports.marked_graph import MarkedEdge, MarkedGraph, MarkedStep
from beam_obs.reports.svg_shapes import (
    SIZE,
    SMALL,
    add_box,
    add_line,
    add_text,
    add_tip,
    cut,
    number,
    text_width,
)

_PADDING = 12.0
_EXIT_LINE = 26.0
_EXIT_HEIGHT = 17.0
_LONGEST = 34
_LEAST_WIDTH, _WIDTH_OF_TEN = 1.25, 0.75
"""Of a line of one record; so much wider for ten times as many."""
_DATASET_RADIUS = 17.0


@dataclasses.dataclass(frozen=True)
class GraphDrawing:
    """A graph as it is drawn.

    Args:
      body: the ``g`` with everything in it, from (0, 0) to the right and down.
      width: of the drawing.
      height: of the drawing.
    """

    body: ElementTree.Element
    width: float
    height: float


def draw_graph(
    graph: MarkedGraph, address_of: Callable[[str], str] | None = None, count_room: int = 0
) -> GraphDrawing:
    """Returns the drawing of a graph.

    Args:
      graph: the graph.
      address_of: gives the address that the box of a step leads to, by its label; None for boxes only.
      count_room: so many letters at least have room beside each edge: nothing moves while counts grow.
    """
    cards = [_Card(step) for step in graph.steps]
    places = {step.label: place for place, step in enumerate(graph.steps)}
    links = [
        Link(
            places[edge.source],
            places[edge.target],
            text_width(_count_text(edge).ljust(count_room, "0"), SMALL),
        )
        for edge in graph.edges
    ]
    layout = _laid_out(tuple(card.box for card in cards), tuple(links))
    body = ElementTree.Element("g")
    for edge, route in zip(graph.edges, layout.routes, strict=True):
        _draw_edge(body, edge, route)
    for place, (card, (axis, top)) in enumerate(zip(cards, layout.boxes, strict=True)):
        parent = body
        if address_of is not None:
            link = {"href": address_of(card.step.label), "id": f"step-{place}"}
            parent = ElementTree.SubElement(body, "a", link)
        card.draw(parent, axis, top)
    return GraphDrawing(body, layout.width, layout.height)


@functools.lru_cache(maxsize=64)
def _laid_out(boxes: tuple[Box, ...], links: tuple[Link, ...]) -> Layout:
    """Returns the layout; a page that is asked for again and again mostly has the same."""
    return lay_out(boxes, links)


def marks_of(graph: MarkedGraph) -> list[tuple[str, str]]:
    """Returns what marks mean, of those that are in a graph: text and class, for `add_mark`."""
    steps, edges = graph.steps, graph.edges
    dashed = [
        *(["side input"] if any(edge.is_side for edge in edges) else []),
        *(["no elements"] if any(edge.count == 0 for edge in edges) else []),
    ]
    kinds = [
        ("stage: its records are counted and timed", "stage", any(step.is_stage for step in steps)),
        ("other step", "plain", any(not step.is_stage and not step.opaque for step in steps)),
        ("reads or writes a dataset", "dataset", any(step.reads or step.writes for step in steps)),
        ("opaque: carries no lineage", "opaque", any(step.opaque for step in steps)),
        ("failed", "failed", any(step.has_failed for step in steps)),
        ("the more records, the wider (log scale)", "scale", any(edge.count for edge in edges)),
        (" or ".join(dashed), "side", bool(dashed)),
    ]
    return [(text, name) for text, name, is_there in kinds if is_there]


def add_hatch(parent: ElementTree.Element) -> None:
    """Adds the pattern that opaque steps are filled with, to be called ``hatch``."""
    pattern = ElementTree.SubElement(
        ElementTree.SubElement(parent, "defs"),
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


def add_mark(parent: ElementTree.Element, name: str, x: float, y: float) -> None:
    """Adds a sample of a mark, 18 wide and 12 high, with the middle of its left side at a place."""
    swatch = ElementTree.SubElement(parent, "g", {"class": name})
    if name == "side":
        add_line(swatch, f"M{number(x)} {number(y)}H{number(x + 18)}", 1.5)
    elif name == "scale":
        add_tip(swatch, [(x, y - 0.6), (x + 18, y - 3.5), (x + 18, y + 3.5), (x, y + 0.6)])
    else:
        add_box(swatch, x, y - 6, 18, 12, 6 if name == "dataset" else 3)


class _Card:
    """A step as it is drawn: a box with its name, and an arrow aside for whatever did not go on."""

    def __init__(self, step: MarkedStep) -> None:
        self.step = step
        above, name = _split(step.label)
        self.lines = [(cut(name, _LONGEST), "", SIZE)]
        if above:
            self.lines.append((cut(above, _LONGEST, front=True), "small", SMALL))
        self.lines += [(text, "small", SMALL) for text in (*_datasets_lines(step), *_times_lines(step))]
        if step.opaque:
            reason = cut(f"opaque: {next(iter(step.opaque.values()))}", _LONGEST + 6)
            self.lines.append((reason, "small opaque", SMALL))
        self.exits = [
            (name, f"{count:,} {name}")
            for name, count in (("dead", step.dead), ("filtered", step.filtered), ("dropped", step.dropped))
            if count
        ]
        self.is_dataset = bool(step.reads or step.writes)
        self.width = max(max(text_width(text, size) for text, _, size in self.lines) + 2 * _PADDING, 72.0)
        exits = max((_EXIT_LINE + 8 + text_width(text, SMALL) for _, text in self.exits), default=0.0)
        self.height = max(14 + 16.0 * len(self.lines), _EXIT_HEIGHT * len(self.exits) + 4)
        self.box = Box(self.width / 2, self.width / 2 + exits, self.height, self.width / 2 - 10)

    def draw(self, parent: ElementTree.Element, axis: float, top: float) -> None:
        """Draws the step with its axis and top at a place."""
        step = self.step
        marks = {
            "stage": step.is_stage,
            "dataset": self.is_dataset,
            "opaque": bool(step.opaque),
            "failed": step.has_failed,
        }
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
        radius = min(_DATASET_RADIUS, self.height / 2) if self.is_dataset else 6
        add_box(group, axis - self.width / 2, top, self.width, self.height, radius)
        first = top + self.height / 2 - 8.0 * (len(self.lines) - 1)
        for index, (text, style, _) in enumerate(self.lines):
            add_text(group, axis, first + 16 * index, text, style, anchor="middle")
        edge = axis + self.width / 2
        first = top + self.height / 2 - _EXIT_HEIGHT / 2 * (len(self.exits) - 1)
        for index, (name, text) in enumerate(self.exits):
            y = first + _EXIT_HEIGHT * index
            aside = ElementTree.SubElement(group, "g", {"class": f"exit {name}"})
            add_line(aside, f"M{number(edge)} {number(y)}H{number(edge + _EXIT_LINE - 6)}", 1.5)
            tip = edge + _EXIT_LINE
            add_tip(aside, [(tip, y), (tip - 8, y - 4), (tip - 8, y + 4)])
            add_text(aside, tip + 4, y, text, "count")


def _datasets_lines(step: MarkedStep) -> list[str]:
    """Returns what a step reads and writes: the last part of each path, since no box has room for more."""
    lines = []
    for verb, places in (("reads", step.reads), ("writes", step.writes)):
        if places:
            name = posixpath.basename(places[0].rstrip("/")) or places[0]
            more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
            lines.append(f"{verb} {cut(name, _LONGEST - len(more), front=True)}{more}")
    return lines


def _times_lines(step: MarkedStep) -> list[str]:
    if step.p50_us is None or step.p99_us is None:
        return []
    return [f"p50 {microseconds_text(step.p50_us, 'µs')} · p99 {microseconds_text(step.p99_us, 'µs')}"]


def _line_width(count: int | None) -> float:
    return _LEAST_WIDTH + (_WIDTH_OF_TEN * math.log10(count) if count and count > 0 else 0)


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
            path = f"M{number(x)} {number(begin)}"
        else:
            middle = (previous + begin) / 2
            path += (
                f"C{number(runs[index - 1][0])} {number(middle)} "
                f"{number(x)} {number(middle)} {number(x)} {number(begin)}"
            )
        if end != begin:
            path += f"V{number(end)}"
        previous = end
    width = _line_width(edge.count)
    add_line(group, path, width)
    aside = max(4.0, width / 2 + 2.5)
    add_tip(group, [(end_x, end_y), (end_x - aside, end_y + 1.2 * back), (end_x + aside, end_y + 1.2 * back)])
    if edge.count is not None:
        add_text(group, route.label[0] + max(0.0, width / 2 - 1), route.label[1], _count_text(edge), "count")


def _tooltip(step: MarkedStep) -> str:
    """Returns all that is known of a step, in lines."""
    lines = [clean(step.label)]
    for name, count in (("in", step.taken), ("out", step.given)):
        if count is not None:
            lines.append(f"{name} {count:,}")
    for name, count in (("dead", step.dead), ("filtered", step.filtered), ("dropped late", step.dropped)):
        if count:
            lines.append(f"{name} {count:,}")
    lines.extend(f"reads {clean(place)}" for place in step.reads)
    lines.extend(f"writes {clean(place)}" for place in step.writes)
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


def _count_text(edge: MarkedEdge) -> str:
    return "" if edge.count is None else f"{edge.count:,}"

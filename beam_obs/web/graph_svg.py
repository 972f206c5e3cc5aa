"""The step graph of a run as part of a page: each box leads to the page of its step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from beam_obs.reports.graph_drawing import add_hatch, add_mark, draw_graph, marks_of
from beam_obs.reports.marked_graph import MarkedGraph
from beam_obs.reports.svg_shapes import number
from beam_obs.web.links import Links

if TYPE_CHECKING:
    import markupsafe

_ROOM_FOR_COUNTS = 9
"""Letters beside an edge of a run that runs: enough for millions."""
_MARGIN = 16.0


class GraphOnPage:
    """A graph that a page shows.

    Args:
      graph: the graph.
      run: id of its run.
      is_live: whether its counts still grow.
    """

    def __init__(self, graph: MarkedGraph, run: str, is_live: bool) -> None:
        self.graph = graph
        self._run = run
        self._room = _ROOM_FOR_COUNTS if is_live else 0

    def svg(self, links: Links) -> markupsafe.Markup:
        """Returns the graph; what it shows at first is all of it, and ``graph.js`` moves that."""
        drawing = draw_graph(self.graph, lambda label: links.step(self._run, label), self._room)
        width, height = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
        root = ElementTree.Element(
            "svg",
            {
                "class": "graph",
                "viewBox": f"0 0 {number(width)} {number(height)}",
                "width": number(width),
                "height": number(height),
                "role": "group",
                "aria-label": "Steps of the run, and what went between them",
            },
        )
        add_hatch(root)
        body = drawing.body
        body.set("id", "graph-drawing")
        body.set("data-width", number(width))
        body.set("data-height", number(height))
        body.set("transform", f"translate({number(_MARGIN)},{number(_MARGIN)})")
        root.append(body)
        return _markup(root)

    @property
    def marks(self) -> Sequence[tuple[markupsafe.Markup, str]]:
        """What marks mean: a sample of each, and its text."""
        return [(_sample(name), text) for text, name in marks_of(self.graph)]


def _sample(name: str) -> markupsafe.Markup:
    attributes = {"class": "graph sample", "width": "20", "height": "14", "aria-hidden": "true"}
    root = ElementTree.Element("svg", attributes)
    add_mark(root, name, 1, 7)
    return _markup(root)


def _markup(element: ElementTree.Element) -> markupsafe.Markup:
    import markupsafe

    return markupsafe.Markup(ElementTree.tostring(element, encoding="unicode"))

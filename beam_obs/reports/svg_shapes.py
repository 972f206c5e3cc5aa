"""Boxes, lines and texts of a picture in SVG, and how wide a text is. How they look is a matter of styles."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from xml.etree import ElementTree

from beam_obs.records.wording import clean

SIZE, SMALL = 13.0, 11.0
"""Sizes of the two kinds of text."""

_CELL = 0.605
"""Width of a letter of a monospace font, of its size; 0.602 in the widest of the common ones."""


def text_width(text: str, size: float) -> float:
    """Returns how wide a text is at most: letters of East Asia take two places, marks on others none."""
    cells = sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
    return cells * _CELL * size


def cut(text: str, limit: int, front: bool = False) -> str:
    """Returns text on one line that is not longer than a number of letters; cut at its end, or at its front.

    >>> cut("flights.csv", 8), cut("flights.csv", 8, front=True)
    ('flights…', '…hts.csv')
    """
    text = clean(text)
    if len(text) <= limit:
        return text
    return f"…{text[1 - limit :]}" if front else f"{text[: limit - 1]}…"


def number(value: float) -> str:
    """Returns a coordinate as SVG has it.

    >>> number(2.0), number(2.55)
    ('2', '2.5')
    """
    return f"{value:.1f}".removesuffix(".0")


def add_text(
    parent: ElementTree.Element, x: float, y: float, text: str, style: str = "", anchor: str | None = None
) -> None:
    """Adds a text that begins, or has its `anchor`, at a place; `style` is its class."""
    attributes = {"x": number(x), "y": number(y)}
    if style:
        attributes["class"] = style
    if anchor is not None:
        attributes["text-anchor"] = anchor
    ElementTree.SubElement(parent, "text", attributes).text = text


def add_box(
    parent: ElementTree.Element, x: float, y: float, width: float, height: float, radius: float
) -> None:
    """Adds a box, of class ``box``."""
    place = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    attributes = {name: number(value) for name, value in place.items()}
    ElementTree.SubElement(parent, "rect", {"class": "box", **attributes})


def add_line(parent: ElementTree.Element, path: str, width: float) -> None:
    """Adds a line along a path, of class ``line``."""
    ElementTree.SubElement(parent, "path", {"class": "line", "d": path, "stroke-width": number(width)})


def add_tip(parent: ElementTree.Element, corners: Iterable[tuple[float, float]]) -> None:
    """Adds what is within corners, the tip of an arrow, of class ``tip``."""
    points = "L".join(f"{number(x)} {number(y)}" for x, y in corners)
    ElementTree.SubElement(parent, "path", {"class": "tip", "d": f"M{points}Z"})

"""Where the texts of a picture stand: boxes computed from font sizes and lengths.

They are as wide as the widest of the common monospace fonts would draw them. Knows as much of SVG as the
pictures of this project use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

_CELL = 0.61
"""Width of a letter, of its font's size."""
_SLACK = 0.5
_NARROWEST = 12.0
"""Width of a letter of a report, whose font has 20 units."""
_SVG = "{http://www.w3.org/2000/svg}"
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_FONT_SIZE = re.compile(r"font-size:\s*([\d.]+)px")
_TRANSLATE = re.compile(r"translate\(\s*([-\d.]+)[\s,]+([-\d.]+)\s*\)")


class TextBox(NamedTuple):
    """A text and the rectangle that it takes, in units of the picture."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: TextBox) -> bool:
        return (
            self.left + _SLACK < other.right
            and other.left + _SLACK < self.right
            and self.top + _SLACK < other.bottom
            and other.top + _SLACK < self.bottom
        )


def text_boxes(picture: str) -> list[TextBox]:
    """Returns the boxes of all texts that show something."""
    root = ElementTree.fromstring(picture)
    style = "".join(element.text or "" for element in root.iter(f"{_SVG}style"))
    sizes = {}
    for names, rule in _RULE.findall(style):
        if size := _FONT_SIZE.search(rule):
            sizes.update(dict.fromkeys((name.strip() for name in names.split(",")), float(size[1])))
    return list(_boxes_in(root, sizes, "dominant-baseline:central" in style, 0.0, 0.0, 16.0))


def overlapping(boxes: list[TextBox]) -> list[tuple[str, str]]:
    """Returns the pairs of texts of which one lies on the other."""
    return [
        (one.text, other.text)
        for number, one in enumerate(boxes)
        for other in boxes[number + 1 :]
        if one.overlaps(other)
    ]


def squeezed(picture: str) -> list[str]:
    """Returns the texts that are made to fit a length in which their letters lie on each other."""
    found = []
    for element in ElementTree.fromstring(picture).iter(f"{_SVG}text"):
        text = (element.text or "").rstrip("\n")
        if text and float(element.get("textLength", "inf")) / len(text) < _NARROWEST:
            found.append(text)
    return found


def outside(picture: str) -> list[str]:
    """Returns the texts that go beyond the picture's edges."""
    left, top, width, height = map(float, ElementTree.fromstring(picture).attrib["viewBox"].split())
    return [
        box.text
        for box in text_boxes(picture)
        if box.left < left or box.top < top or box.right > left + width or box.bottom > top + height
    ]


def _boxes_in(
    element: ElementTree.Element, sizes: dict[str, float], central: bool, x: float, y: float, size: float
) -> Iterator[TextBox]:
    size = _size_of(element, sizes, size)
    if moved := _TRANSLATE.search(element.get("transform", "")):
        x, y = x + float(moved[1]), y + float(moved[2])
    if element.tag == f"{_SVG}text":
        yield from _box_of(element, sizes, central, x, y, size)
        return
    for part in element:
        yield from _boxes_in(part, sizes, central, x, y, size)


def _box_of(
    element: ElementTree.Element, sizes: dict[str, float], central: bool, x: float, y: float, size: float
) -> Iterator[TextBox]:
    runs = [(element.text or "", size)]
    runs += [(span.text or "", _size_of(span, sizes, size)) for span in element.iter(f"{_SVG}tspan")]
    text = "".join(run for run, _ in runs).rstrip("\n")
    if not text.strip():
        return
    largest = max(size for run, size in runs if run.strip())
    width = float(element.get("textLength", sum(len(run) * _CELL * size for run, size in runs)))
    left, middle = x + float(element.get("x", 0)), y + float(element.get("y", 0))
    left -= {"middle": width / 2, "end": width}.get(element.get("text-anchor", ""), 0.0)
    letter = width / len(text)
    right = left + width - letter * (len(text) - len(text.rstrip()))
    left += letter * (len(text) - len(text.lstrip()))
    above, below = (0.5, 0.5) if central else (0.8, 0.25)
    yield TextBox(text.strip(), left, middle - above * largest, right, middle + below * largest)


def _size_of(element: ElementTree.Element, sizes: dict[str, float], inherited: float) -> float:
    for name in element.get("class", "").split():
        if f".{name}" in sizes:
            return sizes[f".{name}"]
    return sizes.get(element.tag.removeprefix(_SVG), inherited)

"""Differences that people read at a glance: expected beside found, with a mark where they part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_WIDTH = 60


def table(rows: Iterable[tuple[str, str, str, bool]], indent: str = "  ") -> str:
    """Returns rows of name, expected, found and whether they agree as aligned lines.

    >>> print(table([("in", "3", "3", True), ("dead", "1", "2", False)], indent=""))
          expected  found
    in    3         3
    dead  1         2      <-
    """
    cells = [("", "expected", "found", "")]
    cells += [
        (name, _cut(expected), _cut(found), "" if fits else "<-") for name, expected, found, fits in rows
    ]
    return "\n".join(f"{indent}{line}" for line in _aligned(cells))


def numbered(lines: Sequence[str], indent: str = "  ") -> str:
    """Returns lines with numbers before them."""
    return "\n".join(f"{indent}{number}. {line}" for number, line in enumerate(lines, start=1))


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _cut(text: str) -> str:
    """The start and the end of a long text, where differences are seen."""
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 20]} ... {text[-15:]}"

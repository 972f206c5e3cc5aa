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
    cells += [(name, cut(expected), cut(found), "" if fits else "<-") for name, expected, found, fits in rows]
    return "\n".join(f"{indent}{line}" for line in _aligned(cells))


def numbered(lines: Sequence[str], indent: str = "  ") -> str:
    """Returns lines with numbers before them."""
    return "\n".join(f"{indent}{number}. {line}" for number, line in enumerate(lines, start=1))


def cut(text: str, width: int = _WIDTH) -> str:
    """Returns a text, or its start and its end where it is long."""
    return text if len(text) <= width else f"{text[: width - 20]} ... {text[-15:]}"


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]

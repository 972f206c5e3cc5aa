"""What gives way where a terminal is narrow: columns, never a part of an id, a name or a sentence."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_MOST_TEXT = 400
_MANY_ROWS = 100
_USUAL_COLUMNS = 12
"""So wide is a column that may be narrowed, where there is room."""


@dataclasses.dataclass(frozen=True)
class FittingColumn:
    """A column of a table.

    Args:
      header: its head.
      justify: where its cells are put.
      least: the width to which it may be narrowed; None for one that is never narrowed.
      is_last: whether it is narrowed only where all others that may give way have done so.
    """

    header: str
    justify: Literal["left", "right"] = "right"
    least: int | None = None
    is_last: bool = False


@dataclasses.dataclass(frozen=True)
class FittingTable:
    """A table that leaves out columns where it is wider than the terminal.

    Args:
      columns: all columns.
      rows: a cell for each column.
      gives_way: heads of the columns that are left out, the first of them first.
      box: lines of the table; None for none.
      header_style: style of the heads.
    """

    columns: Sequence[FittingColumn]
    rows: Sequence[Sequence[Text]]
    gives_way: Sequence[str]
    box: Box | None = None
    header_style: str = "bold"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Segment]:
        """Yields the table with the columns for which there is room."""
        shown = list(range(len(self.columns)))
        for header in self.gives_way:
            if self._too_wide(shown, [self._wanted(number) for number in shown], options) <= 0:
                break
            shown = [number for number in shown if self.columns[number].header != header]
        widths = {number: max(self._widest(number), self._usual(number)) for number in shown}
        for number in sorted(shown, key=lambda number: (self.columns[number].is_last, -number)):
            over = self._too_wide(shown, widths.values(), options)
            widths[number] -= min(max(over, 0), widths[number] - self._least(number))
        table = Table(box=self.box, pad_edge=False, padding=(0, 1), header_style=self.header_style)
        for number in shown:
            column = self.columns[number]
            table.add_column(column.header, justify=column.justify, width=widths[number])
        is_long = len(self.rows) > _MANY_ROWS and self._is_of_lines(widths)
        for row in self.rows[:1] if is_long else self.rows:
            table.add_row(*(row[number] for number in shown))
        if is_long:
            yield from self._lines(console, options, table, widths)
        else:
            yield table

    def _is_of_lines(self, widths: Mapping[int, int]) -> bool:
        """Returns whether each row is one line, and what is between its cells is blank."""
        between = "" if self.box is None else self.box.mid_left + self.box.mid_vertical + self.box.mid_right
        return not between.strip() and all(
            self._widest(number) <= width or all(_is_cut(row[number]) for row in self.rows)
            for number, width in widths.items()
        )

    def _lines(
        self, console: Console, options: ConsoleOptions, first: Table, widths: Mapping[int, int]
    ) -> Iterator[Segment]:
        """Gives the lines of a long table as `rich` does, which takes a millisecond for each row.

        Args:
          console: to print on.
          options: of it.
          first: the table with its first row only.
          widths: of the columns that are shown, by number.
        """
        lines = console.render_lines(first, options, pad=False)
        behind = 0 if self.box is None else 1
        for line in lines[: len(lines) - behind]:
            yield from (*line, Segment.line())
        for row in self.rows[1:]:
            yield from self._line(console, [(row[number], number, width) for number, width in widths.items()])
        for line in lines[len(lines) - behind :]:
            yield from (*line, Segment.line())

    def _line(self, console: Console, cells: Iterable[tuple[Text, int, int]]) -> Iterator[Segment]:
        edge, between = ("", "  ") if self.box is None else (" ", "   ")
        before = edge
        for cell, number, width in cells:
            if cell.cell_len > width:
                cell = cell.copy()
                cell.truncate(width, overflow="ellipsis")
            room = " " * (width - cell.cell_len)
            is_left = self.columns[number].justify == "left"
            yield Segment(before if is_left else before + room)
            style = console.get_style(cell.style) if cell.style else None
            yield from Segment.apply_style(cell.render(console, end=""), style)
            before = room + between if is_left else between
        yield Segment(f"{before[: -len(between)]}{edge}")
        yield Segment.line()

    def _too_wide(self, shown: Sequence[int], widths: Iterable[int], options: ConsoleOptions) -> int:
        lines = 0 if self.box is None else len(shown) + 1
        return sum(widths) + 2 * (len(shown) - 1) + lines - options.max_width

    def _usual(self, number: int) -> int:
        return 0 if self.columns[number].least is None else _USUAL_COLUMNS

    def _widest(self, number: int) -> int:
        return self._all_widest[number]

    @functools.cached_property
    def _all_widest(self) -> list[int]:
        return [
            max(cell_len(column.header), *(row[number].cell_len for row in self.rows), 0)
            for number, column in enumerate(self.columns)
        ]

    def _wanted(self, number: int) -> int:
        return self._widest(number) if self.columns[number].is_last else self._least(number)

    def _least(self, number: int) -> int:
        least = self.columns[number].least
        return self._widest(number) if least is None else min(self._widest(number), least)


def _is_cut(cell: Text) -> bool:
    """Whether a text ends with an ellipsis where it has no room."""
    return bool(cell.no_wrap) and cell.overflow == "ellipsis"


def whole(text: str, style: str = "") -> Text:
    """Returns text that goes on in the next line where its line is too short."""
    return Text(text, style, no_wrap=False, overflow="fold")


def told(text: str, style: str = "", indent: int = 2) -> Any:
    """Returns a line that goes on in the next one, as far to the right, where it is too short."""
    return Padding(whole(text, style), (0, 0, 0, indent))


def clipped(text: str, most: int = _MOST_TEXT) -> str:
    """Returns text of others, cut where it would fill the terminal.

    >>> clipped("abcdef", 4), clipped("abc", 4)
    ('abc…', 'abc')
    """
    return text if len(text) <= most else text[: most - 1] + "…"

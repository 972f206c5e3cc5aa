"""What gives way where a terminal is narrow: columns, never a part of an id, a name or a sentence."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from beam_obs.records.number_text import counted

MOST_TEXT = 400
"""Most characters of a text of others that are shown on a terminal."""

_MANY_ROWS = 100
_NOTHING = Text()
_LABEL = re.compile(r" *\S{1,12}(?: \S{1,8})? {2,}(?=\S)")
_LEAST_COLUMNS = 8
"""So wide stays a column that may be narrowed, even where there is no room."""
_USUAL_COLUMNS = 12
"""So wide is a column that may be narrowed, where there is room."""


@dataclasses.dataclass(frozen=True)
class FittingColumn:
    """A column of a table.

    Args:
      header: its head.
      justify: where its cells are put.
      least: the width to which it may be narrowed; None for one that is never narrowed.
      most: the width from which its cells go on in the next line, whatever room there is, where that parts no
        word of less than twice the width; None for none.
      is_last: whether it is narrowed only where all others that may give way have done so.
      name: by which it gives way; its head, where there is none.
      hangs: so far to the right a cell goes on in the next line, below what stands behind its mark.
    """

    header: str
    justify: Literal["left", "right"] = "right"
    least: int | None = None
    most: int | None = None
    is_last: bool = False
    name: str = ""
    hangs: int = 0


@dataclasses.dataclass(frozen=True)
class FittingTable:
    """A table that leaves out columns where it is wider than the terminal.

    One without heads whose columns have no room at all is printed as lines: each cell below the one before.

    Args:
      columns: all columns.
      rows: a cell for each column.
      gives_way: names of the columns that are left out, the first of them first.
      box: lines of the table; None for none.
      header_style: style of the heads.
    """

    columns: Sequence[FittingColumn]
    rows: Sequence[Sequence[Text]]
    gives_way: Sequence[str] = ()
    box: Box | None = None
    header_style: str = "bold"

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Table | Padding | Segment]:
        """Yields the table with the columns for which there is room."""
        if not all(_is_in(options.encoding, cell.plain) for row in self.rows for cell in row):
            rows = [[encodable(cell, options.encoding) for cell in row] for row in self.rows]
            yield from dataclasses.replace(self, rows=rows).__rich_console__(console, options)
            return
        shown = [number for number in range(len(self.columns)) if self._widest(number)]
        for name in self.gives_way:
            if self._too_wide(shown, [self._wanted(number) for number in shown], options) <= 0:
                break
            shown = [number for number in shown if self._name(number) != name]
        has_heads = any(column.header for column in self.columns)
        if not has_heads and self._too_wide(shown, map(self._least, shown), options) > 0:
            for row in self.rows:
                yield from _as_lines([row[number] for number in shown])
            return
        widths = {number: self._liked(number, _USUAL_COLUMNS) for number in shown}
        if self._too_wide(shown, widths.values(), options) > 0:
            widths = {number: self._liked(number) for number in shown}
        for number in sorted(shown, key=lambda number: (self.columns[number].is_last, -number)):
            over = self._too_wide(shown, widths.values(), options)
            widths[number] -= min(max(over, 0), widths[number] - self._least(number))
        box = self.box if self._too_wide(shown, widths.values(), options) <= 0 else None
        over = self._too_wide(shown, widths.values(), options, has_box=box is not None)
        for number in reversed(shown):
            if over > 0 and self.columns[number].least is not None:
                less = min(over, max(0, widths[number] - _LEAST_COLUMNS))
                widths[number], over = widths[number] - less, over - less
        table = Table(
            box=box,
            pad_edge=False,
            padding=(0, 1),
            header_style=self.header_style,
            show_header=has_heads,
        )
        for number in shown:
            column = self.columns[number]
            table.add_column(column.header, justify=column.justify, width=widths[number])
        between = "" if box is None else box.mid_left + box.mid_vertical + box.mid_right
        hangs = any(self.columns[number].hangs for number in shown)
        fits = self._too_wide(shown, widths.values(), options, has_box=box is not None) <= 0
        is_long = len(self.rows) > _MANY_ROWS and fits and not between.strip() and not hangs
        for row in self.rows[:1] if is_long else self.rows:
            table.add_row(*(self._cell(row[number], number, widths[number]) for number in shown))
        if is_long:
            yield from self._lines(console, options, table, box is not None, widths)
        else:
            yield table

    def _lines(
        self,
        console: Console,
        options: ConsoleOptions,
        first: Table,
        has_box: bool,
        widths: Mapping[int, int],
    ) -> Iterator[Segment]:
        """Gives the lines of a long table as `rich` does, which takes a millisecond for each row.

        Args:
          console: to print on.
          options: of it.
          first: the table with its first row only.
          has_box: whether it has lines, which are blank between cells.
          widths: of the columns that are shown, by number.
        """
        lines = console.render_lines(first, options, pad=False)
        behind = 1 if has_box else 0
        for line in lines[: len(lines) - behind]:
            yield from (*line, Segment.line())
        for row in self.rows[1:]:
            cells = [(_folded(row[number], width, console), number) for number, width in widths.items()]
            for at in range(max(len(texts) for texts, _ in cells)):
                parts = [(texts[at] if at < len(texts) else _NOTHING, number) for texts, number in cells]
                yield from self._line(console, parts, has_box, widths)
        for line in lines[len(lines) - behind :]:
            yield from (*line, Segment.line())

    def _line(
        self, console: Console, cells: Iterable[tuple[Text, int]], has_box: bool, widths: Mapping[int, int]
    ) -> Iterator[Segment]:
        edge, between = (" ", "   ") if has_box else ("", "  ")
        shows_styles = console.color_system is not None or console.record
        before = edge
        segments: list[Segment] = []
        for cell, number in cells:
            room = " " * (widths[number] - cell.cell_len)
            is_left = self.columns[number].justify == "left"
            segments.append(Segment(before if is_left else before + room))
            if not shows_styles:
                segments.append(Segment(cell.plain))
            elif cell.plain:
                style = console.get_style(cell.style) if cell.style else None
                segments += Segment.apply_style(cell.render(console, end=""), style)
            before = room + between if is_left else between
        segments.append(Segment(f"{before[: -len(between)]}{edge}\n"))
        if shows_styles:
            yield from segments
        else:  # in one: `rich` goes through them again and again
            yield Segment("".join(segment.text for segment in segments))

    def _cell(self, cell: Text, number: int, width: int) -> RenderableType:
        hangs = self.columns[number].hangs
        return cell if not hangs or cell.cell_len <= width else _hung(cell, hangs)

    def _too_wide(
        self, shown: Sequence[int], widths: Iterable[int], options: ConsoleOptions, has_box: bool = True
    ) -> int:
        lines = 0 if self.box is None or not has_box else len(shown) + 1
        return sum(widths) + 2 * (len(shown) - 1) + lines - options.max_width

    def _name(self, number: int) -> str:
        return self.columns[number].name or self.columns[number].header

    def _liked(self, number: int, usual: int = 0) -> int:
        column = self.columns[number]
        may_be_wider = column.header and column.least is not None
        width = max(self._widest(number), usual if may_be_wider else 0)
        return width if column.most is None else min(width, max(column.most, self._longest_word(number)))

    def _longest_word(self, number: int) -> int:
        """Returns how long a word is that is better not parted; words that are far longer are."""
        most = 2 * (self.columns[number].most or 0)
        words = (cell_len(word) for row in self.rows for word in row[number].plain.split())
        return max((length for length in words if length <= most), default=0)

    def _widest(self, number: int) -> int:
        return self._all_widest[number]

    @functools.cached_property
    def _all_widest(self) -> list[int]:
        return [
            max(
                cell_len(column.header),
                *(cell_len(line) for row in self.rows for line in row[number].plain.split("\n")),
                0,
            )
            for number, column in enumerate(self.columns)
        ]

    def _wanted(self, number: int) -> int:
        return self._widest(number) if self.columns[number].is_last else self._least(number)

    def _least(self, number: int) -> int:
        least = self.columns[number].least
        return self._widest(number) if least is None else min(self._widest(number), least)


def _folded(cell: Text, width: int, console: Console) -> Sequence[Text]:
    """Returns the lines of a cell."""
    if cell.cell_len <= width:
        return [cell]
    plain = cell.plain
    overflow = cell.overflow or "ellipsis"  # as cells of a table have it
    is_one_word = plain.isascii() and plain.isprintable() and " " not in plain and not cell.spans
    if is_one_word and overflow == "fold" and not cell.no_wrap:
        return [Text(plain[at : at + width], cell.style) for at in range(0, len(plain), width)]
    return list(cell.wrap(console, width, overflow=overflow))


@dataclasses.dataclass(frozen=True)
class Heading:
    """A title in a line across the terminal; one that is too long has the line below it.

    Args:
      title: the title.
      characters: of the line.
    """

    title: Text
    characters: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Rule | Text]:
        """Yields title and line."""
        if self.title.cell_len + 2 <= options.max_width:
            yield Rule(self.title, align="left", style="dim", characters=self.characters)
            return
        title = whole("").append_text(self.title)
        yield title
        yield Rule(style="dim", characters=self.characters)


def encodable(text: Text, encoding: str) -> Text:
    r"""Returns text in which what an encoding lacks is shown by its code, as it is printed: that is wider.

    >>> encodable(Text("größe"), "ascii").plain
    'gr\\xf6\\xdfe'
    """
    if _is_in(encoding, text.plain):
        return text
    found = text.blank_copy()
    for letter in text.divide(range(1, len(text.plain))):
        shown = Text(letter.plain.encode(encoding, "backslashreplace").decode(encoding), letter.style)
        for span in letter.spans:
            shown.stylize(span.style)
        found.append_text(shown)
    return found


def _is_in(encoding: str, text: str) -> bool:
    """Whether an encoding has all letters of a text."""
    if text.isascii() or encoding.startswith("utf"):
        return True
    try:
        text.encode(encoding)
        return True
    except UnicodeEncodeError:
        return False


def whole(text: str, style: str = "") -> Text:
    """Returns text that goes on in the next line where its line is too short."""
    return Text(text, style, no_wrap=False, overflow="fold")


def told(text: str, style: str = "", indent: int = 2) -> Any:
    """Returns a line that goes on in the next one, as far to the right, where it is too short."""
    return Padding(whole(text, style), (0, 0, 0, indent))


def hanging(text: Text) -> RenderableType:
    """Returns lines each of which goes on, where it is too long, below its first word, or behind its label.

    A label is a short word or two with two blanks or more behind it.
    """
    return Group(*map(_HangingLine, text.split("\n", allow_blank=True)))


def _hung(text: Text, hangs: int) -> Table:
    """Returns a text the begin of which has a column of its own."""
    grid = Table.grid()
    grid.add_column(width=hangs, no_wrap=True)
    grid.add_column()
    grid.add_row(text[:hangs], whole("").append_text(text[hangs:]))
    return grid


@dataclasses.dataclass(frozen=True)
class _HangingLine:
    line: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        plain = self.line.plain
        if cell_len(plain) <= options.max_width:
            yield whole("").append_text(self.line)
            return
        found = _LABEL.match(plain)
        indent = len(plain) - len(plain.lstrip(" "))
        if found is not None and found.end() <= options.max_width // 2:
            hangs, words = found.end(), plain[found.end() :].split()
            if any(options.max_width - hangs < cell_len(word) <= options.max_width - 2 for word in words):
                yield whole("").append_text(self.line[:hangs])
                yield Padding(whole("").append_text(self.line[hangs:]), (0, 0, 0, 2))
            else:
                yield _hung(self.line, hangs)
            return
        # Of a deep tree something is to be seen too.
        yield Padding(
            whole("").append_text(self.line[indent:]), (0, 0, 0, min(indent, options.max_width // 2))
        )


def clipped(text: str, most: int | None = MOST_TEXT) -> str:
    """Returns text of others, cut where it would fill a terminal; says how much of it is left out.

    Args:
      text: the text.
      most: most characters; None for all there are.

    >>> clipped("abcdef", 4), clipped("abc", 4), clipped("abcdef", None)
    ('abcd [and 2 more characters]', 'abc', 'abcdef')
    """
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]} [and {counted(len(text) - most, 'more character')}]"


def shortened(text: str, most: int | None = MOST_TEXT) -> str:
    """Returns the message of an error, without its middle where it would fill a terminal: the cause stands at
    the end as often as at the beginning.

    >>> shortened("no number: " + "9" * 40 + " in row 7.", 20), shortened("abc", 20)
    ('no number: [41 characters left out]  in row 7.', 'abc')
    """
    if most is None or len(text) <= most:
        return text
    kept = most // 2
    left_out = counted(len(text) - 2 * kept, "character")
    return f"{text[:kept]} [{left_out} left out] {text[-kept:]}"


def _as_lines(cells: Sequence[Text]) -> Iterator[Padding]:
    """Yields the lines of cells, each below the one before; beside a first cell of one line is the next."""
    lines = [line for cell in cells for line in cell.split("\n") if line.plain]
    if len(lines) > 1 and "\n" not in cells[0].plain and cells[0].plain:
        lines[:2] = [Text("  ").join(lines[:2])]
    for number, line in enumerate(lines):
        yield Padding(whole("").append_text(line), (0, 0, 0, 2 if number else 0))

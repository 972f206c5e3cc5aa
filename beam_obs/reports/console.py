"""Where text for people is printed: as wide as it may be, and with nothing that a terminal acts upon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.text import Text

from beam_obs.records.wording import clean_lines
from beam_obs.reports.columns import is_terminal, wanted_columns
from beam_obs.reports.fitting import encodable

PLAIN_COLUMNS = 100


class CleanConsole(Console):
    """A console that takes nothing for markup, and prints nothing that a terminal acts upon."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        if isinstance(renderable, Text):
            renderable = encodable(renderable, self.encoding)
        for segment in super().render(renderable, options):
            if segment.control or segment.text.replace("\n", "").isprintable():
                yield segment
            else:
                yield Segment(clean_lines(segment.text), segment.style)


def print_plainly(console: Console, what: RenderableType) -> None:
    """Prints without the blanks that tables put at the ends of lines."""
    console.file.write("".join(f"{line}\n" for line in _lines(console, what)))
    console.file.flush()


def print_below(console: Console, table: RenderableType) -> None:
    """Prints a table with one blank line above it and none below, whatever lines it has."""
    text = "\n".join(_lines(console, table)).strip("\n")
    console.file.write(f"\n{text}\n")
    console.file.flush()


def _lines(console: Console, what: RenderableType) -> list[str]:
    with console.capture() as captured:
        console.print(Group(what))  # a text on its own loses that it is to be folded
    return [line.rstrip(" ") for line in captured.get().split("\n")[:-1]]


def console_for(file: Any) -> Console:
    """Returns a console that is plain, and 100 columns wide, where `file` is not a terminal.

    The variable COLUMNS says another width, as it does for terminals.
    """
    terminal = is_terminal(file)
    return CleanConsole(
        file=file,
        width=None if terminal else wanted_columns() or PLAIN_COLUMNS,
        force_terminal=None if terminal else False,
        color_system="auto" if terminal else None,
        soft_wrap=False,
    )


def writes_unicode(console: Console) -> bool:
    return (console.encoding or "").lower().replace("-", "").startswith("utf")

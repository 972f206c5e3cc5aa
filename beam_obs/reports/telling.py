"""Lines for people: whole wherever they go, and no longer than the terminal where they go to one."""

from __future__ import annotations

import sys

import click

from beam_obs.reports.columns import is_terminal, wanted_columns


def tell(*lines: str) -> None:
    """Prints lines on standard output; on a terminal one that is too long goes on below where it begins.

    Where nobody reads them, and the variable COLUMNS does not ask for it, lines are not broken.
    """
    if not is_terminal(sys.stdout) and wanted_columns() is None:
        for line in lines:
            click.echo(line)
        return
    from rich.text import Text

    from beam_obs.reports.console import console_for, print_plainly
    from beam_obs.reports.fitting import hanging

    console = console_for(sys.stdout)
    for line in "\n".join(lines).split("\n"):
        # What the terminal does not have is shown by its code, which is wider.
        shown = line.encode(console.encoding, "backslashreplace").decode(console.encoding)
        print_plainly(console, hanging(Text.from_ansi(shown)))

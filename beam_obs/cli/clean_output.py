"""What commands print, without anything that a terminal would act upon: whatever it came from.

Texts of a store are cleaned where they are put together; this is the last gate, for all of them.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def harmless(text: str, keep_colours: bool = False) -> str:
    r"""Returns text whose lines have no control characters; they are written as JSON escapes them.

    A tab that begins a line, as click puts before the choices of an option, becomes blanks.

    Args:
      text: of any number of lines.
      keep_colours: whether what sets colours stays.

    >>> harmless("a\x1b[31m\x1b]0;b\x07\n"), harmless("\x1b[31ma\x7f", keep_colours=True)
    ('a\\u001b[31m\\u001b]0;b\\u0007\n', '\x1b[31ma\\u007f')
    >>> harmless("Choose from:\n\ta\tb")
    'Choose from:\n    a\\u0009b'
    """
    text = text.replace("\n\t", "\n    ")
    if text.replace("\n", "").isprintable():
        return text
    if keep_colours:
        return "".join(part if at % 2 else harmless(part) for at, part in enumerate(_COLOUR.split(text)))
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _CleanStream:
    """A text stream that writes nothing harmful to the one below; all else is that one's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(harmless(text, keep_colours=self._stream.isatty()))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def clean_output() -> Iterator[None]:
    """Lets nothing harmful through standard output and standard error."""
    with (
        contextlib.redirect_stdout(_CleanStream(sys.stdout)),
        contextlib.redirect_stderr(_CleanStream(sys.stderr)),
    ):
        yield

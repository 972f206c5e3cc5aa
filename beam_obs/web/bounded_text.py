"""Text of any length as a page shows it: its beginning, and how much is left out."""

from __future__ import annotations

from typing import NamedTuple

LINE = 600
"""Characters of what is one of many."""

MOST_OF_LINE = 2_000
"""Characters of a line of a source file."""

BLOCK = 16_000
"""Characters of what a page is about."""


class BoundedText(NamedTuple):
    """A text.

    Args:
      text: its beginning.
      left_out: characters that it has not.
    """

    text: str
    left_out: int


def bounded(text: str, most: int = LINE) -> BoundedText:
    """Returns a text with at most so many characters.

    >>> bounded("abcdef", 4)
    BoundedText(text='abcd', left_out=2)
    """
    return BoundedText(text[:most], max(0, len(text) - most))

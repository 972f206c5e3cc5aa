"""What a parser makes of a block of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from beam_obs.records.bad_input import BadInput


class BadLines(NamedTuple):
    """Lines that are refused together.

    Args:
      line: number of the first in the block, from 0.
      lines: how many.
      error: what is wrong.
      record: what they hold, with fields by name, where something is to be redacted in it.
    """

    line: int
    lines: int
    error: BadInput
    record: Any = None


class ParsedLines(NamedTuple):
    """What a parser made of a block.

    Args:
      records: rows of a CSV file, or lines of a text.
      line_numbers: for each, the number of its first line in the block; None where record i is line i.
      refused: bad lines.
      lines_left: lines at the end that are to be seen again with those that follow.
    """

    records: list[Any]
    line_numbers: Sequence[int] | None
    refused: list[BadLines]
    lines_left: int = 0


class MadeRecords(NamedTuple):
    """What was made of the rows that a parser found.

    Args:
      records: of the rows, in their order.
      refused: numbers of rows that are refused, and why.
      left_out: numbers of rows that hold nothing.
    """

    records: list[Any]
    refused: Sequence[tuple[int, BadInput]] = ()
    left_out: Sequence[int] = ()


class LineParser(Protocol):
    """Finds the rows in a block of whole lines."""

    def parse(self, data: bytes, final: bool) -> ParsedLines:
        """Returns the rows.

        Args:
          data: whole lines with their delimiters.
          final: whether nothing follows.
        """

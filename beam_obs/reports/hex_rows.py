"""Bytes as rows of offset, hexadecimal digits and ASCII."""

from __future__ import annotations

from typing import NamedTuple

_ROW_BYTES = 16


class HexRow(NamedTuple):
    """Some bytes.

    Args:
      offset: of the first, 8 hex digits.
      digits: two for each byte, in two groups.
      text: the bytes that are printable ASCII, a dot for each other.
    """

    offset: str
    digits: str
    text: str


def hex_rows(content: bytes, most: int = 1024) -> list[HexRow]:
    """Returns the first bytes of a content, 16 to a row.

    Args:
      content: the bytes.
      most: bytes that are shown at most.

    >>> hex_rows(b"a\\x00b")
    [HexRow(offset='00000000', digits='61 00 62', text='a.b')]
    """
    return [
        _row(offset, content[offset : offset + _ROW_BYTES])
        for offset in range(0, min(len(content), most), _ROW_BYTES)
    ]


def _row(offset: int, part: bytes) -> HexRow:
    halves = (part[:8].hex(" "), part[8:].hex(" "))
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return HexRow(f"{offset:08x}", "  ".join(half for half in halves if half), text)

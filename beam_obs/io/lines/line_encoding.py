"""How lines lie in a file's bytes, for one text encoding and line delimiter.

Where a line's end is one and the same byte sequence that no other character contains, a file can be
cut anywhere and read in blocks. UTF-16, UTF-32 and EBCDIC are read too, but not split.
"""

from __future__ import annotations

import codecs
import dataclasses

from beam_obs.records.errors import UsageError

_BYTE_ORDER_MARKS: dict[str, tuple[tuple[bytes, str], ...]] = {
    "utf-8": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    "utf-16-le": ((codecs.BOM_UTF16_LE, "utf-16-le"),),
    "utf-16-be": ((codecs.BOM_UTF16_BE, "utf-16-be"),),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    "utf-32-le": ((codecs.BOM_UTF32_LE, "utf-32-le"),),
    "utf-32-be": ((codecs.BOM_UTF32_BE, "utf-32-be"),),
}
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Those of UTF-32 before those of UTF-16 that they begin with."""
_FEWEST_BYTES = 8
"""Every other byte of so many is NUL where the encoding is told by that."""
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_STATEFUL = (
    "utf-7",
    "iso2022",
    "hz",
    "punycode",
    "idna",
    "unicode_escape",
    "raw_unicode_escape",
    "unicode-escape",
)


@dataclasses.dataclass(frozen=True)
class LineEncoding:
    """An encoding in which lines can be found.

    Args:
      codec: Python's name of the encoding, with its byte order.
      delimiter: bytes between lines.
      width: bytes of a code unit; delimiters start at multiples of it.
      splittable: whether a file in it can be read from the middle.
      strips_carriage_return: whether a carriage return before the delimiter belongs to the line's end.
    """

    codec: str
    delimiter: bytes
    width: int
    splittable: bool
    strips_carriage_return: bool

    def end_of_last_line(self, data: bytes) -> int:
        """Returns the length of the whole lines at the start of `data`, 0 for none."""
        end = len(data)
        while True:
            found = data.rfind(self.delimiter, 0, end)
            if found < 0:
                return 0
            if found % self.width == 0:
                return found + len(self.delimiter)
            end = found + len(self.delimiter) - 1

    def end_of_line(self, data: bytes, start: int = 0) -> int:
        """Returns the end of the line in which `start` lies, delimiter included, or 0 where it is cut off."""
        while True:
            found = data.find(self.delimiter, start)
            if found < 0:
                return 0
            if found % self.width == 0:
                return found + len(self.delimiter)
            start = found + 1

    def split(self, data: bytes) -> list[bytes]:
        """Returns the lines of `data` without delimiters; the last is what follows the last delimiter."""
        if self.width == 1:
            return data.split(self.delimiter)
        lines = []
        start = 0
        while True:
            end = self.end_of_line(data, start)
            if end == 0:
                lines.append(data[start:])
                return lines
            lines.append(data[start : end - len(self.delimiter)])
            start = end

    def without_line_end(self, line: bytes) -> bytes:
        """Returns a line without the carriage return that belongs to its end."""
        if self.strips_carriage_return:
            return line.removesuffix("\r".encode(self.codec))
        return line


def line_encoding(
    encoding: str, head: bytes = b"", delimiter: bytes | None = None
) -> tuple[LineEncoding, int]:
    """Returns how the lines of a file lie, and how many bytes its byte order mark takes.

    Args:
      encoding: name of the encoding, any that Python has.
      head: the first bytes of the file.
      delimiter: bytes between lines; newline, with or without a carriage return before it, where None.

    Raises:
      UsageError: the encoding is unknown, or lines cannot be told apart in it.

    >>> line_encoding("utf-16", b"\\xfe\\xff\\x00a")[0].codec
    'utf-16-be'
    >>> line_encoding("latin-1")[0].splittable
    True
    """
    try:
        name = codecs.lookup(encoding).name
        if not getattr(codecs.lookup(encoding), "_is_text_encoding", True):
            raise LookupError
    except (LookupError, TypeError, ValueError):
        raise UsageError(
            f"encoding={encoding!r} is not a text encoding of Python's: give one as 'utf-8' or 'latin-1'"
        ) from None
    if name == "utf-8-sig":
        name = "utf-8"
    if name.startswith(_STATEFUL):
        raise UsageError(
            f"encoding={encoding!r} cannot be read line by line: characters depend on what stands before them"
        )
    mark = 0
    for bytes_of_mark, marked in _BYTE_ORDER_MARKS.get(name, ()):
        if head.startswith(bytes_of_mark):
            name, mark = marked, len(bytes_of_mark)
            break
    name = _WITHOUT_MARK.get(name, name)
    newline = "\n".encode(name)
    width = len(newline)
    if delimiter is not None:
        width = 1 if newline == b"\n" else width
        if width > 1:
            raise UsageError(f"delimiter= is not supported with encoding={encoding!r}")
    return (
        LineEncoding(
            codec=name,
            delimiter=newline if delimiter is None else delimiter,
            width=width,
            splittable=newline == b"\n",
            strips_carriage_return=delimiter is None,
        ),
        mark,
    )


def other_encoding(codec: str, head: bytes) -> str | None:
    """Returns the encoding that the first bytes of a file are of, where it is not the one it is read in.

    Args:
      codec: Python's name of the encoding that the file is read in.
      head: its first bytes.

    >>> other_encoding("utf-8", "a,b".encode("utf-16"))
    'utf-16'
    """
    if codec.startswith(("utf-16", "utf-32")):
        return None
    if codec in ("utf-8", "ascii") or b"\0" in head:
        for mark, name in _OTHER_MARKS:
            if head.startswith(mark):
                return name
    whole = head[: len(head) // 2 * 2]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(whole) >= _FEWEST_BYTES and not any(whole[first::2]) and all(whole[1 - first :: 2]):
            return name
    return None

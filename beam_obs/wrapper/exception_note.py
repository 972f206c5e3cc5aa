"""Notes on exceptions: which step, which element.

A note is a line of the exception's traceback, between Beam's code and the user's, as if it were the name
of a file. The exception itself stays as the user raised it, with its type, arguments, message and own notes:
where Beam cannot rebuild an exception, it makes another of the last line of its text. A traceback is what
every engine gives of a failure, if only as text, so that a note is found again on all of them.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, TracebackType
from typing import Any, NamedTuple, NoReturn

from beam_obs.records.contributors import ORIGIN_BYTES
from beam_obs.records.known_partitions import ReadOf, read_of
from beam_obs.records.origin import holds_position

NOTE = "beam_obs: "
"""What every note begins with."""

_IN_TEXT = re.compile(rf'^\s*File "<({NOTE}.*)>", line 1, in \w+$', re.MULTILINE)
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_OF_ELEMENT = re.compile(
    rf"{NOTE}in step (?P<step>{_QUOTED}), element of origin (?P<origin>[0-9a-f]{{32}})"
    r"(?: \(position (?P<position>\d+)\))?"
    rf"(?:, read by (?P<source>{_QUOTED}) in (?P<positions>{_QUOTED}) from (?P<uri>{_QUOTED})"
    rf" of version (?P<version>{_QUOTED}))?"
)
_LINKS_LIMIT = 50


class Noted(NamedTuple):
    """What a note says of the element that an exception was raised for.

    Args:
      step: label of the step.
      origin: of the element.
      position: its place in its source; None where the origin does not hold it whole.
      read: the read that it came from; None where another process read it.
    """

    step: str
    origin: bytes
    position: int | None = None
    read: ReadOf | None = None

    @property
    def text(self) -> str:
        """What is shown behind the exception's message, where no more is known."""
        where = f" (position {self.position})" if self.position is not None else ""
        of_file = f" of {self.read.uri}" if self.read is not None else ""
        return f"{NOTE}in step {self.step!r}, element of origin {self.origin.hex()}{where}{of_file}"


def note_text(label: str, provenance: bytes) -> str:
    """Returns the note for an element of this provenance, with all that this process knows of it.

    >>> note_text("parse", bytes.fromhex("4b318c6100000004001d3ce7345034f1"))
    "beam_obs: in step 'parse', element of origin 4b318c6100000004001d3ce7345034f1 (position 1024)"
    """
    if len(provenance) != ORIGIN_BYTES:
        return f"{NOTE}in step {label!r}, element of no known origin"
    where = f" (position {int.from_bytes(provenance[4:9], 'big')})" if holds_position(provenance) else ""
    read = read_of(provenance)
    told = "" if read is None else f", read by {read.source!r} in {read.positions!r} from {read.uri!r}"
    version = "" if read is None else f" of version {read.version!r}"
    return f"{NOTE}in step {label!r}, element of origin {provenance.hex()}{where}{told}{version}"


def parse_note(note: str) -> Noted | None:
    """Returns what `note_text` said of an element; None of any other note.

    >>> parse_note(note_text("parse", bytes.fromhex("4b318c6100000004001d3ce7345034f1"))).position
    1024
    """
    found = _OF_ELEMENT.fullmatch(note)
    if found is None:
        return None
    position = int(found["position"]) if found["position"] else None
    texts = [found[name] for name in ("uri", "version", "source", "positions")]
    try:
        read = ReadOf(*map(_unquoted, texts)) if found["uri"] else None
        return Noted(_unquoted(found["step"]), bytes.fromhex(found["origin"]), position, read)
    except (ValueError, SyntaxError):  # cut, or changed on its way
        return None


def _unquoted(text: str) -> str:
    return str(ast.literal_eval(text))


def noting(label: str) -> Callable[[BaseException, bytes], None]:
    """Returns a function that notes step and origin on an exception, to be raised again by its name."""

    def note(error: BaseException, provenance: bytes) -> None:
        put_note(error, note_text(label, provenance))

    return note


def put_note(error: BaseException, note: str) -> None:
    """Notes something on an exception that is being handled, and that is to be raised again by its name.

    Up to Python 3.10 a bare ``raise`` takes the traceback that there was before.

    Args:
      error: the exception.
      note: one line, which begins with `NOTE`.
    """
    # An exception may refuse attributes; the user must see it all the same.
    with contextlib.suppress(Exception):
        at, trace = _traceback_at(f"<{note}>"), error.__traceback__
        # The frame that handles it is added once more when it raises it.
        within = trace.tb_next if trace is not None else None
        error.__traceback__ = TracebackType(within, at.tb_frame, at.tb_lasti, at.tb_lineno)


def note_of(error: BaseException) -> str | None:
    """Returns the note on an exception, or on one that it was raised in place of; None where there is none.

    Where an exception comes from another process, its text is all there is.

    >>> try:
    ...     {}["a"]
    ... except KeyError as error:
    ...     put_note(error, note_text("parse", b""))
    ...     note_of(error)
    "beam_obs: in step 'parse', element of no known origin"
    """
    for link in itertools.islice(_links(error), _LINKS_LIMIT):
        trace = link.__traceback__
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name.startswith(f"<{NOTE}"):
                return name[1:-1]
            trace = trace.tb_next
    in_text = _IN_TEXT.findall(_text(error))
    return in_text[-1] if in_text else None


def show_note(error: BaseException, note: str) -> None:
    """Shows a note behind an exception's message too, where Python has notes of exceptions (3.11)."""
    # An exception may refuse attributes; the user must see it all the same.
    with contextlib.suppress(Exception):
        notes = getattr(error, "__notes__", [])
        if note not in notes:
            error.__notes__ = [*notes, note]  # type: ignore[attr-defined,unused-ignore]


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a class of the user's may have no text
        return ""


class _Placed(Exception):
    """Raised to get a traceback."""


def _place() -> NoReturn:
    raise _Placed


def _traceback_at(name: str) -> TracebackType:
    """Returns a traceback of one frame, of a function in a file of this name."""
    names: dict[str, Any] = {"co_name": "step", "co_filename": name, "co_firstlineno": 0}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = "step"
    try:
        FunctionType(_place.__code__.replace(**names), globals())()
    except _Placed as placed:
        trace = placed.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    return trace.tb_next

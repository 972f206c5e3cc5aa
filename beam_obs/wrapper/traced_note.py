"""Notes on exceptions: which step, which element.

Beam raises another exception in place of the user's, with the user's as its context, and prints both.
From Python 3.11 on the note is printed with the exception that it is on; on 3.10 it is only kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from beam_obs.records.origin import holds_position
from beam_obs.wrapper.traced_contributors import ORIGIN_BYTES

_MARK = "beam_obs: "


def describe(label: str, trace: bytes) -> str:
    """Returns the note for an element of this trace.

    >>> describe("parse", bytes.fromhex("4b318c6100000004001d3ce7345034f1"))
    "beam_obs: in step 'parse', element of origin 4b318c6100000004001d3ce7345034f1 (position 1024)"
    """
    if len(trace) != ORIGIN_BYTES:
        return f"{_MARK}in step {label!r}, element of no known origin"
    where = f" (position {int.from_bytes(trace[4:9], 'big')})" if holds_position(trace) else ""
    return f"{_MARK}in step {label!r}, element of origin {trace.hex()}{where}"


def noting(label: str) -> Callable[[BaseException, bytes], None]:
    """Returns a function that notes step and origin on an exception, once."""

    def note(error: BaseException, trace: bytes) -> None:
        # An exception may refuse attributes; the user must see it all the same.
        with contextlib.suppress(Exception):
            notes = getattr(error, "__notes__", ())
            if any(one.startswith(_MARK) for one in notes):
                return
            text = describe(label, trace)
            if hasattr(error, "add_note"):
                error.add_note(text)
            else:
                error.__notes__ = [*notes, text]  # type: ignore[attr-defined]

    return note

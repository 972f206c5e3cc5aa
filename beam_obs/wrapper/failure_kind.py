"""What makes failures one kind, beside type and stage: the function that failed, and the message's shape.

No line numbers, so that an edit of a function keeps its kinds. What the code says itself is told from the
values it was given: in a message that was raised by the user's code only the texts of that code stay,
and in any other the quoted names that the code has too, such as the field in ``KeyError: 'age'``.
"""

from __future__ import annotations

import dis
import functools
import re
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import NamedTuple

from beam_obs.records.message_shape import VALUE, message_shape

_RAISE = bytes([dis.opmap["RAISE_VARARGS"]])
_ENDS_OF_STATEMENTS = ("STORE_", "POP_TOP", "RETURN_", "RAISE_", "RERAISE")
_FIELD = re.compile(r"%[-#0 +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]|\{[^{}\s]*\}")
_MOST_TEXTS = 100
_LOOKED_AT = 1000


class Words(NamedTuple):
    """What a user's function says itself.

    Args:
      function: its name, where it is one that the step's own function calls; else empty.
      known: its names and constants.
      texts: parts of the messages that it makes, the longest first; none where other code has raised.
    """

    function: str = ""
    known: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()


def words_of(frames: list[tuple[FrameType, int]], error_type: type) -> Words:
    """Returns what the innermost of the user's functions says itself.

    Args:
      frames: the frames of the user's code, outermost first, each with its last instruction.
      error_type: class of the exception.
    """
    if not frames:
        return Words()
    names = [name for frame, _ in frames if (name := frame.f_code.co_name)[:1] != "<"]
    function = names[-1] if names and names[-1] != names[0] else ""
    frame, last = frames[-1]
    code = frame.f_code
    known = frozenset((*code.co_names, *_strings(code.co_consts)))
    # Compiled extensions have frames without instructions.
    if code.co_code[last : last + 1] != _RAISE:
        return Words(function, known)
    return Words(function, known, _texts_of(frame, last, error_type))


def shape_of(message: str, words: Words) -> str:
    """Returns the shape of a message that a function with these words has failed with."""
    found = _texts_in(message[:_LOOKED_AT], words.texts) if words.texts else ""
    return found or message_shape(message, words.known)


@functools.lru_cache(maxsize=1024)
def _texts_in(message: str, texts: tuple[str, ...]) -> str:
    """Returns what a message has of the texts that it may be made of; of texts that overlap the first."""
    found: list[tuple[int, int]] = []
    for text in texts:
        at = message.find(text)
        end = at + len(text)
        if at >= 0 and not any(at < other_end and other < end for other, other_end in found):
            found.append((at, end))
    return f" {VALUE} ".join(message[at:end].strip() for at, end in sorted(found))


def _texts_of(frame: FrameType, last: int, error_type: type) -> tuple[str, ...]:
    """Returns what the message of an error that a function raises may be made of.

    That is what the statement that raises names, and the error's class; else what the function names.
    """
    of_class = [
        text
        for parent in error_type.__mro__
        for name in ("__init__", "__str__")
        for text in _strings(getattr(getattr(vars(parent).get(name), "__code__", None), "co_consts", ()))
    ]
    found = _parts_of((*of_class, *_strings(_named_before(frame, last))))
    if found:
        return found
    code = frame.f_code
    return _parts_of((*_strings(code.co_consts), *_strings(map(frame.f_globals.get, code.co_names))))


def _named_before(frame: FrameType, last: int) -> list[object]:
    """Returns the constants, and the values of the names, that a statement up to an instruction has."""
    values: list[object] = []
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.offset >= last:
            break
        if instruction.opname.startswith(_ENDS_OF_STATEMENTS) or "JUMP" in instruction.opname:
            values.clear()
        elif instruction.opname == "LOAD_CONST":
            values.append(instruction.argval)
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            values.append(frame.f_globals.get(instruction.argval))
    return values


def _strings(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from _strings(value)


def _parts_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns what messages may have of these texts; a name or key alone, which may be a value's, is none."""
    parts = {
        part
        for text in texts
        for part in (text, *_FIELD.split(text))
        if any(map(str.isalpha, part)) and not part.isidentifier()
    }
    return tuple(sorted(parts, key=lambda part: (-len(part), part))[:_MOST_TEXTS])

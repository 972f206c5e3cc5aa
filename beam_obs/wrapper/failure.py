"""What an exception says of a failure: its type, message, the user's part of the traceback, a fingerprint.

Ten thousand refusals of one kind differ in their message only, so what is made of the stack is kept
for each distinct stack: a dead letter must not cost fifty microseconds.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any, NamedTuple

import beam_obs
from beam_obs.records.public_names import public_type
from beam_obs.wrapper.current_origin import OBSERVED_FRAME, WOVEN_FRAME
from beam_obs.wrapper.exception_note import NOTE
from beam_obs.wrapper.failure_kind import Words, shape_of, words_of

FAILURE = "beam_obs_failure"
"""Attribute of an exception that says what it is, where it was raised in another process."""

MESSAGE_LIMIT = 16_384
"""Longest error message kept, in characters."""

_OUR_FOLDER = os.path.dirname(os.path.abspath(beam_obs.__file__)) + os.sep
_OURS = (_OUR_FOLDER, OBSERVED_FRAME, WOVEN_FRAME, f"<{NOTE}")
_BEAM_RUNNERS = os.sep + os.path.join("apache_beam", "runners") + os.sep
_LIBRARY_FOLDERS = tuple(
    {
        os.path.normpath(sysconfig.get_paths()[name]) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    | {os.path.normpath(folder) + os.sep for folder in sys.path if folder.endswith("site-packages")}
)
_CACHE_LIMIT = 1024
_CAUSES_LIMIT = 50
_FRAMES_LIMIT = 100


class Failure(NamedTuple):
    """An exception in words.

    Args:
      error_type: full name of its class; built-in ones without module.
      message: its text.
      traceback: the frames below our own and Beam's, and the exceptions it came from.
      fingerprint: 16 hex digits of type, stage, failing function and the message's shape.
    """

    error_type: str
    message: str
    traceback: str
    fingerprint: str


class FailureParts(NamedTuple):
    """An exception of which all is known that its `Failure` is made of, and which is pickled as that.

    To put it in words takes less where many are done one after the other: code that runs again at once is
    faster (`benchmarks/dead.py`).

    Args:
      error_type: full name of its class.
      message: its text.
      stage: label of the stage.
      frames: the traceback, but for its last line.
      words: what the function that failed says itself.
    """

    error_type: str
    message: str
    stage: str
    frames: str
    words: Words

    def __reduce__(self) -> Any:
        """Crosses an edge in words, which are shorter than all names of a function."""
        return Failure, tuple(in_words(self))


class _Stack(NamedTuple):
    text: str
    words: Words
    codes: tuple[CodeType, ...]


_stacks: dict[tuple[type, tuple[int, ...]], _Stack] = {}
_fingerprints: dict[tuple[str, str, str, str], str] = {}


def failure_of(error: BaseException, stage: str) -> Failure:
    """Returns what `error` says, raised by the user's code in `stage`.

    >>> try:
    ...     int("x")
    ... except ValueError as error:
    ...     failure = failure_of(error, "parse")
    >>> failure.error_type, failure.message
    ('ValueError', "invalid literal for int() with base 10: 'x'")
    """
    return in_words(failure_parts_of(error, stage))


def failure_parts_of(error: BaseException, stage: str) -> Failure | FailureParts:
    """Returns what `failure_of` gives, or what that can be made of later, where `error` itself is gone."""
    told = getattr(error, FAILURE, None)
    if isinstance(told, Failure):
        return told
    error_type = type_name(error)
    message = _message(error)
    stack = _stack(error)
    parts = getattr(error, "fingerprint_parts", None)
    cause = _cause(error)
    is_alone = cause is None and not hasattr(error, "__notes__") and not hasattr(error, "exceptions")
    if is_alone and not isinstance(parts, tuple):
        return FailureParts(error_type, message, stage, stack.text, stack.words)
    text = f"{stack.text}{error_type}: {message}\n"
    if hasattr(error, "__notes__") or hasattr(error, "exceptions"):
        text += _notes_and_members(error)
    if cause is not None:
        text = _with_causes(text, cause, {id(error)})
    # An error may say itself what tells it from others of its type, e.g. which assumption was broken.
    if isinstance(parts, tuple):
        kind = fingerprint(error_type, stage, "; ".join(map(str, parts)))
    else:
        kind = fingerprint(error_type, stage, shape_of(message, stack.words), stack.words.function)
    return Failure(error_type, message, text, kind)


def in_words(failure: Failure | FailureParts) -> Failure:
    """Returns what an exception says, where it was put off too."""
    if isinstance(failure, Failure):
        return failure
    error_type, message, stage, frames, words = failure
    kind = fingerprint(error_type, stage, shape_of(message, words), words.function)
    return Failure(error_type, message, f"{frames}{error_type}: {message}\n", kind)


def type_name(error: BaseException) -> str:
    """Returns the full name of an exception's class, e.g. ``ValueError`` or ``app.errors.BadRow``."""
    return class_name(type(error))


def class_name(kind: type) -> str:
    """Returns the full name of an exception's class; built-in ones and the program's own without module."""
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return public_type(f"{kind.__module__}.{kind.__qualname__}")


def is_library(file: str) -> bool:
    """Returns whether a file of code is not the user's own: of Python, or of an installed package."""
    return file.startswith((*_LIBRARY_FOLDERS, "<frozen"))


def is_ours(file: str) -> bool:
    """Returns whether a file of code is of this library, or of Beam's runners."""
    return file.startswith(_OURS) or _BEAM_RUNNERS in file


def fingerprint(error_type: str, stage: str, shape: str, function: str = "") -> str:
    """Returns 16 hex digits that stand for one kind of failure.

    Args:
      error_type: full name of the exception's class.
      stage: label of the stage.
      shape: of the message, or what else tells kinds of this type apart without values.
      function: name of the user's function that failed, where it is not the step's own.
    """
    key = (error_type, stage, function, shape)
    found = _fingerprints.get(key)
    if found is None:
        found = hashlib.blake2b("\0".join(key).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
        if len(_fingerprints) < _CACHE_LIMIT:
            _fingerprints[key] = found
    return found


def _message(error: BaseException) -> str:
    try:
        message = str(error)
        if len(message) > MESSAGE_LIMIT:
            message = message[:MESSAGE_LIMIT] + "... [cut]"
        return message if message.isascii() else message.encode("utf-8", "backslashreplace").decode()
    except Exception as broken:
        return f"<no text: str() raised {type_name(broken)}>"


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _with_causes(text: str, cause: BaseException | None, seen: set[int]) -> str:
    """Returns `text` with the exceptions that led to it before it, the first one first."""
    while cause is not None and id(cause) not in seen:
        if len(seen) > _CAUSES_LIMIT:
            return f"[more exceptions before]\n\n{text}"
        seen.add(id(cause))
        text = f"{_stack(cause).text}{type_name(cause)}: {_message(cause)}\n\n{text}"
        cause = _cause(cause)
    return text


def _notes_and_members(error: BaseException) -> str:
    """Returns the notes that were added to an exception, and the exceptions of a group, a line each."""
    found = [(error, 0)]
    lines: list[str] = []
    while found and len(lines) < _CAUSES_LIMIT:
        one, depth = found.pop(0)
        if depth:
            lines.append(f"{'  ' * depth}{type_name(one)}: {_message(one)}")
        notes = getattr(one, "__notes__", None)
        lines += [
            f"{'  ' * depth}{_message(Exception(note))}" for note in notes or () if isinstance(notes, list)
        ]
        members = getattr(one, "exceptions", None)
        if isinstance(members, tuple):
            found[:0] = [(member, depth + 1) for member in members if isinstance(member, BaseException)]
    return "".join(f"{line}\n" for line in lines)


def _stack(error: BaseException) -> _Stack:
    trace = error.__traceback__
    places: list[int] = []
    place = places.append
    while trace is not None:
        place(id(trace.tb_frame.f_code))
        place(trace.tb_lasti)
        trace = trace.tb_next
    key = type(error), tuple(places)
    found = _stacks.get(key)
    if found is None:
        found = _describe_stack(error)
        if len(_stacks) < _CACHE_LIMIT:
            _stacks[key] = found
    return found


def _describe_stack(error: BaseException) -> _Stack:
    codes: list[CodeType] = []
    text: list[str] = []
    users: list[tuple[FrameType, int]] = []
    trace = error.__traceback__
    while trace is not None:
        code, line = trace.tb_frame.f_code, trace.tb_lineno
        codes.append(code)
        file = code.co_filename
        if not is_ours(file):
            name = getattr(code, "co_qualname", code.co_name)
            source = linecache.getline(file, line).strip()
            text.append(f'  File "{file}", line {line}, in {name}\n' + (f"    {source}\n" if source else ""))
            if not is_library(file):
                users.append((trace.tb_frame, trace.tb_lasti))
        trace = trace.tb_next
    if len(text) > _FRAMES_LIMIT:
        half = _FRAMES_LIMIT // 2
        text[half:-half] = [f"  [{len(text) - 2 * half} frames left out]\n"]
    head = "Traceback (most recent call last):\n" if text else ""
    whole = (head + "".join(text)).encode("utf-8", "backslashreplace").decode()
    return _Stack(whole, words_of(users, type(error)), tuple(codes))

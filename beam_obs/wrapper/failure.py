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
from types import CodeType, TracebackType
from typing import NamedTuple

MESSAGE_LIMIT = 16_384
"""Longest error message kept, in characters."""

_OUR_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_BEAM_RUNNERS = os.sep + os.path.join("apache_beam", "runners") + os.sep
_LIBRARY_FOLDERS = tuple(
    {
        os.path.normpath(sysconfig.get_paths()[name]) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    | {os.path.normpath(folder) + os.sep for folder in sys.path if folder.endswith("site-packages")}
)
_CACHE_LIMIT = 1024


class Failure(NamedTuple):
    """An exception in words.

    Args:
      error_type: full name of its class; built-in ones without module.
      message: its text.
      traceback: the frames below our own and Beam's, and the exceptions it came from.
      fingerprint: 16 hex digits of type, stage and innermost frame of the user's code.
    """

    error_type: str
    message: str
    traceback: str
    fingerprint: str


class _Stack(NamedTuple):
    text: str
    innermost: str
    codes: tuple[CodeType, ...]


_stacks: dict[tuple[int, ...], _Stack] = {}
_fingerprints: dict[tuple[str, str, str], str] = {}


def describe(error: BaseException, stage: str) -> Failure:
    """Returns what `error` says, raised by the user's code in `stage`.

    >>> try:
    ...     int("x")
    ... except ValueError as error:
    ...     failure = describe(error, "parse")
    >>> failure.error_type, failure.message
    ('ValueError', "invalid literal for int() with base 10: 'x'")
    """
    error_type = type_name(error)
    message = _message(error)
    stack = _stack(error.__traceback__)
    text = f"{stack.text}{error_type}: {message}\n"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen = {id(error)}
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        text = f"{_stack(cause.__traceback__).text}{type_name(cause)}: {_message(cause)}\n\n{text}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    # An error may say itself what tells it from others of its type, e.g. which assumption was broken.
    parts = getattr(error, "fingerprint_parts", None)
    place = "; ".join(map(str, parts)) if isinstance(parts, tuple) else stack.innermost
    return Failure(error_type, message, text, fingerprint(error_type, stage, place))


def type_name(error: BaseException) -> str:
    """Returns the full name of an exception's class, e.g. ``ValueError`` or ``app.errors.BadRow``."""
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def fingerprint(error_type: str, stage: str, frame: str) -> str:
    """Returns 16 hex digits that stand for one kind of failure.

    Args:
      error_type: full name of the exception's class.
      stage: label of the stage.
      frame: the innermost frame of the user's code: file name, function, and for the user's own code
        the line counted from the function's first; empty where there is none.
    """
    key = (error_type, stage, frame)
    found = _fingerprints.get(key)
    if found is None:
        found = hashlib.blake2b("\0".join(key).encode(), digest_size=8).hexdigest()
        if len(_fingerprints) < _CACHE_LIMIT:
            _fingerprints[key] = found
    return found


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception as broken:
        return f"<no text: str() raised {type_name(broken)}>"
    return message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "... [cut]"


def _stack(trace: TracebackType | None) -> _Stack:
    codes: list[CodeType] = []
    key: list[int] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        codes.append(code)
        key += (id(code), trace.tb_lineno)
        trace = trace.tb_next
    found = _stacks.get(tuple(key))
    if found is None:
        found = _describe_stack(codes, key[1::2])
        if len(_stacks) < _CACHE_LIMIT:
            _stacks[tuple(key)] = found
    return found


def _describe_stack(codes: list[CodeType], lines: list[int]) -> _Stack:
    text = []
    innermost = ""
    innermost_is_library = True
    for code, line in zip(codes, lines, strict=True):
        file = code.co_filename
        if file.startswith(_OUR_FOLDER) or _BEAM_RUNNERS in file:
            continue
        name = getattr(code, "co_qualname", code.co_name)
        text.append(f'  File "{file}", line {line}, in {name}\n')
        source = linecache.getline(file, line).strip()
        if source:
            text.append(f"    {source}\n")
        is_library = file.startswith(_LIBRARY_FOLDERS) or file.startswith("<frozen")
        if not is_library:
            innermost = f"{os.path.basename(file)}:{code.co_name}:{line - code.co_firstlineno}"
            innermost_is_library = False
        elif innermost_is_library:
            innermost = f"{os.path.basename(file)}:{code.co_name}"
    head = "Traceback (most recent call last):\n" if text else ""
    return _Stack(head + "".join(text), innermost, tuple(codes))

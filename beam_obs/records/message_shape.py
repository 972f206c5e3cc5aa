"""The shape of an error's message: its words without the values, the same for one kind of failure.

Values are quoted text, numbers, codes in capitals, hexadecimals, paths, addresses, and what containers
hold; punctuation is left out. The shape is made in one pass over the first thousand characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection

VALUE = "?"
"""Stands for values, as many as follow one another."""

_LOOKED_AT = 1000
_APART = r"""\s'"`()\[\]{}<>,;:=|!?"""
_TOKEN = re.compile(
    rf"""(?![bruBRU]['"]|\w+://|(?:None|True|False|null|true|false|nan|inf|NaN|[a-f]{{8,}})(?:[{_APART}.]|\Z))
         ((?:[a-z]+|[A-Z][A-Za-z]*[a-z][A-Za-z]*)(?:[-_][a-z]+|'[a-z]+)*)_?\.*(?=[{_APART}]|\Z)
       | ((?<!\w)[bruBRU]?(?:'(?:[^'\\]|\\.|'(?=\w))*(?:'|\Z)|"(?:[^"\\]|\\.|"(?=\w))*(?:"|\Z)|`[^`]*(?:`|\Z)
           |\[\]|\{{\}}|\(\))
       | \w+://[^\s'"]+ | [^{_APART}]+)""",
    re.DOTALL | re.VERBOSE | re.ASCII,
)
"""A word, or a value. A quote within a word is an apostrophe; one that is never closed goes on to the end."""
_VALUES = re.compile(r"\?(?: \?)+")


def message_shape(message: str, known: Collection[str] = ()) -> str:
    """Returns the shape of a message.

    Args:
      message: the message.
      known: texts that are no values though they look like some, e.g. names in the code that failed.

    >>> message_shape("invalid literal for int() with base 10: 'x'")
    'invalid literal for int with base ?'
    >>> message_shape("[Errno 2] No such file: '/tmp/a.csv'"), message_shape("'age'", {"age"})
    ('Errno ? No such file ?', 'age')
    >>> message_shape("row [1, 'a', None] of 0193-0af1 can't be read")
    "row ? of ? can't be read"
    """
    found = _TOKEN.findall(message[:_LOOKED_AT])
    if known:
        words = [word or _if_known(value, known) for word, value in found]
    else:
        words = [word or VALUE for word, _ in found]
    return _VALUES.sub(VALUE, " ".join(words))


def _if_known(value: str, known: Collection[str]) -> str:
    if value in known:
        return value
    quoted = value[value[:1] in "bruBRU" :][1:-1]
    return quoted if quoted in known else VALUE

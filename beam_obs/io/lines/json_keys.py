"""Keys that a JSON object has twice: found without a look at each pair of each line.

A JSON decoder keeps the last value of such a key and says nothing. To be told of all pairs costs it half as
much again; so pairs are counted first, by their colons, and only a line with too many is read once more.
"""

from __future__ import annotations

import json
from typing import Any

from beam_obs.records.bad_input import DuplicateKey, NotJson

_LONGEST_SHOWN = 80


def check_keys(line: str, value: dict[str, Any]) -> None:
    """Raises where an object, or one within it, has a key twice.

    Most lines need no call of this: one with as many colons as its value has keys is sound.

    Args:
      line: valid JSON.
      value: what it holds, as a decoder gives it.

    Raises:
      DuplicateKey: a key is there twice.
      NotJson: it is nested too deep to be read so.

    >>> check_keys('{"a": "1:2", "b": {"a": 3}}', {"a": "1:2", "b": {"a": 3}})
    >>> check_keys('{"a": 1, "a": 2}', {"a": 2})
    Traceback (most recent call last):
    ...
    beam_obs.records.bad_input.DuplicateKey: key 'a' is there more than once in an object
    """
    most = _most_pairs(line)
    try:
        if most == len(value) or most == _keys_of(value):
            return
    except RecursionError:
        pass
    try:
        _ALL_PAIRS.decode(line)
    except RecursionError:
        raise NotJson("its values are nested too deep to be read", "nested too deep") from None


def _most_pairs(line: str) -> int:
    """Returns a number of pairs that a line has not more of: a key's end, or space behind it, is before each
    of their colons."""
    most = line.count('":') + line.count(" :")
    # One character is looked for in a fifth of the time that two are.
    if "\t" in line:
        most += line.count("\t:")
    if "\r" in line:
        most += line.count("\r:")
    return most


def _keys_of(value: dict[str, Any]) -> int:
    """Returns the number of keys of a value at all depths."""
    keys = len(value)
    for item in value.values():
        if type(item) is dict:
            keys += _keys_of(item)
        elif type(item) is list:
            keys += _keys_in(item)
    return keys


def _keys_in(items: list[Any]) -> int:
    keys = 0
    for item in items:
        if type(item) is dict:
            keys += _keys_of(item)
        elif type(item) is list:
            keys += _keys_in(item)
    return keys


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(
                    f"key {key[:_LONGEST_SHOWN]!r} is there more than once in an object", "duplicate key"
                )
            seen.add(key)
    return made


_ALL_PAIRS = json.JSONDecoder(object_pairs_hook=_unique)

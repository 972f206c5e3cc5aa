"""What an answer in JSON has to say: values at paths, JSONPath as RFC 9535 has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from beam_obs.records.errors import MissingExtra, UsageError
from beam_obs.records.wording import clean

if TYPE_CHECKING:
    from jsonpath_rfc9535 import JSONPathQuery

_SHOWN = 200


class Expectation:
    """One expectation.

    Args:
      text: ``JSONPATH=VALUE``, or ``JSONPATH`` alone where something has to be there. The value is JSON, or
        else text as it stands.

    Raises:
      UsageError: there is no such path.
      MissingExtra: the ``watching`` extra is not installed.

    >>> Expectation("$.state=ok").problem({"state": "ok"})
    ''
    >>> Expectation("$.state=ok").problem({"state": "down"})
    '$.state is "down", expected "ok"'
    >>> Expectation("$.jobs[?@.age > 3600].name=none").problem({"jobs": []})
    'nothing is at $.jobs[?@.age > 3600].name, expected "none"'
    """

    def __init__(self, text: str) -> None:
        self.path, self._query, value = _parsed(text)
        self._has_value = value is not None
        self._value = _value(value) if value is not None else None

    def problem(self, answer: Any) -> str:
        """Returns what is wrong with an answer; empty where it is as expected.

        Args:
          answer: JSON, as Python has it.
        """
        from jsonpath_rfc9535 import JSONPathError

        wanted = f", expected {_shown(self._value)}" if self._has_value else ""
        try:
            found = [(node.path(), node.value) for node in self._query.find(answer)]
        except (JSONPathError, RecursionError) as error:
            return f"{self.path} cannot be looked for: {clean(error)}"
        if not found:
            return f"nothing is at {self.path}{wanted}"
        if not self._has_value:
            return ""
        other = next((one for one in found if not _is_same(one[1], self._value)), None)
        if other is None:
            return ""
        place = self.path if len(found) == 1 else f"{other[0]}, of {self.path},"
        return f"{place} is {_shown(other[1])}{wanted}"


def _parsed(text: str) -> tuple[str, JSONPathQuery, str | None]:
    """Returns path and value, which the first sign of equality behind a whole path parts."""
    try:
        import jsonpath_rfc9535 as jsonpath
    except ImportError:
        raise MissingExtra("a probe", "watching") from None
    first: Exception | None = None
    for at in [*(at for at, sign in enumerate(text) if sign == "="), len(text)]:
        path = text[:at].strip()
        try:
            query = jsonpath.compile(path)
        except jsonpath.JSONPathError as error:
            first = first or error
        else:
            return path, query, text[at + 1 :].strip() if at < len(text) else None
    why = str(first).splitlines()[0] if first else "it is empty"
    raise UsageError(f"found {text!r}, expected JSONPATH=VALUE, e.g. '$.status=ok': {clean(why)}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    return bool(one == other)


def _shown(value: Any) -> str:
    text = clean(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

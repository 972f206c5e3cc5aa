"""What of a refused element may leave the worker.

Redaction happens where the element is refused, before its payload, its text, the error's message and the
traceback are made: nothing else ever sees the values. What was redacted can be read but not replayed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from beam_obs.records.errors import UsageError
from beam_obs.wrapper.failure import Failure

REDACTED = "[redacted]"
"""Stands where a value was."""

Redact = Sequence[str] | Callable[[Any], Any]
"""Names of fields, at any depth, or a function that gives an element's redacted form."""

WHOLE, MASKED, NONE = "whole", "redacted", "none"
PAYLOADS = (WHOLE, MASKED, NONE)
"""What is kept of elements: all but what `redact` names; their structure without values; nothing."""

_SHORTEST_IN_TEXT = 3


@dataclasses.dataclass(frozen=True)
class Redaction:
    """A rule for the elements of one step.

    Args:
      payload: one of `PAYLOADS`.
      fields: names of fields whose values are left out.
      function: gives an element's redacted form.
    """

    payload: str = WHOLE
    fields: frozenset[str] = frozenset()
    function: Callable[[Any], Any] | None = None

    def apply(self, element: Any) -> tuple[Any, list[str] | None]:
        """Returns the element as it may be kept, and the texts that must not appear beside it.

        An element in which no named field can be found is left out as a whole, and so is one on which
        the user's function fails; then no text made from it may appear, which None says.

        >>> Redaction(fields=frozenset({"name"})).apply({"name": "Ada", "age": 36})
        ({'name': '[redacted]', 'age': 36}, ['Ada'])
        """
        if self.payload == NONE:
            return None, None
        if self.payload == MASKED:
            return _masked(element), None
        kept: Any = element
        hidden: list[str] = []
        if self.fields:
            kept, hidden, found = _without(element, self.fields)
            if not found:
                return REDACTED, None
        if self.function is not None:
            try:
                redacted = self.function(kept)
            except Exception:
                return REDACTED, None
            left = set(_texts_of(redacted))
            hidden += [text for text in _texts_of(kept) if text not in left]
            kept = redacted
        return kept, hidden


def redaction_of(
    redact: Redact | Redaction | None, payload: str = WHOLE, outer: Redaction | None = None
) -> Redaction | None:
    """Returns the rule of a step, within that of its pipeline; None where elements are kept whole.

    Args:
      redact: what the step says, or a rule made of it before.
      payload: one of `PAYLOADS`.
      outer: the rule of the pipeline.

    Raises:
      UsageError: `redact` is neither names nor a function, or `payload` is none of those.
    """
    if payload not in PAYLOADS:
        raise UsageError(f"payload={payload!r}: one of {', '.join(PAYLOADS)} is expected")
    fields, function = frozenset[str](), None
    if isinstance(redact, Redaction):
        payload = max(payload, redact.payload, key=PAYLOADS.index)
        fields, function = redact.fields, redact.function
    elif callable(redact):
        function = redact
    elif redact is not None and not _are_names(redact):
        raise UsageError(f"redact={redact!r}: give a list of field names, e.g. ['email'], or a function")
    elif redact is not None:
        fields = frozenset(redact)
    if outer is not None:
        stricter = max(payload, outer.payload, key=PAYLOADS.index)
        return Redaction(stricter, fields | outer.fields, _both(outer.function, function))
    if payload == WHOLE and not fields and function is None:
        return None
    return Redaction(payload, fields, function)


def _are_names(given: Any) -> bool:
    return (
        not isinstance(given, str)
        and isinstance(given, Collection)
        and all(isinstance(name, str) for name in given)
    )


def scrub(failure: Failure, hidden: Sequence[str] | None) -> Failure:
    """Returns a failure whose message and traceback are without the values that are to be hidden.

    Args:
      failure: a failure in words.
      hidden: the texts to leave out; with None the message as a whole, and of the traceback all but
        the places.

    >>> scrub(Failure("KeyError", "no such user: Ada", "", ""), ["Ada"]).message
    'no such user: [redacted]'
    """
    if hidden is None:
        places = [line for line in failure.traceback.splitlines(keepends=True) if line.startswith('  File "')]
        return failure._replace(message=REDACTED, traceback="".join(places))
    message, trace = _scrubbed(failure.message, hidden), _scrubbed(failure.traceback, hidden)
    return failure._replace(message=message, traceback=trace)


def _scrubbed(text: str, hidden: Sequence[str]) -> str:
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SHORTEST_IN_TEXT:
            text = text.replace(value, REDACTED)
    return text


def _both(
    first: Callable[[Any], Any] | None, second: Callable[[Any], Any] | None
) -> Callable[[Any], Any] | None:
    if first is None or second is None:
        return first or second
    return _Both(first, second)


@dataclasses.dataclass(frozen=True)
class _Both:
    first: Callable[[Any], Any]
    second: Callable[[Any], Any]

    def __call__(self, element: Any) -> Any:
        return self.second(self.first(element))


def _fields_of(value: Any) -> list[tuple[Any, Any]] | None:
    """The named parts of a value; None where it has none."""
    if isinstance(value, dict):
        return list(value.items())
    names = getattr(value, "_fields", None) if isinstance(value, tuple) else None
    if names is not None:
        return list(zip(names, value, strict=False))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    if type(value).__module__ == "apache_beam.pvalue" and hasattr(value, "as_dict"):
        return list(value.as_dict().items())
    return None


def _without(value: Any, names: frozenset[str]) -> tuple[Any, list[str], bool]:
    """A value without the named fields, their texts, and whether any was found. Records become dicts."""
    fields = _fields_of(value)
    hidden: list[str] = []
    found = False
    if fields is not None:
        kept: dict[Any, Any] = {}
        for name, part in fields:
            if name in names:
                kept[name], found = REDACTED, True
                hidden += _texts_of(part)
            else:
                kept[name], inner, inner_found = _without(part, names)
                hidden += inner
                found = found or inner_found
        return kept, hidden, found
    if isinstance(value, (list, tuple)):
        parts = [_without(part, names) for part in value]
        hidden = [text for _, inner, _ in parts for text in inner]
        return type(value)(part for part, _, _ in parts), hidden, any(found for _, _, found in parts)
    return value, hidden, found


def _masked(value: Any) -> Any:
    fields = _fields_of(value)
    if fields is not None:
        return {name: _masked(part) for name, part in fields}
    if isinstance(value, (list, tuple)):
        return [_masked(part) for part in value]
    return REDACTED


def _texts_of(value: Any) -> list[str]:
    """The texts in which the values inside `value` may appear in a message."""
    fields = _fields_of(value)
    if fields is not None:
        return [text for _, part in fields for text in _texts_of(part)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for part in value for text in _texts_of(part)]
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace"), repr(value)]
    try:
        text, shown = str(value), repr(value)
    except Exception:
        return []
    return [text] if shown in (text, f"'{text}'") else [text, shown]

"""What of a refused element may leave the worker.

Redaction happens where the element is refused, before its payload, its text, the error's message and the
traceback are made: nothing else ever sees the values. What was redacted can be read but not replayed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import Observation
from beam_obs.wrapper.failure import Failure
from beam_obs.wrapper.hidden_texts import REDACTED, HiddenTexts
from beam_obs.wrapper.redacted_element import masked, named_values, texts_of, without

Redact = Sequence[str] | Callable[[Any], Any]
"""Names of fields, at any depth, or a function that gives an element's redacted form."""

WHOLE, MASKED, NONE = "whole", "redacted", "none"
PAYLOADS = (WHOLE, MASKED, NONE)
"""What is kept of elements: all but what `redact` names; their structure without values; nothing."""

_MOST_HIDDEN = 1000
"""Where more values than this are to be hidden, all text is: looking for each would take too long."""


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

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return self.payload, self.fields, self.function

    def apply(self, element: Any) -> tuple[Any, HiddenTexts | None]:
        """Returns the element as it may be kept, and what must not appear beside it.

        An element in which no named field can be found is left out as a whole, and so is one that cannot be
        looked through or on which the user's function fails; then no text made from it may appear, which
        None says.

        >>> Redaction(fields=frozenset({"name"})).apply({"name": "Ada", "by": {"Ada": 36}})[0]
        {'name': '[redacted]', 'by': {'[redacted]': 36}}
        """
        if self.payload == NONE:
            return None, None
        try:
            return (masked(element), None) if self.payload == MASKED else self._without(element)
        except Exception:  # a class of the user's may raise anything when it is looked at
            return REDACTED, None

    def _without(self, element: Any) -> tuple[Any, HiddenTexts | None]:
        kept: Any = element
        texts: set[str] = set()
        if self.fields:
            values, found = named_values(element, self.fields)
            texts = {text for value in values for text in texts_of(value)}
            if not found or len(texts) > _MOST_HIDDEN:
                return REDACTED, None
            kept = without(element, self.fields, HiddenTexts(texts))
        if self.function is not None:
            redacted = self.function(kept)
            texts |= set(texts_of(kept)) - set(texts_of(redacted)) - {REDACTED}
            if len(texts) > _MOST_HIDDEN:
                return redacted, None
            kept = redacted
        return kept, HiddenTexts(texts)


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


def redaction_within(observation: Observation, redact: Redact | None = None) -> Redaction | None:
    """Returns the rule of a step, within those of its pipeline and of the Stages around it.

    Args:
      observation: of the pipeline.
      redact: what the step says.
    """
    settings = observation.settings
    rule = redaction_of(settings.redact, settings.payload)
    for one in (*observation.redacts, redact):
        rule = redaction_of(one, outer=rule)
    return rule


def _are_names(given: Any) -> bool:
    return (
        not isinstance(given, str)
        and isinstance(given, Collection)
        and all(isinstance(name, str) for name in given)
    )


def scrub(failure: Failure, hidden: HiddenTexts | None) -> Failure:
    """Returns a failure whose message and traceback are without the values that are to be hidden.

    Args:
      failure: a failure in words.
      hidden: what to leave out; with None the message as a whole, and of the traceback all but the places.

    >>> scrub(Failure("KeyError", "no such user: Ada", "", ""), HiddenTexts(["Ada"])).message
    'no such user: [redacted]'
    """
    if hidden is None:
        places = [line for line in failure.traceback.splitlines(keepends=True) if line.startswith('  File "')]
        return failure._replace(message=REDACTED, traceback="".join(places))
    return failure._replace(message=hidden.scrub(failure.message), traceback=hidden.scrub(failure.traceback))


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

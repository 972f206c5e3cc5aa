"""A refusal: what leaves the wrapper for a refused element, before it becomes a dead letter.

Everything in it is already bytes and text, so it can cross any edge of any runner; the step behind
adds what only Beam's parameters know: window, event time, pane.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from beam_obs.records.payload import encode_payload, payload_text
from beam_obs.wrapper.current_origin import current_origin, origin_in
from beam_obs.wrapper.failure import Failure, FailureParts, failure_parts_of, in_words
from beam_obs.wrapper.redaction import NONE, Redaction, scrub
from beam_obs.wrapper.retrying import attempts_of

if TYPE_CHECKING:
    from apache_beam.coders import Coder

DEAD_TAG = "beam_obs_dead_letters"
"""Tag of the output that carries refusals."""

EVIDENCE_TAG = "beam_obs_evidence"
"""Tag of the output that carries what a step itself has to tell of a bundle; none of the stage's outputs."""

NO_ELEMENT = object()
"""Stands for the element where a bundle's end or a timer fails: there is none."""

_KNOWN_ATTRIBUTES = "_lineage"


class Refusal(NamedTuple):
    """A refused element.

    Args:
      failure: type, message, traceback and fingerprint of the error; `in_words` gives them.
      payload: the element, encoded.
      payload_coder: what encoded it.
      payload_text: the element for people.
      failed_at: microseconds since the epoch.
      origin: 32 hex digits, where the element carries lineage attributes, or the weave knows it.
      source_uri: where it came from, as its attributes say.
      position: its place there, likewise.
      stage: the step that refused it, where that is another than the one that gives this refusal.
      redacted: whether anything was left out, so that the element cannot be replayed.
      letter: what tells its dead letter from others of the run, where a span has it already.
      traceparent: of that span.
      attempt: how often the element was tried.
    """

    failure: Failure | FailureParts
    payload: bytes
    payload_coder: str
    payload_text: str
    failed_at: int
    origin: str | None = None
    source_uri: str | None = None
    position: int | None = None
    stage: str | None = None
    redacted: bool = False
    letter: str | None = None
    traceparent: str | None = None
    attempt: int = 1


def refuse_element(
    element: Any,
    error: BaseException,
    stage: str,
    coder: Coder | None,
    coder_name: str,
    redaction: Redaction | None = None,
    provenance: bytes | None = None,
) -> Refusal:
    """Returns the refusal of `element` by `stage`.

    Args:
      element: the element, or `NO_ELEMENT`.
      error: what the user's code raised.
      stage: label of the stage.
      coder: coder of the stage's input, or None.
      coder_name: that coder's name.
      redaction: what of the element may be kept; None for all.
      provenance: of the element; None where it is to be looked for.
    """
    failure = failure_parts_of(error, stage)
    refusal = refuse_failure(element, failure, coder, coder_name, redaction, provenance=provenance)
    attempt = attempts_of(error)
    return refusal if attempt == 1 else refusal._replace(attempt=attempt)


def refuse_failure(
    element: Any,
    failure: Failure | FailureParts,
    coder: Coder | None,
    coder_name: str,
    redaction: Redaction | None = None,
    stage: str | None = None,
    provenance: bytes | None = None,
) -> Refusal:
    """Returns the refusal of `element` for a failure, in words or not; arguments as `refuse_element`'s."""
    failed_at = time.time_ns() // 1000
    if element is NO_ELEMENT:
        if redaction is not None:
            failure = scrub(in_words(failure), None)
        return Refusal(failure, b"", "none", "", failed_at, stage=stage, redacted=redaction is not None)
    attributes = lineage_of(element)
    origin: str | None = None
    source_uri: str | None = None
    position: int | None = None
    if attributes is not None:
        origin, source_uri = _text(attributes.get("origin")), _text(attributes.get("source_uri"))
        position = _position(attributes.get("position"))
    elif (known := current_origin() if provenance is None else origin_in(provenance)) is not None:
        origin = known.hex()
    if redaction is not None:
        element, hidden = redaction.apply(element)
        failure = scrub(in_words(failure), hidden)
    if redaction is not None and redaction.payload == NONE:
        payload, name, text = b"", "none", ""
    else:
        payload, name = encode_payload(element, coder, coder_name)
        text = payload_text(element)
    return Refusal(
        failure,
        payload,
        name,
        text,
        failed_at,
        origin,
        source_uri,
        position,
        stage,
        redaction is not None,
    )


def lineage_of(element: Any) -> dict[str, Any] | None:
    """Returns the lineage attributes that an element carries, or None.

    They are looked for in the element's ``_lineage`` key or attribute, and in the value of a pair.

    >>> lineage_of(("key", {"_lineage": {"position": 7}}))
    {'position': 7}
    """
    try:
        found = (
            element.get(_KNOWN_ATTRIBUTES)
            if type(element) is dict
            else getattr(element, _KNOWN_ATTRIBUTES, None)
        )
    except Exception:  # a class of the user's may raise anything for an attribute that it lacks
        return None
    if found is None and type(element) is tuple and len(element) == 2:
        return lineage_of(element[1]) if type(element[1]) is not tuple else None
    return found if isinstance(found, dict) else None


def _text(value: Any) -> str | None:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else None


def _position(value: Any) -> int | None:
    return value if type(value) is int and -(2**63) <= value < 2**63 else None

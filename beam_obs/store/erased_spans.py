"""A file of spans without those of one person's records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.records.span_rows import SpanEvent, SpanRow, file_of_spans, spans_of_file
from beam_obs.store.erased_rows import ERASED_TEXT
from beam_obs.store.person import Person

_ORIGIN = "beam.origin"
_DEAD_LETTER = "beam.dead_letter_id"


class SpansLeft(NamedTuple):
    """What is left of a file of spans.

    Args:
      content: of the file now.
      erased: spans that went, or lost a text or a link.
      unread: lines or spans that cannot be read, and went too.
    """

    content: bytes
    erased: int
    unread: int


def without_spans(content: bytes, person: Person) -> SpansLeft | None:
    """Returns a file of spans without the person's; None where it has nothing of the person.

    The spans of the person's records go, with those that user code made within them. Of others go the links
    to these, and texts that name the person.

    Args:
      content: of the file.
      person: whose.
    """
    origins = {origin.hex() for origin in person.origins}
    value = json.dumps(person.value, ensure_ascii=False)[1:-1]
    wanted = (*origins, *person.letters, *filter(None, (value,)))
    if not any(one.encode("utf-8", "backslashreplace") in content for one in wanted):
        return None
    spans, unread = spans_of_file(content)
    theirs = [span for span in spans if _is_of(span, origins, person)]
    traces = origins | {span.trace_id for span in theirs}
    kept, erased = [], 0
    for span in spans:
        if _is_of(span, origins, person) or (_ORIGIN not in span.attributes and span.trace_id in traces):
            erased += 1
            continue
        left = _without(span, origins, person)
        erased += left != span
        kept.append(left)
    return SpansLeft(file_of_spans(kept), erased, unread) if erased or unread else None


def _is_of(span: SpanRow, origins: set[str], person: Person) -> bool:
    told = span.attributes
    return told.get(_ORIGIN) in origins or told.get(_DEAD_LETTER) in person.letters


def _without(span: SpanRow, origins: set[str], person: Person) -> SpanRow:
    return span._replace(
        message=_cleared(span.message, person),
        attributes=_cleared_all(span.attributes, person),
        events=tuple(
            SpanEvent(one.name, one.time, _cleared_all(one.attributes, person)) for one in span.events
        ),
        links=tuple(
            one
            for one in span.links
            if one.trace_id not in origins and one.attributes.get(_ORIGIN) not in origins
        ),
    )


def _cleared_all(attributes: Mapping[str, Any], person: Person) -> dict[str, Any]:
    # What beam_obs itself tells has no values of records.
    return {
        name: told if name.startswith("beam.") else _cleared(told, person)
        for name, told in attributes.items()
    }


def _cleared(told: Any, person: Person) -> Any:
    return ERASED_TEXT if person.is_named(str(told)) else told

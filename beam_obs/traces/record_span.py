"""A span of ours. OpenTelemetry's own costs three times as much to make, and its SDK an import.

User code may get hold of it as the current span: it is used as any other, and bounded as any other.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from beam_obs.traces import attributes as names

if TYPE_CHECKING:
    from beam_obs.traces.own_provider import OwnProvider

SCOPE = "beam_obs"
"""Name of the instrumentation scope of all spans of ours."""
MOST_ATTRIBUTES, MOST_EVENTS, MOST_LINKS = 64, 32, 128
MOST_OF_EVENT = 8
LONGEST = 4_096
"""Characters of the text of an attribute."""

_UNSET = Status(StatusCode.UNSET)


def bounded_status(status: Status) -> Status:
    """Returns a status with as much of its text as an attribute may have."""
    told = status.description
    return status if told is None or len(told) <= LONGEST else Status(status.status_code, told[:LONGEST])


class Event(NamedTuple):
    """Something that happened during a span, as exporters of OpenTelemetry look at it."""

    name: str
    timestamp: int
    attributes: Mapping[str, Any]
    dropped_attributes: int = 0


class RecordSpan(Span):
    """A span that has begun.

    Args:
      maker: takes it when it ends.
      name: of the step, as a rule.
      context: its ids.
      parent: the span it is a child of; None for the first of its trace.
      attributes: what is told of it, few and short.
      links: to spans of other traces.
      start_time: nanoseconds since the epoch.
    """

    kind = SpanKind.INTERNAL
    dropped_links = 0
    # Of most spans these stay as they are.
    end_time: int | None = None
    events: Sequence[Event] = ()
    dropped_events = 0
    status = _UNSET

    def __init__(
        self,
        maker: OwnProvider,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        links: Sequence[Link],
        start_time: int,
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.attributes: MutableMapping[str, Any] = attributes
        self.links = links
        self.start_time = start_time
        self._maker = maker

    # What user code may call.

    def get_span_context(self) -> SpanContext:
        return self.context

    def is_recording(self) -> bool:
        return self.end_time is None

    def end(self, end_time: int | None = None) -> None:
        if self.end_time is None:
            self.end_time = time.time_ns() if end_time is None else end_time
            self._maker.sink.take(self)

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self.end_time is None:
            if not isinstance(self.attributes, BoundedAttributes):
                self.attributes = BoundedAttributes(MOST_ATTRIBUTES, self.attributes, False, LONGEST)
            for key, value in attributes.items():
                self._make_room_for(key)
                self.attributes[key] = value

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self.end_time is None:
            told = BoundedAttributes(MOST_OF_EVENT, attributes, max_value_len=LONGEST)
            at = time.time_ns() if timestamp is None else timestamp
            self.dropped_events += len(self.events) >= MOST_EVENTS
            self.events = [*self.events, Event(name, at, told, told.dropped)][-MOST_EVENTS:]

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self.end_time is None and context is not None and context.is_valid:
            told = BoundedAttributes(MOST_OF_EVENT, attributes, max_value_len=LONGEST)
            self.links = [*self.links, Link(context, told)][-MOST_LINKS:]

    def update_name(self, name: str) -> None:
        if self.end_time is None:
            self.name = name[:LONGEST]

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        given = status if isinstance(status, Status) else Status(status, description)
        if self.end_time is None and self.status.status_code is not StatusCode.OK and not given.is_unset:
            self.status = bounded_status(given)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        told = {
            names.EXCEPTION_TYPE: type(exception).__qualname__,
            names.EXCEPTION_MESSAGE: str(exception),
            names.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            **(attributes or {}),
        }
        self.add_event(names.EXCEPTION_EVENT, told, timestamp)

    def _make_room_for(self, key: str) -> None:
        """Drops the oldest attribute that user code has set, where there are too many; ours lead to it."""
        told = self.attributes
        if isinstance(told, BoundedAttributes) and len(told) >= MOST_ATTRIBUTES and key not in told:
            del told[next((name for name in told if not name.startswith(names.OURS)), next(iter(told)))]
            told.dropped += 1

    # What exporters of OpenTelemetry ask besides.

    @property
    def dropped_attributes(self) -> int:
        return self.attributes.dropped if isinstance(self.attributes, BoundedAttributes) else 0

    @property
    def resource(self) -> Any:
        return self._maker.resource

    @property
    def instrumentation_scope(self) -> Any:
        return self._maker.scope

    @property
    def told_of_process(self) -> Mapping[str, Any]:
        """What is told of the process where a store keeps the span."""
        return self._maker.told_of_process

"""Spans as a store keeps them: OTLP JSON, as OpenTelemetry's file exporter writes it, a line for each file.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/: a line is one ``TracesData``; ids in hex,
times in nanoseconds as text. What others wrote so is read too; what does not fit is left out and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any, NamedTuple

OK = 1
ERROR = 2
"""Codes of a span's status."""

Value = str | bool | int | float | list[Any]

quoted = encode_basestring
"""Returns a text as JSON."""


class SpanEvent(NamedTuple):
    """Something that happened during a span, such as an exception.

    Args:
      name: e.g. ``exception``.
      time: nanoseconds since the epoch.
      attributes: what is told of it.
    """

    name: str
    time: int
    attributes: Mapping[str, Any] = {}


class SpanLink(NamedTuple):
    """A span of another trace that a span has to do with.

    Args:
      trace_id: 32 hex digits.
      span_id: 16 hex digits.
      attributes: what is told of the link.
    """

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] = {}


class SpanRow(NamedTuple):
    """A span that has ended.

    Args:
      trace_id: 32 hex digits.
      span_id: 16 hex digits.
      name: of the step, as a rule.
      start: nanoseconds since the epoch.
      end: the same.
      parent_id: 16 hex digits; empty for the first of its trace.
      kind: of OTLP: 1 within a service, 4 and 5 where messages leave and arrive.
      status: 0, `OK` or `ERROR`.
      message: of the status.
      trace_state: W3C.
      attributes: what is told of it.
      events: what happened during it.
      links: spans of other traces.
      scope: name of what made it.
      resource: what is told of the process.
    """

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    parent_id: str = ""
    kind: int = 1
    status: int = 0
    message: str = ""
    trace_state: str = ""
    attributes: Mapping[str, Any] = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    scope: str = ""
    resource: Mapping[str, Any] = {}


def file_of_spans(spans: Iterable[SpanRow]) -> bytes:
    """Returns the content of a file of spans: one line, or nothing where there are none.

    >>> spans_of_file(file_of_spans([SpanRow("0" * 31 + "1", "0" * 15 + "2", "parse", 5, 7)]))[0][0].name
    'parse'
    """
    file = SpanFile()
    for span in spans:
        file.add(span_text(span), span.scope, span.resource)
    return file.content()


class SpanFile:
    """The content of a file of spans, put together of their texts as they end."""

    def __init__(self) -> None:
        self._resources: dict[str, tuple[Mapping[str, Any], dict[str, list[str]]]] = {}
        # Spans of a process share the mapping: what it says is looked at once, not for each.
        self._known: dict[int, tuple[Mapping[str, Any], dict[str, list[str]]]] = {}
        self._spans = 0

    def __len__(self) -> int:
        """The number of its spans."""
        return self._spans

    def add(self, text: str, scope: str, resource: Mapping[str, Any]) -> None:
        """Adds a span.

        Args:
          text: what `span_text` gives of it.
          scope: name of what made it.
          resource: what is told of the process.
        """
        known = self._known.get(id(resource))
        if known is None:
            key = json.dumps(resource, sort_keys=True)
            known = (resource, self._resources.setdefault(key, (resource, {}))[1])
            self._known[id(resource)] = known
        scopes = known[1]
        if scope not in scopes:
            scopes[scope] = []
        scopes[scope].append(text)
        self._spans += 1

    def content(self) -> bytes:
        """Returns its bytes: one line, or nothing where there are no spans."""
        if not self._resources:
            return b""
        told = ",".join(
            f'{{"resource":{{"attributes":{_attributes_text(resource)}}},"scopeSpans":['
            + ",".join(
                f'{{"scope":{{"name":{quoted(scope)}}},"spans":[{",".join(rows)}]}}'
                for scope, rows in scopes.items()
            )
            + "]}"
            for resource, scopes in self._resources.values()
        )
        return f'{{"resourceSpans":[{told}]}}\n'.encode("utf-8", "backslashreplace")


def spans_of_file(content: bytes) -> tuple[list[SpanRow], int]:
    """Returns the spans of a file, and how many lines or spans could not be read."""
    found: list[SpanRow] = []
    unread = 0
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            resources = list(told["resourceSpans"])
        except (ValueError, KeyError, TypeError, RecursionError):
            unread += 1
            continue
        for of_resource in resources:
            unread += _read_resource(of_resource, found)
    return found, unread


def _read_resource(told: Any, found: list[SpanRow]) -> int:
    unread = 0
    try:
        resource = _attributes_of(told.get("resource", {}).get("attributes", []))
        scopes = [
            (str(one.get("scope", {}).get("name", "")), list(one.get("spans", [])))
            for one in told.get("scopeSpans", [])
        ]
    except (AttributeError, TypeError, ValueError, KeyError):
        return 1
    for scope, spans in scopes:
        for span in spans:
            try:
                found.append(_span_of(span, scope, resource))
            except (AttributeError, TypeError, ValueError, KeyError):  # noqa: PERF203 - each span may be damaged
                unread += 1
    return unread


# Text is put together by hand: a tree for `json.dumps` costs three times as much.


def span_text(span: SpanRow) -> str:
    """Returns a span as JSON."""
    ids = f'{{"traceId":"{span.trace_id}","spanId":"{span.span_id}","name":{quoted(span.name)}'
    times = f',"startTimeUnixNano":"{span.start}","endTimeUnixNano":"{span.end}"'
    parts = [ids, f',"kind":{span.kind}', times]
    if span.parent_id:
        parts.append(f',"parentSpanId":"{span.parent_id}"')
    if span.trace_state:
        parts.append(f',"traceState":{quoted(span.trace_state)}')
    if span.attributes:
        parts.append(f',"attributes":{_attributes_text(span.attributes)}')
    if span.events:
        events = ",".join(
            f'{{"name":{quoted(event.name)},"timeUnixNano":"{event.time}",'
            f'"attributes":{_attributes_text(event.attributes)}}}'
            for event in span.events
        )
        parts.append(f',"events":[{events}]')
    if span.links:
        links = ",".join(
            f'{{"traceId":"{link.trace_id}","spanId":"{link.span_id}",'
            f'"attributes":{_attributes_text(link.attributes)}}}'
            for link in span.links
        )
        parts.append(f',"links":[{links}]')
    if span.status or span.message:
        parts.append(f',"status":{{"code":{span.status},"message":{quoted(span.message)}}}')
    parts.append("}")
    return "".join(parts)


def _attributes_text(attributes: Mapping[str, Any]) -> str:
    return f"[{','.join([attribute_text(key, value) for key, value in attributes.items()])}]"


def attribute_text(key: str, value: Any) -> str:
    """Returns an attribute as JSON."""
    return f'{{"key":{quoted(key)},"value":{_value_text(value)}}}'


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return f'{{"stringValue":{quoted(value)}}}'
    if isinstance(value, bool):
        return f'{{"boolValue":{"true" if value else "false"}}}'
    if isinstance(value, int):
        return f'{{"intValue":"{value}"}}'
    if isinstance(value, float):
        # As JSON of protobuf has those that JSON has not.
        text = json.dumps(value)
        return f'{{"doubleValue":{text if math.isfinite(value) else quoted(text)}}}'
    if isinstance(value, (list, tuple)):
        return f'{{"arrayValue":{{"values":[{",".join(map(_value_text, value))}]}}}}'
    return f'{{"stringValue":{quoted(str(value))}}}'


def _span_of(told: Mapping[str, Any], scope: str, resource: Mapping[str, Any]) -> SpanRow:
    status = told.get("status", {})
    return SpanRow(
        _hex(told["traceId"], 32),
        _hex(told["spanId"], 16),
        str(told["name"]),
        int(told["startTimeUnixNano"]),
        int(told["endTimeUnixNano"]),
        _hex(told["parentSpanId"], 16) if told.get("parentSpanId") else "",
        int(told.get("kind", 1)),
        int(status.get("code", 0)),
        str(status.get("message", "")),
        str(told.get("traceState", "")),
        _attributes_of(told.get("attributes", [])),
        tuple(_event_of(event) for event in told.get("events", [])),
        tuple(_link_of(link) for link in told.get("links", [])),
        scope,
        resource,
    )


def _event_of(told: Mapping[str, Any]) -> SpanEvent:
    attributes = _attributes_of(told.get("attributes", []))
    return SpanEvent(str(told["name"]), int(told["timeUnixNano"]), attributes)


def _link_of(told: Mapping[str, Any]) -> SpanLink:
    attributes = _attributes_of(told.get("attributes", []))
    return SpanLink(_hex(told["traceId"], 32), _hex(told["spanId"], 16), attributes)


def _attributes_of(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(one["key"]): _value_of(one["value"]) for one in told}


def _value_of(told: Mapping[str, Any]) -> Value:
    (kind, value), *_ = told.items()
    if kind == "intValue":
        return int(value)
    if kind == "doubleValue":
        return float(value)
    if kind == "boolValue":
        return bool(value)
    if kind == "arrayValue":
        return [_value_of(one) for one in value.get("values", [])]
    return str(value)


def _hex(text: Any, digits: int) -> str:
    lowered = str(text).lower()
    if len(lowered) != digits or set(lowered) - set("0123456789abcdef"):
        raise ValueError(f"{digits} hex digits are expected, found {text!r}")
    return lowered

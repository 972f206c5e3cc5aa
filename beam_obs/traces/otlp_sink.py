"""Sends spans by OTLP from a thread of its own: a backend that is down costs nothing but a counter."""

from __future__ import annotations

import collections
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from beam_obs.traces.record_span import RecordSpan

MOST_HELD = 8_192
"""Spans that wait at most; what comes beyond is lost and counted."""
FLUSH_SECONDS = 3.0
"""Longest that the end of a bundle waits, where the backend has answered last."""

_AT_ONCE = 512
_EVERY_SECONDS = 1.0
_TIMEOUT_SECONDS = 2
_LOGGER = logging.getLogger(__name__)
_THREAD = "beam_obs spans"


class OtlpSink:
    """Sends spans to an OTLP endpoint.

    Args:
      endpoint: URL; None for what the standard variables say.
      protocol: ``http/protobuf`` or ``grpc``; None for what the standard variables say.
    """

    def __init__(self, endpoint: str | None, protocol: str | None) -> None:
        self._exporter = _exporter(endpoint, protocol)
        self._endpoint = endpoint or "the endpoint of OTEL_EXPORTER_OTLP_ENDPOINT"
        self._held: collections.deque[ReadableSpan | RecordSpan] = collections.deque()
        self._changed = threading.Condition()
        self._is_sending = self._is_down = self._is_closed = self._is_asked = False
        self._lost = 0
        self._thread = threading.Thread(target=self._send_on, name=_THREAD, daemon=True)
        self._thread.start()

    def take(self, span: ReadableSpan | RecordSpan) -> None:
        """Takes a span, or counts it as lost where too many wait."""
        if len(self._held) >= MOST_HELD or self._is_closed:
            self._lost += 1
            return
        self._held.append(span)
        if len(self._held) == _AT_ONCE:
            self._ask()

    def flush(self) -> None:
        """Has what there is sent; waits `FLUSH_SECONDS` at most, not at all where the backend is down."""
        self._ask()
        if not self._is_down:
            self._wait(FLUSH_SECONDS)

    def close(self) -> None:
        """Has what is left sent, waits for it for `FLUSH_SECONDS`, and ends the thread."""
        self._ask()
        self._wait(FLUSH_SECONDS)
        with self._changed:
            self._is_closed = True
            self._lost += len(self._held)
            self._held.clear()
            self._changed.notify_all()

    def take_lost(self) -> int:
        """Returns how many spans were lost since it was asked last."""
        with self._changed:
            lost, self._lost = self._lost, 0
        return lost

    def _ask(self) -> None:
        with self._changed:
            self._is_asked = True
            self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while (self._held or self._is_sending) and time.monotonic() < until and not self._is_down:
                self._changed.wait(until - time.monotonic())

    def _send_on(self) -> None:
        while True:
            with self._changed:
                if not self._is_asked and not self._is_closed:
                    self._changed.wait(_EVERY_SECONDS)
                self._is_asked = False
                if self._is_closed:
                    break
                self._is_sending = bool(self._held)
            while self._held:
                self._send([self._held.popleft() for _ in range(min(_AT_ONCE, len(self._held)))])
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
        self._exporter.shutdown()

    def _send(self, spans: list[ReadableSpan | RecordSpan]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            sent = self._exporter.export(spans) is SpanExportResult.SUCCESS
            reason = "it did not take them"
        except Exception as error:
            sent, reason = False, f"{type(error).__name__}: {error}"
        with self._changed:
            if not sent:
                # What waits would be lost one try after the other.
                self._lost += len(spans) + len(self._held)
                self._held.clear()
            if not sent and not self._is_down:
                _LOGGER.warning(
                    "spans cannot be sent to %s (%s); they are counted as lost until they can",
                    self._endpoint,
                    reason,
                )
            self._is_down = not sent
            self._changed.notify_all()


def _exporter(endpoint: str | None, protocol: str | None) -> Any:
    import os

    for name in _OF_EXPORTERS:
        _quiet(logging.getLogger(name))
    chosen = (
        protocol
        or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    )
    if chosen == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as ByGrpc

        insecure = None if endpoint is None else not endpoint.startswith("https://")
        return ByGrpc(endpoint=endpoint, insecure=insecure, timeout=_TIMEOUT_SECONDS)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ByHttp

    return ByHttp(endpoint=endpoint, timeout=_TIMEOUT_SECONDS)


_OF_EXPORTERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)


def _quiet(logger: logging.Logger) -> None:
    """Leaves out what an exporter logs of each attempt of ours: it is said once, and counted."""
    if not any(isinstance(one, _NotOfOurs) for one in logger.filters):
        logger.addFilter(_NotOfOurs())


class _NotOfOurs(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD

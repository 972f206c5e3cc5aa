"""Sends spans or log lines by OTLP from a thread of its own: a backend that is down costs but a counter."""

from __future__ import annotations

import atexit
import collections
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from beam_obs.records.errors import UsageError
from beam_obs.records.secrets import redact_text
from beam_obs.traces.thread_log import kept_messages

MOST_HELD = 8_192
"""Spans or lines that wait at most; what comes beyond is lost and counted."""
FLUSH_SECONDS = 3.0
"""Longest that the end of a bundle waits, where the backend has answered last."""

SPANS, LINES, NUMBERS = "spans", "log lines", "numbers"
HTTP, GRPC = "http/protobuf", "grpc"
"""Protocols of OTLP that OpenTelemetry has exporters for in Python."""
TIMEOUT_SECONDS = 2
"""Longest that an exporter is to try for."""

_AT_ONCE = 512
_EVERY_SECONDS = 1.0
_LOGGER = logging.getLogger(__name__)
_SIGNALS = {SPANS: "TRACES_", LINES: "LOGS_", NUMBERS: "METRICS_"}
_THREADS = {SPANS: "beam_obs spans", LINES: "beam_obs log lines"}


class OtlpSender:
    """Sends what it takes by an exporter of OpenTelemetry.

    Args:
      exporter: of spans or of log records.
      kind: which of them.
      endpoint: where they go; None for what the standard variables say.
    """

    def __init__(self, exporter: Any, kind: str, endpoint: str | None = None) -> None:
        self._exporter = exporter
        self._kind = kind
        self._endpoint = redact_text(endpoint or "the endpoint of OTEL_EXPORTER_OTLP_ENDPOINT")
        self._lost = 0
        self._begin()
        again = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin := again()) is None or begin())
        atexit.register(self.close)

    def _begin(self) -> None:
        """Begins to send, also in a process that was forked: what waits is sent by the one that took it."""
        self._held: collections.deque[Any] = collections.deque()
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_sending = self._is_down = self._is_closed = self._is_asked = False
        self._thread = threading.Thread(target=self._send_on, name=_THREADS[self._kind], daemon=True)
        self._thread.start()

    def take(self, one: Any) -> None:
        """Takes a span or log record, or counts it as lost where too many wait."""
        if len(self._held) >= MOST_HELD or self._is_closed:
            self._lost += 1
            return
        self._held.append(one)
        if len(self._held) == _AT_ONCE:
            self._ask()

    def flush(self) -> None:
        """Has what there is sent; waits `FLUSH_SECONDS` at most, not at all where the backend is down."""
        self._ask()
        if not self._is_down:
            self._wait(FLUSH_SECONDS)

    def settle(self) -> None:
        """Has what there is sent as `flush` does; where the backend is down, it is lost now."""
        if not self._is_down:
            self.flush()
        with self._changed:
            if self._is_down:
                self._lost += len(self._held)
                self._held.clear()

    def close(self) -> None:
        """Has what is left sent, waits for it for `FLUSH_SECONDS`, and ends the thread."""
        atexit.unregister(self.close)
        self._ask()
        self._wait(FLUSH_SECONDS)
        with self._changed:
            self._is_closed = True
            self._lost += len(self._held) + self._under_way
            self._held.clear()
            self._changed.notify_all()

    def take_lost(self) -> int:
        """Returns how many were lost since it was asked last."""
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
            while some := self._next():
                self._send(some)
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
        self._exporter.shutdown()

    def _next(self) -> list[Any]:
        with self._changed:
            some = [self._held.popleft() for _ in range(min(_AT_ONCE, len(self._held)))]
            self._under_way = len(some)
        return some

    def _send(self, some: list[Any]) -> None:
        # What an exporter logs of each attempt goes nowhere else: it is said once, and counted.
        with kept_messages(*_OF_EXPORTERS) as messages:
            try:
                sent = self._exporter.export(some).name == "SUCCESS"
                reason = messages[0] if messages else "it did not take them"
            except Exception as error:
                sent, reason = False, f"{type(error).__name__}: {error}"
        with self._changed:
            self._under_way = 0
            if not sent and not self._is_closed:
                # What waits would be lost one try after the other.
                self._lost += len(some) + len(self._held)
                self._held.clear()
            if not sent and not self._is_down:
                _LOGGER.warning(
                    "%s cannot be sent to %s (%s); they are counted as lost until they can",
                    self._kind,
                    self._endpoint,
                    redact_text(reason),
                )
            self._is_down = not sent
            self._changed.notify_all()


def span_sender(endpoint: str | None, protocol: str | None) -> OtlpSender:
    """Returns what sends spans to an endpoint.

    Args:
      endpoint: URL; None for what the standard variables say.
      protocol: ``http/protobuf`` or ``grpc``; None for what the standard variables say.
    """
    exporter: Any
    if (protocol or protocol_of(SPANS)) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as ByGrpc

        insecure = None if endpoint is None else not endpoint.startswith("https://")
        exporter = ByGrpc(endpoint=endpoint, insecure=insecure, timeout=TIMEOUT_SECONDS)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ByHttp

        exporter = ByHttp(endpoint=endpoint, timeout=TIMEOUT_SECONDS)
    return OtlpSender(exporter, SPANS, endpoint)


def protocol_of(kind: str, variables: Mapping[str, str] = os.environ) -> str | None:
    """Returns the protocol that the standard variables ask for; None where they do not.

    Args:
      kind: of what is sent, `SPANS`, `LINES` or `NUMBERS`.
      variables: of the environment.
    """
    return variables.get(_protocol_variable(kind, variables)) or None


def check_protocol(kind: str, variables: Mapping[str, str] = os.environ) -> None:
    """Refuses a protocol that there is no exporter for, which another would be taken for.

    Args:
      kind: of what is sent, `SPANS`, `LINES` or `NUMBERS`.
      variables: of the environment.

    Raises:
      UsageError: the standard variables ask for one.

    >>> check_protocol(SPANS, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    Traceback (most recent call last):
    ...
    beam_obs...UsageError: OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json', which OpenTelemetry...
    """
    asked = protocol_of(kind, variables)
    if asked not in (None, HTTP, GRPC):
        raise UsageError(
            f"{_protocol_variable(kind, variables)} is {asked!r}, which OpenTelemetry has no exporter for in "
            f"Python: set it to {HTTP} or {GRPC}"
        )


def _protocol_variable(kind: str, variables: Mapping[str, str]) -> str:
    """Returns the variable that says the protocol, that of the signal first."""
    own, of_all = (f"OTEL_EXPORTER_OTLP_{signal}PROTOCOL" for signal in (_SIGNALS[kind], ""))
    return own if variables.get(own) else of_all


_OF_EXPORTERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)

"""Log records by OTLP, with the trace that they are of: OpenTelemetry's own handler and exporter."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

from beam_obs.logs.told import told_by
from beam_obs.records.errors import MissingExtra

if TYPE_CHECKING:
    from beam_obs.traces.otlp_sender import OtlpSender

_OF_ITSELF = ("opentelemetry", "urllib3", "grpc")
"""Loggers of what sends: what they log would be sent in turn."""


def check_otlp_logs() -> None:
    """Raises what is missing for log records to be sent.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
    """
    try:
        import opentelemetry.exporter.otlp.proto.http._log_exporter
        import opentelemetry.sdk._logs  # noqa: F401
    except ImportError:
        raise MissingExtra("Logs by OTLP", "otel") from None


def otlp_handler(pipeline: str) -> OtlpHandler:
    """Returns a handler that sends log records to where the standard variables of OpenTelemetry say.

    Args:
      pipeline: name of the service, where no variable gives another.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
    """
    check_otlp_logs()
    return OtlpHandler(pipeline)


class OtlpHandler(logging.Handler):
    """Sends a record as part of the trace that it tells of, whichever span is current.

    Args:
      pipeline: name of the service, where no variable gives another.
    """

    def __init__(self, pipeline: str) -> None:
        super().__init__()
        from beam_obs.traces.otlp_sender import LINES, OtlpSender

        self._sender = OtlpSender(_exporter(), LINES)
        self._inner = _inner_handler(pipeline, self._sender)
        self.addFilter(lambda record: record.name.partition(".")[0] not in _OF_ITSELF)

    def emit(self, record: logging.LogRecord) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context, attach, detach

        told = told_by(record)
        if told is None or not told.trace_id:
            self._inner.emit(record)
            return
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if told.is_sampled else 0)
        span = trace.SpanContext(int(told.trace_id, 16), int(told.span_id or "0", 16), False, flags)
        token = attach(trace.set_span_in_context(trace.NonRecordingSpan(span), Context()))
        try:
            self._inner.emit(record)
        finally:
            detach(token)

    def flush(self) -> None:
        """Has what there is sent; a log line waits for nothing."""

    def settle(self) -> None:
        """Has what there is sent, for which it waits some seconds, or counts it as lost."""
        self._sender.settle()

    def close(self) -> None:
        """Sends what waits, and goes on without it after some seconds."""
        super().close()
        self._sender.close()

    def take_lost(self) -> int:
        """Returns how many log records reached nobody since it was asked last."""
        return self._sender.take_lost()


def _inner_handler(pipeline: str, sender: OtlpSender) -> logging.Handler:
    """Returns OpenTelemetry's handler, whose records go to a sender."""
    import copy

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import (
        LoggerProvider,
        LoggingHandler,
        LogRecordProcessor,
        ReadableLogRecord,
        ReadWriteLogRecord,
    )

    from beam_obs.traces.user_spans import resource_of_process

    resource = resource_of_process(pipeline)

    class ToSender(LogRecordProcessor):
        def on_emit(self, log_record: ReadWriteLogRecord) -> None:
            of_api = copy.copy(log_record.log_record)
            of_api.context = Context()
            scope, limits = log_record.instrumentation_scope, log_record.limits
            sender.take(ReadableLogRecord(of_api, resource, scope, limits))

        def shutdown(self) -> None:
            """Does nothing: the handler closes its sender."""

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(ToSender())
    with warnings.catch_warnings():
        # The package that it is to move to has no release for the API that is supported here.
        warnings.simplefilter("ignore", DeprecationWarning)
        return LoggingHandler(logger_provider=provider)


def _exporter() -> Any:
    from beam_obs.traces.otlp_sender import GRPC, LINES, TIMEOUT_SECONDS, protocol_of

    if protocol_of(LINES) == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as ByGrpc

        return ByGrpc(timeout=TIMEOUT_SECONDS)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as ByHttp

    return ByHttp(timeout=TIMEOUT_SECONDS)

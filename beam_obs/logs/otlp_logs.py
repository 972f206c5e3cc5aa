"""Log records by OTLP, with the trace that they are of: OpenTelemetry's own handler, exporter and batches."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from typing import Any

from beam_obs.logs.told import told_by
from beam_obs.records.errors import MissingExtra

CLOSE_SECONDS = 2.0
"""Longest that the end of a run waits for what is not sent yet."""

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


def otlp_handler(pipeline: str) -> logging.Handler:
    """Returns a handler that sends log records to where the standard variables of OpenTelemetry say.

    Args:
      pipeline: name of the service, where no variable gives another.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
    """
    check_otlp_logs()
    from opentelemetry import trace
    from opentelemetry.context import Context, attach, detach
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    class OtlpHandler(LoggingHandler):
        """Sends a record as part of the trace that it tells of, whichever span is current."""

        def emit(self, record: logging.LogRecord) -> None:
            told = told_by(record)
            if told is None or not told.trace_id:
                super().emit(record)
                return
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if told.is_sampled else 0)
            span = trace.SpanContext(int(told.trace_id, 16), int(told.span_id or "0", 16), False, flags)
            token = attach(trace.set_span_in_context(trace.NonRecordingSpan(span), Context()))
            try:
                super().emit(record)
            finally:
                detach(token)

        def close(self) -> None:
            """Sends what waits; goes on without it after `CLOSE_SECONDS`."""
            super().close()
            closing = threading.Thread(target=provider.shutdown, name="beam_obs logs", daemon=True)
            closing.start()
            closing.join(CLOSE_SECONDS)

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = LoggerProvider(
        Resource.create({} if named else {"service.name": pipeline}), shutdown_on_exit=True
    )
    provider.add_log_record_processor(BatchLogRecordProcessor(_exporter()))
    with warnings.catch_warnings():
        # The package that it is to move to has no release for the API that is supported here.
        warnings.simplefilter("ignore", DeprecationWarning)
        handler = OtlpHandler(logger_provider=provider)
    handler.addFilter(lambda record: record.name.partition(".")[0] not in _OF_ITSELF)
    return handler


def _exporter() -> Any:
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as ByGrpc

        return ByGrpc()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as ByHttp

    return ByHttp()

"""Numbers of runs by OTLP, as OpenTelemetry's own exporters send them, with the variables that they know.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import os
from typing import Any

from beam_obs.exporters.otlp_points import otlp_points
from beam_obs.exporters.sent_totals import NewestSent
from beam_obs.exporters.steady_refusals import SteadyRefusals
from beam_obs.exporters.targets import ON
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra
from beam_obs.records.secrets import redact_text
from beam_obs.traces.otlp_sender import GRPC, NUMBERS, check_protocol, protocol_of
from beam_obs.traces.thread_log import kept_messages

try:
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as ByGrpc
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as ByHttp
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
except ImportError:
    raise MissingExtra("OTLP", "otel") from None

_VARIABLE = "OTEL_EXPORTER_OTLP_"
_PATH = "/v1/metrics"
_DELTA = ("DELTA", "LOWMEMORY")
_TIMEOUT_SECONDS = 5.0
"""Where no variable has another: of one attempt, in which the exporter tries more than once."""

_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
)


class Otlp:
    """Sends to a receiver of OTLP.

    Args:
      address: URL of its endpoint; ``on``: what the variables ``OTEL_EXPORTER_OTLP_*`` say.

    Raises:
      UsageError: a variable asks for what there is not.
    """

    name = "otlp"
    seconds = 0.0

    def __init__(self, address: str) -> None:
        place = _variable("ENDPOINT", "the usual place") if address == ON else address
        self.place = f"the receiver of OTLP at {redact_text(place)}"
        self._exporter = _exporter(None if address == ON else address)
        self._is_delta = (_variable("TEMPORALITY_PREFERENCE") or "").strip().upper() in _DELTA
        self._sent = NewestSent()
        self._refusals = SteadyRefusals()

    def send(self, numbers: RunNumbers) -> None:
        """Sends the numbers of a run, or what they grew by since they were sent.

        Raises:
          ConnectionError: they were not taken; what the exporter of OpenTelemetry said.
        """
        numbers = self._refusals.of(numbers)
        before = self._sent.before(numbers, lambda nothing: otlp_points(numbers, nothing, True).sent)
        data, sent = otlp_points(numbers, before, self._is_delta)
        with kept_messages(*_LOGGERS) as messages:
            result = self._exporter.export(data)
        if result is not MetricExportResult.SUCCESS:
            raise ConnectionError(messages[0] if messages else "it did not take them")
        if self._is_delta:
            self._sent.keep(numbers, sent)

    def close(self) -> None:
        """Ends the connection."""
        self._exporter.shutdown()


def _exporter(address: str | None) -> MetricExporter:
    check_protocol(NUMBERS)
    timeout = None if _variable("TIMEOUT") else _TIMEOUT_SECONDS
    given: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if protocol_of(NUMBERS) == GRPC:
        return ByGrpc(endpoint=address, **given)
    if address is not None and not address.endswith(_PATH):
        address += _PATH
    return ByHttp(endpoint=address, **given)


def _variable(name: str, default: str | None = None) -> Any:
    """Returns what a variable says, that of metrics first."""
    return os.environ.get(f"{_VARIABLE}METRICS_{name}") or os.environ.get(_VARIABLE + name) or default

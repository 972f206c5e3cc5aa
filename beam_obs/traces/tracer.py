"""The tracer of a process: set up once, when the first span is to be made, never where a step is built.

OpenTelemetry is imported only then. A forked process sets up its own.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import TYPE_CHECKING, Any

from beam_obs.records.errors import MissingExtra
from beam_obs.records.trace_settings import TraceSettings

if TYPE_CHECKING:
    from beam_obs.traces.process_tracer import ProcessTracer

_LOCK = threading.Lock()
_TRACERS: dict[TraceSettings, ProcessTracer] = {}


class Epoch:
    """Changes when tracers that were set up are no longer to be used.

    Attributes:
      number: kept beside a tracer, it says whether that is still the one.
    """

    number = 0


def _forget() -> None:
    _TRACERS.clear()
    Epoch.number += 1


os.register_at_fork(after_in_child=_forget)


def process_tracer(settings: TraceSettings) -> ProcessTracer:
    """Returns the tracer of a run in this process, set up on first use; a forked process has its own.

    Args:
      settings: of the run.

    Raises:
      MissingExtra: the ``otel`` extra is not installed, and the process has no provider of its own.
    """
    with _LOCK:
        if settings not in _TRACERS:
            from beam_obs.traces.process_tracer import ProcessTracer

            _TRACERS[settings] = ProcessTracer(settings)
        return _TRACERS[settings]


def close_tracers(run: str) -> int:
    """Sends what this process has left of a run's spans; returns how many reached nobody."""
    with _LOCK:
        Epoch.number += 1
        found = [_TRACERS.pop(settings) for settings in list(_TRACERS) if settings.run == run]
    for tracer in found:
        tracer.close()
    return sum(tracer.take_lost() for tracer in found)


def check_tracing(target: str) -> None:
    """Raises what is missing for spans to be made and sent, before anything runs.

    Args:
      target: where they are to go.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
    """
    # To import them takes a fifth of a second, and a run that keeps its spans may do without.
    if not _is_there("opentelemetry.sdk.trace"):
        raise MissingExtra("Traces", "otel")
    if target == "otlp" and not _is_there("opentelemetry.exporter.otlp.proto.http"):
        raise MissingExtra("Traces by OTLP", "otel")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def users_provider() -> Any:
    """Returns the provider of spans that this process has set up itself; None where there is none."""
    from opentelemetry import trace

    found = trace.get_tracer_provider()
    if isinstance(found, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    return None if getattr(found, "is_of_beam_obs", False) else found

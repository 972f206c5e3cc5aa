"""Where the spans go that a provider of ours makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from beam_obs.traces.record_span import RecordSpan


class SpanSink(Protocol):
    """Takes spans that have ended. Holds a bounded number of them, never raises, and counts what it loses."""

    def take(self, span: ReadableSpan | RecordSpan) -> None:
        """Takes a span; called by the thread that ended it."""

    def flush(self) -> None:
        """Sends what there is on its way, when a bundle ends; waits no longer than a bound."""

    def close(self) -> None:
        """Sends what is left; nothing is taken any more."""

    def take_lost(self) -> int:
        """Returns how many spans were lost since it was asked last."""

"""The span that tells of a refusal: every refused record of a traced run has one, sampled or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beam_obs.records.origin import parse_origin
from beam_obs.traces import attributes as names
from beam_obs.traces.bundle_spans import bundle_of_thread
from beam_obs.wrapper.failure import in_words
from beam_obs.wrapper.refusal import Refusal

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer


def told_in_span(refusal: Refusal, error: BaseException | None, tracer: StepTracer) -> Refusal:
    """Returns a refusal with what its dead letter is to be called, and the ``traceparent`` of its span.

    Args:
      refusal: redacted as its dead letter is to be.
      error: what the user's code raised; None where that is not at hand.
      tracer: of the step that refused.
    """
    try:
        origin = None if refusal.origin is None else parse_origin(refusal.origin)
    except ValueError:  # a record's own attributes may say anything
        origin = None
    failure, letter = in_words(refusal.failure), bundle_of_thread().next_letter()
    told = {
        names.EXCEPTION_TYPE: failure.error_type,
        names.EXCEPTION_MESSAGE: failure.message,
        names.EXCEPTION_STACKTRACE: failure.traceback,
    }
    traceparent = tracer.refused(
        error, origin, f"{tracer.step.settings.run}.{letter}", told, refusal.failed_at * 1000
    )
    return refusal._replace(letter=letter, traceparent=traceparent)

"""What a generator of the user's gives for a sampled record: within its span, piece by piece."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.context import Context, get_current
from opentelemetry.context import attach as attach
from opentelemetry.context import detach as detach
from opentelemetry.trace import Span

from beam_obs.traces.bundle_spans import BundleSpans


def each_within(
    results: Iterator[Any],
    span: Span,
    context: Context,
    spent: int,
    bundle: BundleSpans,
    others: Sequence[Span] = (),
) -> Iterator[Any]:
    """Gives results one by one; ends the span when there are no more, with what was spent on them as its
    time.

    The span is the current one while the user's function works on the next result, and not while others
    have it.

    Args:
      results: what the function gave.
      span: of the record at the step.
      context: in which it is the current one.
      spent: nanoseconds, until now.
      bundle: notes the span where the function fails.
      others: that end when it does, and are not looked at where the function fails.
    """
    began = time.time_ns() - spent
    try:
        while True:
            before = time.perf_counter_ns()
            token = attach(context)
            try:
                result = next(results)
            except StopIteration:
                break
            except Exception as error:
                bundle.failing = (span, error, time.time_ns())
                raise
            finally:
                # A span of the user's that is open across a result is current again for the next one.
                context = get_current()
                detach(token)
                spent += time.perf_counter_ns() - before
            yield result
    finally:
        if bundle.failing is None or bundle.failing[0] is not span:
            for one in (span, *others):
                one.end(began + spent)

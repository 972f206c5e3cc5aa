"""What is told of the record that user code works on, found by looking up the stack.

As `current_origin` does: nothing is set for each element, so that only those pay who ask.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from beam_obs.logs.told import Told
from beam_obs.records.origin import ORIGIN_BYTES, parse_origin
from beam_obs.traces.incoming import trace_id_of
from beam_obs.wrapper.current_origin import OBSERVED_FRAME, WOVEN_FRAME, is_frame_of_origin
from beam_obs.wrapper.refusal import lineage_of
from beam_obs.wrapper.woven_step import WovenStep


def record_at_work() -> Told | None:
    """Returns what there is to tell of the record at work on this thread; None outside of steps."""
    names = _names_at_work()
    return None if names is None else _told(names)


def step_at_work() -> WovenStep | None:
    """Returns the step that this thread works at; None outside of woven ones."""
    names = _names_at_work()
    return None if names is None else _step_of(names)


def _names_at_work() -> dict[str, Any] | None:
    """Returns what names stand for in the process function that this thread is in."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return frame.f_globals | frame.f_locals
        if is_frame_of_origin(frame):
            return frame.f_locals
        frame = frame.f_back
    return None


_OURS = (WOVEN_FRAME, OBSERVED_FRAME)


def _step_of(names: dict[str, Any]) -> WovenStep | None:
    step = names.get("step") or getattr(names.get("note"), "step", None)
    return step if isinstance(step, WovenStep) else None


def _told(names: dict[str, Any]) -> Told | None:
    run, step = _run_and_step(names)
    provenance = names.get("provenance")
    origin = provenance if isinstance(provenance, bytes) and len(provenance) == ORIGIN_BYTES else None
    if origin is None and (attributes := lineage_of(names.get("element"))) is not None:
        with contextlib.suppress(TypeError, ValueError):  # a record's own attributes may say anything
            origin = parse_origin(attributes.get("origin", ""))
    if not step and origin is None:
        return None
    trace_id, span_id, is_sampled = _trace_of(origin)
    return Told(run, step, origin.hex() if origin is not None else "", trace_id, span_id, is_sampled)


def _run_and_step(names: dict[str, Any]) -> tuple[str, str]:
    guard = getattr(names.get("timed"), "__self__", None) or names.get("guard")
    settings = getattr(guard, "settings", None)
    if settings is not None:
        return settings.context.run, settings.stage
    step = _step_of(names)
    return ("", "") if step is None else ("" if step.run is None else step.run.run, step.label)


def _trace_of(origin: bytes | None) -> tuple[str, str, bool]:
    """Returns ids of trace and span, and whether it is sampled: of the current span, if it is one of it."""
    current = _current_span()().get_span_context()
    if current.is_valid and (origin is None or current.trace_id == trace_id_of(origin)):
        return f"{current.trace_id:032x}", f"{current.span_id:016x}", current.trace_flags.sampled
    return ("" if origin is None else f"{trace_id_of(origin):032x}"), "", False


@functools.lru_cache(maxsize=1)
def _current_span() -> Callable[[], Any]:
    from opentelemetry import trace

    return trace.get_current_span

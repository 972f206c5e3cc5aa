"""Answers to an engine that asks how far a bundle is: all figures once a second, in between that it goes on.

Prism (2.77) asks each bundle under way ten times a second, and more seldom only where it splits bundles,
which it must not do in a stream (`prism_options`). An answer has six figures or more of each step that is
fused. To make them was most of what an observed stream took more than a bare one (`benchmarks/stream.py`).
What a bundle says when it ends is not touched.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.runners.worker.sdk_worker import SdkWorker

PACE_SECONDS = 1.0
"""How often all figures of a bundle are told, as often as they are shown."""

_LOCK = threading.Lock()
_USERS = 0
_ANSWER = SdkWorker.process_bundle_progress
_TOLD: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
"""What processes bundles, one after the other -> when it told all figures last."""


@contextlib.contextmanager
def answering_at_a_pace() -> Iterator[None]:
    """While it lasts, workers in this process tell all figures of a bundle once a second."""
    global _USERS
    with _LOCK:
        _USERS += 1
        SdkWorker.process_bundle_progress = _answer
    try:
        yield
    finally:
        with _LOCK:
            _USERS -= 1
            if not _USERS:
                SdkWorker.process_bundle_progress = _ANSWER


def _answer(worker: SdkWorker, request: Any, instruction_id: str) -> Any:
    if not _is_due(worker, request.instruction_id):
        # Beam's own answer where a bundle has not begun.
        nothing_new = fn_api.ProcessBundleProgressResponse()
        return fn_api.InstructionResponse(instruction_id=instruction_id, process_bundle_progress=nothing_new)
    return _ANSWER(worker, request, instruction_id)


def _is_due(worker: SdkWorker, bundle: str) -> bool:
    try:
        processor = worker.bundle_processor_cache.lookup(bundle)
    except RuntimeError:  # it has failed, which Beam tells
        return True
    if processor is None:
        return True
    now = time.monotonic()
    if now - _TOLD.get(processor, -PACE_SECONDS) < PACE_SECONDS:
        return False
    _TOLD[processor] = now
    return True

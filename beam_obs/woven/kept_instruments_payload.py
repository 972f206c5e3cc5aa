"""What the portable form of a ParDo holds so that gauges and summaries leave it when a bundle ends.

Nothing is put around the user's functions for elements: only the beginning and the end of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from beam_obs.metrics.kept_cells import keep_here, take_kept

KEPT = "beam_obs_instruments"
"""Tag of the output of rows."""


class KeepingPayload:
    """A ParDo's payload that holds the given one; unpickled it is what Beam expects of a payload.

    Args:
      payload: the DoFn, arguments and so on, as Beam or the weave pickled them.
      label: of the step.
    """

    def __init__(self, payload: bytes, label: str) -> None:
        self._payload = payload
        self._label = label

    def __reduce__(self) -> Any:
        return (load_keeping, (self._payload, self._label))


def load_keeping(payload: bytes, label: str) -> tuple[Any, ...]:
    """Returns Beam's tuple of a DoFn and its arguments, with a DoFn that gives rows when a bundle ends."""
    dofn, *rest = pickler.loads(payload)
    # Of the object, not of its class: Beam looks at all else as it was.
    dofn.start_bundle = _Start(dofn)
    dofn.finish_bundle = _Finish(dofn, label)
    return (dofn, *rest)


class _Start:
    def __init__(self, dofn: beam.DoFn) -> None:
        self._dofn = dofn
        self._given = _given(dofn, "start_bundle")

    def __call__(self) -> Any:
        keep_here()
        return _call(self._dofn, "start_bundle", self._given)


class _Finish:
    def __init__(self, dofn: beam.DoFn, label: str) -> None:
        self._dofn = dofn
        self._label = label
        self._given = _given(dofn, "finish_bundle")

    def __call__(self) -> Iterator[Any]:
        results = _call(self._dofn, "finish_bundle", self._given)
        if results is not None:
            yield from results
        for row in take_kept(self._label):
            yield TaggedOutput(KEPT, GlobalWindows.windowed_value(row))


def _given(dofn: beam.DoFn, method: str) -> Callable[[], Any] | None:
    """Returns what an object has in place of its class's method."""
    found: Callable[[], Any] | None = vars(dofn).get(method)
    return found


def _call(dofn: beam.DoFn, method: str, given: Callable[[], Any] | None) -> Any:
    return given() if given is not None else getattr(type(dofn), method)(dofn)

"""Values of instruments as they come on a worker: appended to a list, and taken many at a time.

An append costs 15 ns, and numpy does the rest for twice that; to find a bucket in Python costs 100. A thread
takes what there is ten times a second, so that a bundle of any length keeps little.
"""

from __future__ import annotations

import logging
import math
import struct
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from apache_beam.metrics.cells import CounterCell
from apache_beam.metrics.metricbase import MetricName

from beam_obs.beam_private import TypedMetricName
from beam_obs.metrics import names

SECONDS = 0.1
"""How often values are taken: of a million a second, 3 MB of them wait."""

LARGEST = 2.0**62
"""Most that a value may be, with either sign: a Beam counter, and what reads a run, hold 63 bits."""

_LOGGER = logging.getLogger(__name__)
_NO_NUMBER = struct.pack("d", math.nan)


class _RefusedCounter(CounterCell):  # type: ignore[misc, unused-ignore]
    """Counts refused values of all instruments in a step; read, it looks at those that wait too."""

    def __init__(self) -> None:
        super().__init__()
        self.drains: list[Callable[[], None]] = []

    def get_cumulative(self) -> int:
        for drain in self.drains:
            drain()
        return int(super().get_cumulative())


def refused_counter(metrics: dict[Any, Any]) -> _RefusedCounter:
    """Returns the counter of refused values in the metrics of a step, which may be locked."""
    key = TypedMetricName(CounterCell, MetricName(names.NAMESPACE, names.VALUES_REFUSED))
    found: _RefusedCounter = metrics.setdefault(key, _RefusedCounter())
    return found


class BufferedValues:
    """Values of one series in one step, in the bundle that is under way.

    Args:
      take: takes finite values up to `LARGEST`, as a numpy array of float64.
      refused: counts all others.
    """

    def __init__(self, take: Callable[[Any], None], refused: _RefusedCounter) -> None:
        self._values: list[float] = []
        self._take = take
        self._refused = refused
        self._lock = threading.Lock()
        self.append = self._values.append
        """Adds a value: C throughout, for the hot path."""
        refused.drains.append(self.drain)
        _TAKER.add(self)

    def drain(self) -> None:
        """Takes what there is; any thread may do so while another appends."""
        with self._lock:
            count = len(self._values)
            if not count:
                return
            # Each of the two is one step of the interpreter: what is appended in between stays.
            given = self._values[:count]
            del self._values[:count]
            values = np.frombuffer(bytearray(_floats(given)))  # which a sketch wants to be writable
            good = np.abs(values) <= LARGEST  # which NaN is not
            if not good.all():
                self._refused.update(int(count - good.sum()))
                values = values[good]
            try:
                self._take(values)
            except Exception:  # ours: no reason for a pipeline to fail
                self._refused.update(len(values))
                _LOGGER.exception("values of an instrument are lost")

    def clear(self) -> None:
        """Drops what there is."""
        with self._lock:
            del self._values[:]


def _floats(values: list[Any]) -> bytes:
    """Returns values as doubles; NaN for what is no number.

    Of all ways from a list to an array that were tried this one is the fastest, by half.
    """
    try:
        return struct.pack(f"{len(values)}d", *values)
    except (struct.error, OverflowError):
        return b"".join(map(_float, values))


def _float(value: Any) -> bytes:
    try:
        return struct.pack("d", value)
    except (struct.error, OverflowError):
        return _NO_NUMBER


class _Taker:
    """The thread that takes values; it ends where there is nothing more to look after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffers: weakref.WeakSet[BufferedValues] = weakref.WeakSet()
        self._thread: threading.Thread | None = None

    def add(self, buffer: BufferedValues) -> None:
        with self._lock:
            self._buffers.add(buffer)
            if self._thread is None or not self._thread.is_alive():  # not so in a process that was forked
                self._thread = threading.Thread(target=self._run, name="beam_obs instruments", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(SECONDS)
            with self._lock:
                buffers = list(self._buffers)
                if not buffers:
                    self._thread = None
                    return
            for buffer in buffers:
                buffer.drain()
            del buffers, buffer


_TAKER = _Taker()

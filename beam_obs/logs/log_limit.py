"""A limit for what one line of code logs: what is beyond it is left out, and the number of it said."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

WINDOW_SECONDS = 60.0
_LEFT_OUT = "beam_obs_left_out"
_PASSES = "beam_obs_passes"
_MOST_PLACES = 10_000

Place = tuple[str, str, int]
"""Logger, file and line."""


class _Window:
    def __init__(self, until: float, function: str | None) -> None:
        self.until, self.function = until, function
        self.passed = self.left_out = 0
        self.level = logging.INFO


class LimitPerPlace(logging.Filter):
    """Lets pass so many log records of one place in the code in a minute.

    The number that was left out is said by a log record of the same logger, function and line, when the
    minute is over and something is logged again, or by `say_left_out`. One filter serves several handlers: it
    decides once for a record.

    Args:
      per_minute: of each logger, file and line; at least 1.
      clock: gives the time in seconds.

    >>> limit = LimitPerPlace(1)
    >>> said = {"name": "trips", "levelno": logging.INFO, "pathname": "trips.py", "lineno": 7}
    >>> limit.filter(logging.makeLogRecord(said)), limit.filter(logging.makeLogRecord(said))
    (True, False)
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._per_minute = per_minute
        self._clock = clock
        self._windows: dict[Place, _Window] = {}
        self._lock = threading.Lock()
        self._next_end = float("inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a log record passes."""
        if hasattr(record, _LEFT_OUT):
            return True
        decided = getattr(record, _PASSES, None)
        if decided is None:
            decided = self._passes(record)
            setattr(record, _PASSES, decided)
            if self._clock() >= self._next_end:
                self._say(only_ended=True)
        return bool(decided)

    def say_left_out(self) -> None:
        """Says what was left out so far, of all places."""
        self._say(only_ended=False)

    def _passes(self, record: logging.LogRecord) -> bool:
        place, now = (record.name, record.pathname, record.lineno), self._clock()
        with self._lock:
            window = self._windows.get(place)
            if window is None or (now >= window.until and not window.left_out):
                if len(self._windows) >= _MOST_PLACES:
                    self._windows.clear()
                window = self._windows[place] = _Window(now + WINDOW_SECONDS, record.funcName)
            if window.passed < self._per_minute:
                window.passed += 1
                return True
            window.left_out += 1
            window.level = max(window.level, record.levelno)
            self._next_end = min(self._next_end, window.until)
            return False

    def _say(self, only_ended: bool) -> None:
        now = self._clock()
        with self._lock:
            ended = {
                place: window
                for place, window in self._windows.items()
                if window.left_out and (now >= window.until or not only_ended)
            }
            for place in ended:
                del self._windows[place]
            left = [window.until for window in self._windows.values() if window.left_out]
            self._next_end = min(left, default=float("inf"))
        for (name, path, line), window in ended.items():
            logger = logging.getLogger(name)
            said = logger.makeRecord(
                name,
                window.level,
                path,
                line,
                "%d more from %s:%d %s left out: it may log %d in a minute",
                (
                    window.left_out,
                    os.path.basename(path),
                    line,
                    "was" if window.left_out == 1 else "were",
                    self._per_minute,
                ),
                None,
                window.function,
                extra={_LEFT_OUT: window.left_out},
            )
            logger.handle(said)

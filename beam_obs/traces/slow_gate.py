"""Lets the first of something pass at once, and of what follows one after a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class SlowGate:
    """Says of each of many whether it may go.

    Args:
      at_once: how many may go together.
      seconds: after which one more may.
      clock: gives seconds, ever growing.

    >>> gate = SlowGate(2, 10.0, lambda: 0.0)
    >>> gate.may_go(), gate.may_go(), gate.may_go()
    (True, True, False)
    """

    def __init__(self, at_once: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = float(at_once), seconds, clock
        self._left, self._counted_at = self._most, clock()

    def may_go(self) -> bool:
        """Returns whether one more may go now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._counted_at) / self._seconds)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

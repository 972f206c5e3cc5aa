"""One thread for each target: it sends the newest numbers of each run, and waits where that fails."""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Collection
from typing import Protocol

from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.number_text import counted
from beam_obs.records.secrets import redact_text

_LOGGER = logging.getLogger(__name__)

MOST_WAITING = 5_000
"""So many runs may wait for a target; beyond them the one that has waited longest is dropped."""

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_LAST_ATTEMPTS = 2
"""How often a target that fails is tried once there is nothing more to come."""


class NotAccepted(Exception):
    """Raised by `Destination.send`: the target refuses these numbers, however often they are sent."""


class Destination(Protocol):
    """Where numbers are sent to: all that differs between one target and another.

    Its methods are called in one thread, one after the other.

    Args:
      name: its kind, e.g. ``pushgateway``: the label of what was dropped.
      place: where it is, as messages call it, e.g. ``the Pushgateway at http://localhost:9091``.
      seconds: least time from one round of sending to the next, but for the last.
    """

    name: str
    place: str
    seconds: float

    def send(self, numbers: RunNumbers) -> None:
        """Sends the numbers of a run; takes no longer than a few seconds.

        Raises:
          NotAccepted: the target will never take them.
          Exception: any other; they are sent again, or newer ones in their place.
        """

    def close(self) -> None:
        """Ends it; nothing is sent afterwards."""


class SendingExporter:
    """An exporter that sends to a destination, in a thread of its own.

    Numbers that newer ones of the same run replace before their turn are no loss, as all are totals. Dropped
    are those that failed to be sent before newer ones came, that were refused, that were too many to wait,
    and that were left when it was closed.

    Args:
      destination: where it sends to.
    """

    def __init__(self, destination: Destination) -> None:
        self.name = destination.name
        self._destination = destination
        self._changed = threading.Condition()
        self._waiting: dict[str, RunNumbers] = {}
        self._in_hand: str | None = None
        """The run whose numbers are being sent."""
        self._failed: set[str] = set()
        """Runs among those that wait whose numbers were tried in vain."""
        self._dropped: collections.Counter[str] = collections.Counter()
        self._is_closing = False
        self._has_said: set[type[Exception]] = set()
        self._thread = threading.Thread(
            target=self._send_on, name=f"beam_obs exporter {destination.name}", daemon=True
        )
        self._thread.start()

    def export(self, numbers: RunNumbers) -> None:
        """Takes the newest numbers of a run, in place of those before; returns at once, raises nothing."""
        with self._changed:
            if self._is_closing:
                self._dropped[numbers.run] += 1
                return
            if numbers.run in self._failed:
                self._drop(numbers.run)
            self._waiting[numbers.run] = numbers
            if len(self._waiting) > MOST_WAITING:
                longest = next(iter(self._waiting))
                del self._waiting[longest]
                self._drop(longest)
            self._changed.notify()

    def expect(self, pipelines: Collection[str] | None) -> None:
        """Does nothing: what was sent is with the target."""

    def dropped(self, run: str) -> int:
        """Returns how many times numbers of a run were not sent and are lost."""
        return self._dropped[run]

    def expect_no_more(self) -> None:
        """Hears that no numbers follow, so that those that wait can be sent at once."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def close(self, timeout: float) -> bool:
        """Sends what was not sent yet and ends; returns whether all was.

        Args:
          timeout: seconds that it may take.
        """
        self.expect_no_more()
        self._thread.join(timeout)
        with self._changed:
            lost = {*self._waiting, *filter(None, [self._in_hand])}
            for run in lost:
                self._drop(run)
            self._waiting.clear()
        if lost:
            _LOGGER.warning(
                "%s was not sent the last numbers of %s", self._destination.place, counted(len(lost), "run")
            )
        return not lost and not self._thread.is_alive()

    def _drop(self, run: str) -> None:
        self._failed.discard(run)
        self._dropped[run] += 1

    def _send_on(self) -> None:
        failures = last_attempts = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if not self._waiting or last_attempts >= _LAST_ATTEMPTS:
                    break
                is_last = self._is_closing
            if self._send_waiting():
                failures = 0
                self._pause(self._destination.seconds)
            else:
                last_attempts += is_last
                pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**failures)
                failures += 1
                self._pause(max(pause, self._destination.seconds), at_least=_FIRST_PAUSE_SECONDS)
        with contextlib.suppress(Exception):
            self._destination.close()

    def _send_waiting(self) -> bool:
        """Sends what waits now; returns whether the target took it, or will never take it."""
        with self._changed:
            runs = list(self._waiting)
        for run in runs:
            with self._changed:
                numbers = self._waiting.pop(run, None)
                self._failed.discard(run)
                self._in_hand = run if numbers is not None else None
            if numbers is None:
                continue
            try:
                self._destination.send(numbers)
            except NotAccepted as error:
                self._say(error)
                with self._changed:
                    self._in_hand = None
                    self._drop(run)
            except Exception as error:  # of any library and any network
                self._say(error)
                with self._changed:
                    self._in_hand = None
                    if run in self._waiting:
                        self._drop(run)
                    else:
                        self._waiting[run] = numbers
                        self._failed.add(run)
                return False
            with self._changed:
                self._in_hand = None
        return True

    def _say(self, error: Exception) -> None:
        """Says once for each kind of error what does not work: a target may be away for hours."""
        kind = NotAccepted if isinstance(error, NotAccepted) else Exception
        if kind in self._has_said:
            return
        self._has_said.add(kind)
        reason = redact_text(" ".join(f"{type(error).__name__}: {error}".split())[:500])
        if kind is NotAccepted:
            _LOGGER.warning("%s does not take numbers of a run: %s", self._destination.place, reason)
        else:
            _LOGGER.warning("%s cannot be reached, and is tried again: %s", self._destination.place, reason)

    def _pause(self, seconds: float, at_least: float = 0.0) -> None:
        """Waits, and no longer than has to be where nothing more is to come."""
        began = time.monotonic()
        with self._changed:
            while True:
                waited = time.monotonic() - began
                left = (at_least if self._is_closing else seconds) - waited
                if left <= 0 or (self._is_closing and not self._waiting):
                    return
                self._changed.wait(left)

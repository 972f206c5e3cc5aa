"""The thread that looks at a run's counts while it lives: for the terminal, and for ``live.json``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from beam_obs.metrics.run_snapshot import Snapshot
from beam_obs.runs.progress import Progress

_LOGGER = logging.getLogger(__name__)

LIVE_SECONDS = 5.0
"""How often the counts are kept."""

_PATIENCE_SECONDS = 1.0


class Watcher:
    """Looks at the counts of a run, from `start` to `stop`; writes nothing itself, so that no store stops it.

    Args:
      progress: what shows them.
      look: gives the numbers so far, or None where nobody has any; whether all of them are wanted, for which
        a runner may have to be asked, is its argument.
      keep: takes the numbers every `LIVE_SECONDS`, the first ones at once.
    """

    def __init__(
        self,
        progress: Progress,
        look: Callable[[bool], Snapshot | None],
        keep: Callable[[Snapshot | None], Any],
    ) -> None:
        self._progress = progress
        self._look = look
        self._keep = keep
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="beam_obs watcher", daemon=True)

    def start(self) -> None:
        """Begins to look, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; waits a moment for the display to be taken away."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_SECONDS)

    def _keep_told(self, snapshot: Snapshot | None) -> None:
        try:
            self._keep(snapshot)
        except Exception as error:  # an error of ours ends no display, and is told once
            self._keep = lambda _: None
            _LOGGER.error("beam_obs could not tell the counts of a running run", exc_info=error)

    def _watch(self) -> None:
        pace = LIVE_SECONDS if self._progress.seconds is None else self._progress.seconds
        kept_at = -LIVE_SECONDS
        with self._progress:
            while True:
                now = time.monotonic()
                is_due = now - kept_at >= LIVE_SECONDS - pace / 2
                snapshot = self._look(is_due)
                self._progress.show(snapshot)
                if is_due:
                    kept_at = now
                    self._keep_told(snapshot)
                if self._ended.wait(pace):
                    return

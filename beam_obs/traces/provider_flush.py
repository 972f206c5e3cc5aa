"""Has a provider of the program's own send what it holds, without waiting for a backend that is down.

The SDK's batches heed no time-out: they wait as long as their exporter tries, ten seconds by default.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from typing import Any

SECONDS = 2.0
"""Longest that the end of a bundle waits for its spans to be on their way."""


@functools.lru_cache(maxsize=1)
def flush_of(provider: Any) -> ProviderFlush:
    """Returns what flushes a provider, the same for all runs: a process has but one provider."""
    return ProviderFlush(provider)


class ProviderFlush:
    """Flushes in a thread of its own; waits for it, unless the last flush took longer than `SECONDS`.

    Args:
      provider: of spans, that the program has set up.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._late: threading.Thread | None = None
        self._is_slow = False

    def __call__(self) -> None:
        if self._late is not None and self._late.is_alive():
            return
        thread = threading.Thread(target=self._flush, name="beam_obs flush", daemon=True)
        thread.start()
        thread.join(0 if self._is_slow else SECONDS)
        self._late = thread if thread.is_alive() else None

    def _flush(self) -> None:
        began = time.monotonic()
        with contextlib.suppress(Exception):
            self._provider.force_flush(int(SECONDS * 1000))
        self._is_slow = time.monotonic() - began > SECONDS

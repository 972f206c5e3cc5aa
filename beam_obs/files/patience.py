"""Patience with a store that is away: what is written to a server is tried again for a while.

Not every engine tries a bundle again, and one that does does all of its work again. A folder of this machine
is not waited for: what is wrong with it stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PATIENCE_SECONDS = 120
"""How long a store that is away is waited for, where nobody said."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 5.0
_LOGGER = logging.getLogger(__name__)
_GIVEN_UP: set[str] = set()
"""Servers that this process has waited for in vain, and not reached since."""


def patiently(write: Callable[[], None], path: str, seconds: float) -> None:
    """Writes, and where that fails tries again for a while.

    A server that was waited for in vain is not waited for again before it has answered, so that an outage
    costs a process its patience once.

    Args:
      write: writes a file whole; may be called again after it has failed.
      path: of the file.
      seconds: how long it is tried again.

    Raises:
      Exception: what `write` raised last.

    >>> patiently(lambda: print("written"), "s3://bucket/file", 10)
    written
    """
    if "://" not in path:
        write()
        return
    server = "/".join(path.split("/")[:3])
    until = time.monotonic() + (0.0 if server in _GIVEN_UP else seconds)
    pause = _FIRST_PAUSE_SECONDS
    while (error := _failure_of(write)) is not None:
        left = until - time.monotonic()
        if left <= 0:
            _GIVEN_UP.add(server)
            raise error
        if pause == _FIRST_PAUSE_SECONDS:
            _LOGGER.warning("%s cannot be reached, tried again for %.0f s: %s", server, left, error)
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    _GIVEN_UP.discard(server)


def _failure_of(write: Callable[[], None]) -> Exception | None:
    try:
        write()
    except MemoryError:
        raise
    except Exception as error:
        return error
    return None

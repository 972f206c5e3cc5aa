"""Log messages of a library's, kept from this thread's calls of it: what fails is said once, by us."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def kept_messages(*loggers: str) -> Iterator[list[str]]:
    """Gives the messages that this thread logs meanwhile, from warnings on, which go nowhere else.

    Args:
      loggers: names of the loggers, those above or below not with them.

    >>> with kept_messages("library") as messages:
    ...     logging.getLogger("library").warning("no route to %s", "host")
    >>> messages
    ['no route to host']
    """
    messages: list[str] = []
    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        if record.levelno >= logging.WARNING:
            messages.append(record.getMessage())
        return False

    found = [logging.getLogger(name) for name in loggers]
    for logger in found:
        logger.addFilter(keep)
    try:
        yield messages
    finally:
        for logger in found:
            logger.removeFilter(keep)

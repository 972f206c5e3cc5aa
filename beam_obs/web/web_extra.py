"""What pages take beside the core: the ``web`` extra, named where it is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from beam_obs.records.errors import MissingExtra

EXTRA = "web"
_OF_EXTRA = ("jinja2", "markupsafe", "starlette", "uvicorn")


@contextlib.contextmanager
def web_extra() -> Iterator[None]:
    """Around imports that take the extra.

    Raises:
      MissingExtra: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _OF_EXTRA:
            raise
        raise MissingExtra("Pages", EXTRA) from None

"""Where in the user's program a transform was made, for messages about it."""

from __future__ import annotations

import sys


def made_at(transform: object) -> str:
    """Returns file and line of the call that made a transform; called by its `__init__`.

    Args:
      transform: of ours, or of a subclass of the user's.
    """
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_locals.get("self") is transform:  # a subclass's __init__
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"

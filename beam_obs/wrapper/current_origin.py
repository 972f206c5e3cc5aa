"""The origin of the element that user code is working on, found by looking up the stack.

Setting a variable for each element would cost every element; looking costs only those who ask.
"""

from __future__ import annotations

import sys
from types import FrameType

from beam_obs.records.contributors import ORIGIN_BYTES

WOVEN_FRAME = "<beam_obs woven "
"""How the names begin by which tracebacks show process functions of ours that carry a provenance."""
OBSERVED_FRAME = "<beam_obs observed "
"""The same, of those that carry none."""


def current_origin() -> bytes | None:
    """Returns the origin of the element that is being processed, 16 bytes, or None where none is known.

    For use inside of user code of a woven pipeline, on the thread that Beam called it on.

    >>> current_origin() is None
    True
    """
    frame = sys._getframe(1)
    while frame is not None:
        if is_frame_of_origin(frame):
            return origin_in(frame.f_locals.get("provenance"))
        frame = frame.f_back  # type: ignore[assignment]
    return None


def origin_in(provenance: object) -> bytes | None:
    """Returns the origin that a provenance is; None where it is of several elements, or none at all."""
    return provenance if isinstance(provenance, bytes) and len(provenance) == ORIGIN_BYTES else None


def is_frame_of_origin(frame: FrameType) -> bool:
    """Returns whether a frame is of a process function of ours that carries a provenance."""
    code = frame.f_code
    return code.co_filename.startswith(WOVEN_FRAME) or (
        code.co_name in _NAMES and "provenance" in code.co_varnames
    )


_NAMES = frozenset({"woven_process", "woven_results"})

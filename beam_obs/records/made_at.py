"""Where in the user's program something was made or asked for, for messages about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_BUILDING = ("beam_obs.cli", "beam_obs.web", "apache_beam.runners.worker")
"""Modules from which a user's line is asked for no transform and no setting: a command, a page, a worker."""


def made_at(transform: object) -> str:
    """Returns file and line of the call that made a transform; called by its `__init__`.

    Args:
      transform: of ours, or of a subclass of the user's.
    """
    for frame in calling_frames():
        of_subclass = frame.f_locals.get("self") is transform  # in its __init__
        if not (of_subclass or _is_ours(frame)):
            break
    return _place(frame)


def users_line() -> str | None:
    """Returns file and line of the user's program that is being run to build a pipeline; None in a worker,
    and where a command or a page of ours asks by itself."""
    for frame in calling_frames():
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(_NOT_BUILDING):
            return None
        package = module.partition(".")[0]
        if not (_is_ours(frame) or package == "apache_beam" or package in sys.stdlib_module_names):
            return _place(frame)
    return None


def calling_frames() -> Iterator[FrameType]:
    """Gives the frames that are being run, from that of the caller outwards."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    # What dataclasses and named tuples generate has no file of its own.
    generated = file == "<string>" and str(frame.f_globals.get("__name__")).startswith("beam_obs.")
    return generated or file.startswith(_OURS)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"

"""A program of the user's, run in this process as `python PROGRAM` would."""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any


def run_program(program: str, as_module: bool) -> None:
    """Runs a program as the main one.

    Args:
      program: path of a file, or name of a module.
      as_module: which.
    """
    _run_module(program) if as_module else _run_file(program)


def _run_module(name: str) -> None:
    sys.path[0] = os.getcwd()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run_file(path: str) -> None:
    """Runs a file in the real `__main__` module, so that functions defined there can be pickled."""
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    main = sys.modules["__main__"]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    main.__dict__.update(__file__=path, __spec__=None, __package__=None, __doc__=None, __loader__=None)
    exec(code, main.__dict__)


def show_error(error: BaseException, *called_by: str) -> None:
    """Prints a program's traceback from the program's first frame on.

    Args:
      error: that ended it.
      called_by: files whose frames at the start are not the program's.
    """
    frames: Any = error.__traceback__
    ours = {__file__, runpy.__file__, *called_by}
    while frames is not None and (
        frames.tb_frame.f_code.co_filename in ours
        or frames.tb_frame.f_code.co_filename.startswith(("<frozen runpy", "<frozen importlib"))
    ):
        frames = frames.tb_next
    sys.excepthook(type(error), error.with_traceback(frames), frames)

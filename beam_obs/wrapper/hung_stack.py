"""Where the code of a process hangs: its stack, asked for by a signal before the process is ended.

Python's `faulthandler` writes it also while C code holds the interpreter, as a regular expression does.
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import select
import signal

from beam_obs.wrapper.failure import Failure, fingerprint, is_library, is_ours, type_name

_SIGNAL = signal.SIGUSR1
_SECONDS = 0.5
_PAUSE_SECONDS = 0.05
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)


def tell_stacks(descriptor: int) -> None:
    """Has this process write the stack of its main thread where it is asked for it.

    Args:
      descriptor: file descriptor of a pipe.
    """
    faulthandler.register(_SIGNAL, file=descriptor, all_threads=False)


def stack_of(process: int, descriptor: int) -> str:
    """Returns what a process writes of its stack; nothing where it does not answer at once.

    Args:
      process: its id.
      descriptor: file descriptor of the other end of its pipe.
    """
    found, seconds = b"", _SECONDS
    try:
        os.kill(process, _SIGNAL)
        while select.select([descriptor], [], [], seconds)[0]:
            block = os.read(descriptor, 65_536)
            if not block:
                break
            found, seconds = found + block, _PAUSE_SECONDS
    except OSError:
        pass
    return found.decode("utf-8", "backslashreplace")


def failure_of_hung(error: Exception, stage: str, stack: str) -> Failure:
    """Returns what is said of an element that took too long.

    Args:
      error: that is raised for it.
      stage: label of the stage.
      stack: of its process, as `stack_of` gives it, the innermost frame first.

    >>> stack = 'Current thread 0x1 (most recent call first):\\n  File "app.py", line 7 in wait\\n'
    >>> print(failure_of_hung(TimeoutError("5 s"), "step", stack).traceback)
    Traceback (most recent call last):
      File "app.py", line 7, in wait
    TimeoutError: 5 s
    <BLANKLINE>
    """
    frames = [frame for frame in _FRAME.finditer(stack) if not is_ours(frame["file"])]
    users = [frame["function"] for frame in frames if not is_library(frame["file"])]
    kind = type_name(error)
    lines = [_told(frame["file"], int(frame["line"]), frame["function"]) for frame in reversed(frames)]
    head = "Traceback (most recent call last):\n" if lines else ""
    text = f"{head}{''.join(lines)}{kind}: {error}\n"
    return Failure(kind, str(error), text, fingerprint(kind, stage, "", users[0] if users else ""))


def _told(file: str, line: int, function: str) -> str:
    source = linecache.getline(file, line).strip()
    return f'  File "{file}", line {line}, in {function}\n' + (f"    {source}\n" if source else "")

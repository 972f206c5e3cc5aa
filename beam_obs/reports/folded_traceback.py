"""A traceback in parts: the frames of the user's code, and those of Beam's and ours between them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line \d+')
_OF_BEAM = re.compile(r"[/\\](?:apache_beam|beam_obs)[/\\]")


class TracebackPart(NamedTuple):
    """Lines of a traceback.

    Args:
      text: the lines.
      folded: how many frames of Beam's and ours they are; 0 where they are to be shown at once.
    """

    text: str
    folded: int


def traceback_parts(text: str) -> list[TracebackPart]:
    """Returns a traceback in parts.

    Args:
      text: as Python prints it.

    >>> text = '''  File "/lib/apache_beam/runners/common.py", line 1, in process
    ...     call()
    ...   File "/home/me/job.py", line 2, in parse
    ...     int(row)
    ... '''
    >>> [(part.folded, part.text.splitlines()[-1].strip()) for part in traceback_parts(text)]
    [(1, 'call()'), (0, 'int(row)')]
    """
    parts = []
    for is_of_beam, frames in itertools.groupby(_frames(text.rstrip("\n")), lambda frame: frame[0]):
        lines = [lines for _, lines in frames]
        parts.append(TracebackPart("\n".join(lines), len(lines) if is_of_beam else 0))
    return parts


def _frames(text: str) -> Iterator[tuple[bool, str]]:
    """Gives frames, each with its line of code, and lines that are of none."""
    waiting: list[str] = []
    is_of_beam = False
    for line in text.split("\n"):
        frame = _FRAME.match(line)
        if waiting and (frame or not line.startswith("    ")):
            yield is_of_beam, "\n".join(waiting)
            waiting = []
        if not waiting:
            is_of_beam = frame is not None and _OF_BEAM.search(frame["file"]) is not None
        waiting.append(line)
    yield is_of_beam, "\n".join(waiting)

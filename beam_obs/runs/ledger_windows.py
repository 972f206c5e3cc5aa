"""The windows of event time in which what was given to a step is not what it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from beam_obs.records.number_text import amount_text
from beam_obs.records.origin_sums import Odd, Total, alone
from beam_obs.records.window_sums import Window, WindowSums


class Example(NamedTuple):
    """A record that is lost, or too many.

    Args:
      origin: its own; all zero where it is not known.
      times: how much more often it was given than taken; below 0 the other way round.
      window: in which, or empty where that is not known.
    """

    origin: bytes
    times: int
    window: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the example as kept in ``end.json``."""
        told = {"origin": self.origin.hex(), "times": self.times}
        return {**told, "window": self.window} if self.window else told


class WindowFound(NamedTuple):
    """A window in which something is lost, or too many.

    Args:
      window: as Beam prints it.
      lost: of what was given in it, how many were not taken.
      added: of what was taken in it, how many were not given; both at least, unless it is one alone.
      alone: what differs, where it is one.
    """

    window: str
    lost: int
    added: int
    alone: Odd | None = None

    @property
    def text(self) -> str:
        """The window in one line.

        >>> WindowFound("[0.0, 10.0)", 2, 0).text
        '[0.0, 10.0): 2 lost'
        """
        return f"{self.window}: {amount_text(self.lost, self.added)}"

    def to_json(self) -> dict[str, Any]:
        """Returns the window as kept in ``end.json``."""
        return {"window": self.window, "lost": self.lost, "added": self.added}


def windows_found(difference: WindowSums, late: Mapping[str, int]) -> tuple[WindowFound, ...]:
    """Returns the windows where something is left, but for what came too late.

    Args:
      difference: what was given in each, less what was taken.
      late: how many came too late for it, by window.
    """
    found = (window_found(window, total, late.get(window.text, 0)) for window, total in difference.items())
    return tuple(one for one in found if one is not None)


def window_found(window: Window, difference: Total, late: int = 0) -> WindowFound | None:
    """Returns what is lost or too many in a window; None where nothing is but what came too late for it.

    Args:
      window: the window.
      difference: what was given in it, less what was taken.
      late: how many came too late.

    >>> window_found(Window(0, 10_000_000), Total(2, 5, 7)).text
    '[0.0, 10.0): 2 lost'
    >>> window_found(Window(0, 10_000_000), Total(2, 5, 7), 2) is None
    True
    """
    number = difference.signed
    if difference == Total(0, 0, 0) or (number and number == late):
        return None
    lost, added = (number, 0) if number > 0 else (0, -number) if number else (1, 1)
    return WindowFound(window.text, lost, added, alone(*difference))


def examples_by_window(odd: Iterable[Odd], windows: Iterable[WindowFound]) -> list[Example]:
    """Returns records that differ, each with its window where that is known.

    Args:
      odd: what differs of all.
      windows: those in which something does; of one of them in which several do, and of one only, those are
        the rest.
    """
    found = [Example(*one.alone, one.window) for one in windows if one.alone is not None]
    named = {(one.origin, one.times) for one in found}
    rest = [one for one in odd if (one.origin, one.times) not in named]
    unclear = [one.window for one in windows if one.alone is None]
    window = unclear[0] if len(unclear) == 1 else ""
    return [*found, *(Example(*one, window) for one in rest)]

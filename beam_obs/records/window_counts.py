"""What a step that gathers elements took and gave in one window, and which sampled origins were there.

An origin that went in and is in nothing that came out was dropped. At most `MOST_NOTED` are kept of each
side, those with the largest hashes. What came out is a part of what went in: an origin that is among the
largest of what went in would be among the largest of what came out, had it come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_NOTED = 128
_HASH_AT = 9


class WindowCounts(NamedTuple):
    """Elements of one window.

    Args:
      taken: that went in.
      given: that are in what came out.
      late: of these, those in panes that are late.
      noted_taken: sampled origins that went in; the largest by hash, if there are more than are kept.
      noted_given: the same of what came out.
      floor: hash up to which nobody knows what came out; empty where all is known.
    """

    taken: int = 0
    given: int = 0
    late: int = 0
    noted_taken: frozenset[bytes] = frozenset()
    noted_given: frozenset[bytes] = frozenset()
    floor: bytes = b""

    def plus(self, other: WindowCounts) -> WindowCounts:
        """Returns both together, as if they had been counted at once."""
        taken, _ = _largest(self.noted_taken | other.noted_taken)
        given, floor = _largest(self.noted_given | other.noted_given)
        return WindowCounts(
            self.taken + other.taken,
            self.given + other.given,
            self.late + other.late,
            taken,
            given,
            max(self.floor, other.floor, floor),
        )

    def missing(self, given: frozenset[bytes] | None = None, floor: bytes | None = None) -> frozenset[bytes]:
        """Returns the sampled origins of which all that went in came out nowhere.

        Args:
          given: sampled origins of what came out, where that is in other windows.
          floor: for these.
        """
        came = self.noted_given if given is None else given
        known_from = self.floor if floor is None else floor
        return frozenset(one for one in self.noted_taken - came if one[_HASH_AT:] > known_from)

    def to_json(self) -> list[Any]:
        """Returns them as manifests have them: three counts; and what is noted, where anything is."""
        counts: list[Any] = [self.taken, self.given, self.late]
        if self.noted_taken or self.noted_given or self.floor:
            noted = (sorted(one.hex() for one in side) for side in (self.noted_taken, self.noted_given))
            counts.extend([*noted, self.floor.hex()])
        return counts

    @classmethod
    def from_json(cls, told: list[Any]) -> WindowCounts:
        """Returns what `to_json` gave.

        Raises:
          ValueError, TypeError: it is nothing of that kind.

        >>> counts = WindowCounts(3, 2, 0, frozenset([b"a" * 16]))
        >>> WindowCounts.from_json(counts.to_json()) == counts
        True
        """
        taken, given, late, *noted = told
        if not noted:
            return cls(int(taken), int(given), int(late))
        of_taken, of_given, floor = noted
        went_in, came_out = (frozenset(map(bytes.fromhex, side)) for side in (of_taken, of_given))
        return cls(int(taken), int(given), int(late), went_in, came_out, bytes.fromhex(floor))


def dropped_origins(windows: Mapping[str, WindowCounts], dropped: int) -> dict[bytes, tuple[str, ...]]:
    """Returns the sampled origins that a step dropped, each with the windows that it was dropped from.

    Where windows merge, those that elements go into are not those that they come out of: no window is told.
    Nothing is, where more origins are missing than elements were dropped.

    Args:
      windows: of the step, by window.
      dropped: how many elements it dropped.

    >>> here, lost = b"h" * 16, b"l" * 16
    >>> windows = {"[0, 5)": WindowCounts(2, 1, 0, frozenset([here, lost]), frozenset([here]))}
    >>> dropped_origins(windows, 1) == {lost: ("[0, 5)",)}
    True
    """
    found: dict[bytes, tuple[str, ...]] = {}
    if any(counts.given > counts.taken for counts in windows.values()):
        given = frozenset[bytes]().union(*(counts.noted_given for counts in windows.values()))
        floor = max((counts.floor for counts in windows.values()), default=b"")
        for counts in windows.values():
            found.update(dict.fromkeys(counts.missing(given, floor), ()))
    else:
        for window, counts in windows.items():
            for origin in counts.missing():
                found[origin] = (*found.get(origin, ()), window)
    return found if sum(max(1, len(of)) for of in found.values()) <= dropped else {}


def _largest(origins: frozenset[bytes]) -> tuple[frozenset[bytes], bytes]:
    """Returns the largest by hash, and the hash of the smallest of them where others are left out."""
    if len(origins) <= MOST_NOTED:
        return origins, b""
    kept = sorted(origins, key=lambda one: one[_HASH_AT:])[-MOST_NOTED:]
    return frozenset(kept), kept[0][_HASH_AT:]

"""Rows of the ledger: what passed the points of a step in a bundle, and their sum over all bundles of a run.

A point is a place where a step counts elements: where they enter it, where they leave, where nothing comes of
them. Each has a number, from 1, that the weave gives it. A row is, for each point that anything passed, its
number and the length of what follows (4 bytes each, big endian), and the encoded `OriginSums`; where elements
are in windows the encoded `WindowSums` too, by the number of the point and `BY_WINDOW`. Terms are numbers of
points, below 0 where what passed the point is to be taken away.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from beam_obs.records.manifest import Manifest
from beam_obs.records.origin_sums import OriginSums
from beam_obs.records.window_sums import WindowSums

LEDGER = "ledger"
"""Kind of the manifests that have sums, in their detail `SUMS`; no file goes with them."""
SUMS = "sums"
SUMS_BY_WINDOW = "sums_by_window"
"""Detail that has the same by window, where there are windows."""
_HEAD = struct.Struct(">II")
BY_WINDOW = 1 << 31
"""Added to the number of a point where what follows is by window."""

Terms = tuple[int, ...]

TAKEN, MISSED, LATER, GIVEN, REFUSED, UNTAKEN, TAGS = range(7)
"""What the points of a step count: elements that came in; those of which nothing came; those whose outputs
are all among `GIVEN`; outputs beyond one for each element; refusals; outputs that no PCollection has; and, of
each tag in turn, its outputs."""
OVER = LATER
"""Of a step that makes groups: the windows, by window alone, of which it gave all that came in time."""


class StepPoints(NamedTuple):
    """The points of a step.

    Args:
      first: number of the first of them.
      tags: of its outputs beside the main one.
      gives_given: whether all its main outputs are among `GIVEN`, and not one for each element.
      is_first: whether what it takes does not come right from a step that counts.
      told_by: first point of the step that tells in which windows the elements are; 0 where none does.
      window_micros: how long these windows are, in microseconds.
      micros_before: the same of those in which elements come, where the step puts them into others.
      in_several: whether an element may be in several; it counts in each of them.
      window_fn: assigns them to what the step gives a time of its own.
    """

    first: int
    tags: tuple[str, ...] = ()
    gives_given: bool = False
    is_first: bool = False
    told_by: int = 0
    window_micros: int = 0
    micros_before: int | None = None
    in_several: bool = False
    window_fn: Any = None

    @property
    def tells_windows(self) -> bool:
        """Whether the step itself tells in which windows the elements are, to those behind it too."""
        return self.told_by == self.first

    @property
    def number(self) -> int:
        """How many there are."""
        return TAGS + len(self.tags)

    @property
    def taken(self) -> Terms:
        """What came in."""
        return (self.first + TAKEN,)

    @property
    def filtered(self) -> Terms:
        """That of which nothing came."""
        return (self.first + MISSED,)

    @property
    def refused(self) -> Terms:
        """What was refused."""
        return (self.first + REFUSED,)

    @property
    def over(self) -> Terms:
        """Windows that are over, of a step that makes groups."""
        return (self.first + OVER,)

    @property
    def given(self) -> Terms:
        """What left by the main output.

        >>> StepPoints(1).given
        (1, -2, -3, 4, -6)
        """
        others = tuple(-(self.first + UNTAKEN + at) for at in range(1 + len(self.tags)))
        if self.gives_given:
            return (self.first + GIVEN, *others)
        first = self.first
        return (first + TAKEN, -(first + MISSED), -(first + LATER), first + GIVEN, *others)

    def given_to(self, tag: str) -> Terms:
        """What left by another output."""
        return (self.first + TAGS + self.tags.index(tag),)


def row_of(parts: Iterable[tuple[int, bytes]]) -> bytes:
    """Returns the row of points and what passed them, encoded."""
    return b"".join(_HEAD.pack(point, len(sums)) + sums for point, sums in parts)


def parts_of(row: bytes) -> Iterator[tuple[int, bytes]]:
    """Gives the points of a row and what passed them.

    >>> list(parts_of(row_of([(1, b"a"), (2, b"")])))
    [(1, b'a'), (2, b'')]
    """
    at = 0
    while at < len(row):
        point, length = _HEAD.unpack_from(row, at)
        at += _HEAD.size + length
        yield point, row[at - length : at]


class PointSums:
    """What passed each point, as a whole and by window."""

    def __init__(self) -> None:
        self.by_point: dict[int, OriginSums] = {}
        self.by_window: dict[int, WindowSums] = {}

    def add_row(self, row: bytes) -> None:
        """Adds the row of a bundle."""
        for point, sums in parts_of(row):
            if point & BY_WINDOW:
                self._add_by_window(point & ~BY_WINDOW, sums)
            else:
                self._add(point, sums)

    def _add(self, point: int, sums: bytes) -> None:
        self.by_point.setdefault(point, OriginSums()).merge(OriginSums.decode(sums))

    def _add_by_window(self, point: int, sums: bytes) -> None:
        self.by_window.setdefault(point, WindowSums()).merge(WindowSums.decode(sums))

    def add_details(self, details: Mapping[str, Mapping[str, str]]) -> None:
        """Adds the details of a manifest.

        Raises:
          ValueError: they are damaged.
        """
        for name, add in ((SUMS, self._add), (SUMS_BY_WINDOW, self._add_by_window)):
            for point, sums in details.get(name, {}).items():
                try:
                    content = base64.b64decode(sums, validate=True)
                except binascii.Error as error:
                    raise ValueError(f"sums of point {point} are no text of bytes") from error
                add(int(point), content)

    def merge(self, other: PointSums) -> None:
        """Adds what other bundles have."""
        for point, sums in other.by_point.items():
            self.by_point.setdefault(point, OriginSums()).merge(sums)
        for point, by_window in other.by_window.items():
            self.by_window.setdefault(point, WindowSums()).merge(by_window)

    def keep_windows(self, most: int) -> None:
        """Forgets all windows but those with the latest ends: the same at all points, which are compared."""
        ends = sorted({end for sums in self.by_window.values() for end in sums.ends()})
        if len(ends) > most:
            for sums in self.by_window.values():
                sums.forget(ends[-most - 1])

    def details(self) -> dict[str, dict[str, str]]:
        """Returns the details of a manifest."""
        told = {SUMS: _texts(self.by_point)}
        return {**told, SUMS_BY_WINDOW: _texts(self.by_window)} if self.by_window else told

    def of(self, terms: Iterable[int]) -> OriginSums:
        """Returns what terms come to."""
        return _sum_of(terms, self.by_point, OriginSums())

    def by_window_of(self, terms: Iterable[int]) -> WindowSums:
        """Returns what terms come to in each window, as far as windows are known."""
        return _sum_of(terms, self.by_window, WindowSums())


_Sums = TypeVar("_Sums", OriginSums, WindowSums)


def _sum_of(terms: Iterable[int], by_point: Mapping[int, _Sums], found: _Sums) -> _Sums:
    for point in terms:
        sums = by_point.get(abs(point))
        if sums is not None:
            found.merge(sums, 1 if point > 0 else -1)
    return found


def _texts(sums: Mapping[int, OriginSums | WindowSums]) -> dict[str, str]:
    return {str(point): base64.b64encode(one.encode()).decode() for point, one in sorted(sums.items())}


def manifest_of(sums: PointSums) -> Manifest:
    """Returns the manifest of sums; its name is its own, since sums may be those of another bundle too."""
    return Manifest(LEDGER, "", os.urandom(6).hex(), len(sums.by_point), details=sums.details())


def merged(manifests: Iterable[str]) -> list[str]:
    """Returns manifests, those of the ledger as one: a run of many bundles has no more of them than of one.

    Args:
      manifests: as JSON text.
    """
    others: list[str] = []
    sums = PointSums()
    for text in manifests:
        told = json.loads(text) if _IN_TEXT in text else {}
        if told.get("kind") == LEDGER:
            sums.add_details(told["details"])
        else:
            others.append(text)
    return [*others, manifest_of(sums).to_json()] if sums.by_point else others


_IN_TEXT = f'"{LEDGER}"'

"""How many elements passed a place, and sums of their origins, by which two places are compared.

Sums of two places differ where one has an element that the other has not, also where the counts are the same:
one lost and one doubled, or one in the place of another. Origins are summed up in cells, by the last bits of
their hash: what differs alone in its cell is had back whole. So that many differences do not fill all cells,
a level has but every 32nd origin of the level before it, those with the largest hash.

All numbers are modulo 2^64, so that sums can be subtracted. Encoded:

    0   origins, 16 bytes each, zero where none is known: of a few elements, not summed up yet
    1   cells that are not zero: place (2 bytes), count, sum of the first halves of the origins, of the second
        halves, of the squares of these (8 bytes each), big endian
    2   count, sum of the first halves, of the second halves: of all, without cells
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from beam_obs.records.origin import ORIGIN_BYTES, RANDOM_BITS

if TYPE_CHECKING:
    import numpy

_CELL_BITS = 5
CELLS = 1 << _CELL_BITS
LEVELS = 4
_ORIGINS, _CELLS, _TOTAL = b"\0", b"\1", b"\2"
FEW = 64
"""Elements up to which their origins are fewer bytes than what they are summed up to."""
_MASK_64 = 2**64 - 1
_RANDOM_MASK = 2**RANDOM_BITS - 1
NOT_KNOWN = bytes(ORIGIN_BYTES)
"""Stands for an origin that is not known."""


class Total(NamedTuple):
    """What all elements of a place come to, modulo 2^64.

    Args:
      number: of elements.
      first: sum of the first halves of their origins.
      second: sum of the second halves.
    """

    number: int
    first: int
    second: int

    @property
    def signed(self) -> int:
        """How many elements; below 0 where more were taken away."""
        return _signed(self.number)


class Odd(NamedTuple):
    """An origin that one of two places has more often.

    Args:
      origin: 16 bytes; all zero where it is not known.
      times: how much more often the first place has it; below 0 where the second does.
    """

    origin: bytes
    times: int


class OriginSums:
    """Sums of the origins of elements; those of two places are added and subtracted.

    >>> sums = OriginSums()
    >>> sums.add([b"a" * 16, b"b" * 16, b"b" * 16])
    >>> other = OriginSums()
    >>> other.add([b"a" * 16, b"c" * 16, b"b" * 16])
    >>> sums.subtract(other)
    >>> sums.count, sorted(sums.odd())
    (0, [Odd(origin=b'bbbbbbbbbbbbbbbb', times=1), Odd(origin=b'cccccccccccccccc', times=-1)])
    """

    def __init__(self) -> None:
        self._cells: numpy.ndarray | None = None
        self._few: list[bytes] = []
        self._total: Total | None = None
        """Of what came without cells; then there are none for the whole."""

    # What is summed up.

    def add(self, provenances: Iterable[bytes]) -> None:
        """Adds elements; those whose provenance is no origin count as of an origin that is not known."""
        held = provenances if isinstance(provenances, list) else list(provenances)
        joined = b"".join(held)
        if len(joined) != ORIGIN_BYTES * len(held):
            joined = b"".join(one if len(one) == ORIGIN_BYTES else NOT_KNOWN for one in held)
        self._few.append(joined)
        if len(held) > FEW:
            self._sum_up()

    def add_total(self, total: Total) -> None:
        """Adds elements of which but the total is known."""
        self._total = sum_of_totals([self._total or Total(0, 0, 0), total])

    def subtract(self, other: OriginSums) -> None:
        """Takes away what another place has."""
        self.merge(other, -1)

    def merge(self, other: OriginSums, times: int = 1) -> None:
        """Adds what another place has, some times."""
        import numpy as np

        theirs = other._sum_up()
        if theirs is not None:
            mine = self._sum_up()
            if mine is None:
                mine = self._cells = _no_cells()
            mine += theirs * np.uint64(times & _MASK_64)
        if other._total is not None:
            self.add_total(Total(*(number * times for number in other._total)))

    # What it comes to.

    @property
    def count(self) -> int:
        """How many elements there are; below 0 where more were taken away."""
        return self.total.signed

    @property
    def total(self) -> Total:
        """What all elements come to."""
        cells, whole = self._sum_up(), self._total or Total(0, 0, 0)
        if cells is None:
            return whole
        return sum_of_totals([whole, Total(*(int(cells[row, :CELLS].sum()) for row in range(3)))])

    @property
    def is_zero(self) -> bool:
        """Whether nothing is left: the two places have the same."""
        if self._total is not None:
            return self.total == Total(0, 0, 0)
        cells = self._sum_up()
        return cells is None or not cells.any()

    def odd(self) -> Iterator[Odd]:
        """Gives the origins that can be told of those that one of two places has more often, each once."""
        if self._total is not None:
            found = [alone(*self.total)]
        else:
            cells = self._sum_up()
            places = [] if cells is None else cells.any(axis=0).nonzero()[0].tolist()
            found = [] if cells is None else [_in_cell(cells, at) for at in places]
        yield from dict.fromkeys(odd for odd in found if odd is not None)

    # How it travels.

    def encode(self) -> bytes:
        """Returns the sums as bytes."""
        if self._total is not None:
            return _TOTAL + b"".join(number.to_bytes(8, "big") for number in self.total)
        if self._cells is None and sum(map(len, self._few)) <= FEW * ORIGIN_BYTES:
            return _ORIGINS + b"".join(self._few)
        cells = self._sum_up()
        assert cells is not None
        return _CELLS + _sparse(cells)

    @classmethod
    def decode(cls, content: bytes) -> OriginSums:
        """Returns the sums that `encode` made bytes of.

        Raises:
          ValueError: it did not.
        """
        sums, form, rest = cls(), content[:1], content[1:]
        if form == _ORIGINS and len(rest) % ORIGIN_BYTES == 0:
            sums._few.append(rest)
        elif form == _CELLS:
            sums._cells = _dense(rest)
        elif form == _TOTAL and len(rest) == 24:
            sums._total = Total(*(int.from_bytes(rest[at : at + 8], "big") for at in (0, 8, 16)))
        else:
            raise ValueError("these are no sums of origins")
        return sums

    def _sum_up(self) -> numpy.ndarray | None:
        """Returns the cells, None where there are none; what was added is in them."""
        joined = b"".join(self._few)
        if joined:
            self._few.clear()
            if self._cells is None:
                self._cells = _no_cells()
            _add_to(self._cells, joined)
        return self._cells


def total_of(origins: list[bytes]) -> Total:
    """Returns what origins come to.

    >>> total_of([b"a" * 16, b"b" * 16]).number
    2
    """
    joined, number = b"".join(origins), len(origins)
    if number <= FEW:
        halves = struct.unpack(f">{2 * number}Q", joined)
        return Total(number, sum(halves[::2]) & _MASK_64, sum(halves[1::2]) & _MASK_64)
    import numpy as np

    words = np.frombuffer(joined, ">u8").astype(np.uint64)
    return Total(number, int(words[::2].sum()), int(words[1::2].sum()))


def sum_of_totals(totals: Iterable[Total]) -> Total:
    """Returns what several totals come to."""
    return Total(*(sum(numbers) & _MASK_64 for numbers in zip(*totals, strict=True)))


def negated(total: Total) -> Total:
    """Returns what is added to take a total away."""
    return Total(*(-number & _MASK_64 for number in total))


def _no_cells() -> numpy.ndarray:
    import numpy as np

    return np.zeros((4, LEVELS * CELLS), np.uint64)


def _add_to(cells: numpy.ndarray, joined: bytes) -> None:
    """Adds origins to cells: shape (4, levels * cells), of count, first halves, second halves, squares."""
    import numpy as np

    words = np.frombuffer(joined, ">u8").astype(np.uint64)
    first, second = words[::2].copy(), words[1::2].copy()
    for level in range(LEVELS):
        if level:
            chosen = (second & np.uint64(_RANDOM_MASK)) >= np.uint64(_least_of(level))
            first, second = first[chosen], second[chosen]
        if not len(second):
            return
        at = (second & np.uint64(CELLS - 1)).astype(np.intp)
        here = cells[:, level * CELLS : (level + 1) * CELLS]
        here[0] += np.bincount(at, minlength=CELLS).astype(np.uint64)
        np.add.at(here[1], at, first)
        np.add.at(here[2], at, second)
        np.add.at(here[3], at, second * second)


def _least_of(level: int) -> int:
    """Returns the least hash of the origins of a level."""
    bits = _CELL_BITS * level
    return ((1 << bits) - 1) << (RANDOM_BITS - bits)


def alone(count: int, first: int, second: int) -> Odd | None:
    """Returns the origin that differs alone; None where several may."""
    times = _signed(count)
    if abs(times) != 1:
        return None
    return Odd((times * first % 2**64 << 64 | times * second % 2**64).to_bytes(ORIGIN_BYTES, "big"), times)


def _in_cell(cells: numpy.ndarray, at: int) -> Odd | None:
    """Returns the origin that differs alone in a cell; None where several do."""
    count, first, second, square = (int(number) for number in cells[:, at])
    times = _signed(count)
    if abs(times) > 1 or not times:
        return None
    first, second = times * first % 2**64, times * second % 2**64
    level, cell = divmod(at, CELLS)
    if (
        second * second % 2**64 != times * square % 2**64
        or second % CELLS != cell
        or second & _RANDOM_MASK < _least_of(level)
    ):
        return None
    return Odd((first << 64 | second).to_bytes(ORIGIN_BYTES, "big"), times)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _row_type() -> numpy.dtype:
    import numpy as np

    return np.dtype([("at", ">u2"), ("sums", ">u8", 4)])


def _sparse(cells: numpy.ndarray) -> bytes:
    import numpy as np

    places = cells.any(axis=0).nonzero()[0]
    rows = np.empty(len(places), _row_type())
    rows["at"], rows["sums"] = places, cells[:, places].T
    return rows.tobytes()


def _dense(content: bytes) -> numpy.ndarray:
    import numpy as np

    cells, kind = _no_cells(), _row_type()
    if len(content) % kind.itemsize:
        raise ValueError("these are no cells of sums of origins")
    rows = np.frombuffer(content, kind)
    if len(rows) and int(rows["at"].max()) >= cells.shape[1]:
        raise ValueError("a cell of sums of origins that there is not")
    cells[:, rows["at"]] = rows["sums"].T
    return cells

"""The index of a large file of dead letters: which of its rows may have an id, an origin, or be of a kind.

It says only where to look: whatever is found there is held against what was asked, and a file whose index is
missing, damaged or not its own is read as a whole. Its digest is in the manifest of the file.

    {"version": 1, "rows": 3, "kinds": [[stage, fingerprint, error type, whether it has an origin], ...],
     "ids": [[run and bundle, number of the first, count], ...]}
    <of each row 4 bytes, CRC-32 of its origin as printed><deflated: of each row 2 bytes, number of its kind>

Numbers are little endian; `ids` are runs of rows one behind the other, null where there are too many.
"""

from __future__ import annotations

import itertools
import json
import operator
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import Rows, WantedLetters

INDEX_DIGEST = "index_digest"
"""Detail of a manifest of dead letters: `content_hash` of the index of the file."""

FEWEST_ROWS = 1_000
"""A file of fewer rows has no index: it is read as fast."""

_MOST_ROWS = 1 << 22
_MOST_KINDS = 1 << 16
_MOST_RUNS_OF_IDS = 10_000
_VERSION = 1
_MANY = 256

_INDEXED = ("id", "origin", "stage", "fingerprint", "error_type")
_indexed = operator.itemgetter(*map(DeadLetter._fields.index, _INDEXED))
_LARGEST = 1 << 28


def index_name(file: str) -> str:
    """Returns the name of the index of a file of dead letters, beside it.

    >>> index_name("dead_letters-parse-7f.avro")
    'index-of-dead_letters-parse-7f.avro'
    """
    return f"index-of-{file}"


class KindOfRows(NamedTuple):
    """What many rows of a file have in common."""

    stage: str
    fingerprint: str
    error_type: str
    has_origin: bool


class LetterIndexWriter:
    """Makes the index of a file as its rows are written."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, ...]] = []
        self._origins = array("I")
        self._codes = array("H")
        self._kinds: dict[tuple[str, str, str, bool], int] = {}
        self._ids: list[tuple[str, int, int]] | None = []
        self._rows = 0

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Adds the next rows."""
        # Many at once cost less; payloads, which may be large, do not wait.
        self._waiting.extend(map(_indexed, letters))
        if len(self._waiting) >= _MANY:
            self._take_in()

    def content(self) -> bytes:
        """Returns the index; nothing where the file is small, or has more than it can say."""
        self._take_in()
        rows = len(self._codes)
        if rows < FEWEST_ROWS or rows != self._rows:
            return b""
        head = {"version": _VERSION, "rows": rows, "kinds": list(self._kinds), "ids": self._ids}
        line = json.dumps(head).encode() + b"\n"
        return line + _bytes(self._origins) + zlib.compress(_bytes(self._codes), 1)

    def _take_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._rows += len(waiting)
        if self._rows > _MOST_ROWS or len(self._kinds) > _MOST_KINDS:
            return
        self._origins.extend([0 if row[1] is None else _hash(row[1]) for row in waiting])
        kinds = self._kinds
        found = [
            kinds.setdefault((stage, fingerprint, error_type, origin is not None), len(kinds))
            for _, origin, stage, fingerprint, error_type in waiting
        ]
        if len(kinds) <= _MOST_KINDS:
            self._codes.extend(found)
        self._take_ids([row[0] for row in waiting])

    def _take_ids(self, ids: list[str]) -> None:
        at = 0
        while at < len(ids) and self._ids is not None:
            bundle, _, number = ids[at].rpartition(".")
            first = _number_of(bundle, number)
            count = _count_from(ids, at, bundle, first)
            if first < 0 or len(self._ids) >= _MOST_RUNS_OF_IDS:
                self._ids = None
                return
            before = self._ids[-1] if self._ids else ("", 0, 0)
            if before[0] == bundle and before[1] + before[2] == first:
                self._ids[-1] = (bundle, before[1], before[2] + count)
            else:
                self._ids.append((bundle, first, count))
            at += count


def _count_from(ids: list[str], at: int, bundle: str, first: int) -> int:
    """Returns how many ids in a row are of a bundle, one number behind the other."""
    rest = ids[at:]
    if rest == [f"{bundle}.{number}" for number in range(first, first + len(rest))]:
        return len(rest)
    numbers = itertools.count(first)
    return sum(1 for _ in itertools.takewhile(lambda one: one == f"{bundle}.{next(numbers)}", rest))


def _number_of(bundle: str, number: str) -> int:
    """Returns the number of a letter in its bundle; below zero where its id has another form."""
    is_ours = "." in bundle and number.isdecimal() and len(number) < 19 and number == str(int(number))
    return int(number) if is_ours else -1


class LetterIndex:
    """The index of a file of dead letters.

    Args:
      kinds: of its rows.
      ids: runs of rows: run and bundle, number of the first, count; None where they are not known.
      origins: CRC-32 of the origin of each row; of one without origin anything.
      codes: of each row the number of its kind.
    """

    def __init__(
        self,
        kinds: list[KindOfRows],
        ids: list[tuple[str, int, int]] | None,
        origins: array[int],
        codes: array[int],
    ) -> None:
        self.kinds = kinds
        self._ids = ids
        self._origins = origins
        self._codes = codes

    @classmethod
    def read(cls, content: bytes, rows: int) -> LetterIndex | None:
        """Returns an index; None where it is none, or of another file.

        Args:
          content: its bytes.
          rows: how many the file has.
        """
        line, _, columns = content.partition(b"\n")
        try:
            head = json.loads(line)
            if head["version"] != _VERSION or head["rows"] != rows:
                return None
            kinds = [KindOfRows(str(one[0]), str(one[1]), str(one[2]), bool(one[3])) for one in head["kinds"]]
            ids = head["ids"]
            runs = None if ids is None else [(str(one[0]), int(one[1]), int(one[2])) for one in ids]
            origins, codes = array("I"), array("H")
            origins.frombytes(columns[: 4 * rows])
            codes.frombytes(zlib.decompressobj().decompress(columns[4 * rows :], _LARGEST))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, zlib.error):
            return None
        _as_here(origins)
        _as_here(codes)
        whole = len(origins) == len(codes) == rows and max(codes, default=0) < max(1, len(kinds))
        of_all = runs is None or (sum(count for _, _, count in runs) == rows)
        return cls(kinds, runs, origins, codes) if whole and of_all else None

    def rows_of(self, wanted: WantedLetters) -> Rows:
        """Returns where wanted letters may be."""
        tests = [self._of_kinds(wanted)]
        if wanted.origin is not None:
            tests.append(_any_of(list(self._of_origin(wanted.origin))))
        if wanted.own_id and self._ids is not None:
            tests.append(_any_of(list(_of_ids(self._ids, wanted.own_id))))
        return lambda first, end: all(test(first, end) for test in tests)

    def _of_kinds(self, wanted: WantedLetters) -> Rows:
        codes = {
            code
            for code, kind in enumerate(self.kinds)
            if wanted.is_of_stage(kind.stage)
            and kind.fingerprint.startswith(wanted.fingerprint)
            and (wanted.error_types is None or kind.error_type in wanted.error_types)
            and (wanted.origin is None or kind.has_origin)
        }
        if len(codes) in (0, len(self.kinds)):
            return lambda first, end: bool(codes)
        return lambda first, end: not codes.isdisjoint(self._codes[first:end])

    def _of_origin(self, origin: str) -> Iterator[tuple[int, int]]:
        wanted = _hash(origin)
        row = -1
        while True:
            try:
                row = self._origins.index(wanted, row + 1)
            except ValueError:
                return
            yield row, row + 1


def _of_ids(ids: list[tuple[str, int, int]], own_id: str) -> Iterator[tuple[int, int]]:
    """Gives the rows whose ids begin so, as ranges."""
    start = 0
    for bundle, first, count in ids:
        bundle = bundle.partition(".")[2]
        number = own_id.removeprefix(f"{bundle}.")
        if f"{bundle}.".startswith(own_id):
            yield start, start + count
        elif own_id.startswith(f"{bundle}.") and number.isdecimal():
            for low, high in _numbers_from(number, first + count):
                low, high = max(low, first), min(high, first + count)
                if low < high:
                    yield start + low - first, start + high - first
        start += count


def _numbers_from(digits: str, below: int) -> Iterator[tuple[int, int]]:
    """Gives the ranges of numbers whose decimal form begins with some digits.

    >>> list(_numbers_from("4", 500))
    [(4, 5), (40, 50), (400, 500)]
    """
    low, width = int(digits), 1
    while low < below:
        yield low, low + width
        low, width = low * 10, width * 10
        if low == 0:
            return


def _any_of(ranges: list[tuple[int, int]]) -> Rows:
    return lambda first, end: any(low < end and first < high for low, high in ranges)


def _hash(origin: str) -> int:
    return zlib.crc32(origin.encode("utf-8", "backslashreplace"))


def _bytes(numbers: array[int]) -> bytes:
    """Returns numbers, little endian."""
    _as_here(numbers)
    found = numbers.tobytes()
    _as_here(numbers)
    return found


def _as_here(numbers: array[int]) -> None:
    """Turns little endian into what this machine has, or back."""
    if sys.byteorder == "big":
        numbers.byteswap()

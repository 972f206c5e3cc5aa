"""Origins: 16 bytes that say which source record an element came from.

A stable format. Of a record at `position` in a partition (a file in one version, a topic's partition):

    digest = blake2b(len(name) as 8 bytes + name + version, 16 bytes, personal string "beam_obs.origin1",
                     "beam_obs.origin0" for a source without positions)
    code   = digest[0:4] with its top bit cleared, or 1 where that is 0; with its top bit set where the
             40 bits below do not hold the whole position: without positions, and in a `wide` partition
    seed   = digest[8:16]
    hash   = splitmix64(seed + position * 0x9e3779b97f4a7c15 mod 2^64) >> 8
    origin = code (4 bytes) + position mod 2^40 (5 bytes) + hash (7 bytes), all big endian, text in UTF-8

where splitmix64 is the finaliser of Steele, Lea and Flood, "Fast splittable pseudorandom number
generators" (2014), which adds the increment once more first. So an origin leads back to its record
with nothing but the run's list of partitions, and its low 56 bits are fit for sampling. Where the top bit
is clear, code and position are all of it: the hash follows from the partition.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy

ORIGIN_BYTES = 16
POSITION_BITS = 40
RANDOM_BITS = 56

TOP_BIT = 1 << 31
"""Of a code: set where an origin's 40 bits do not hold the whole position."""

_POSITION_MASK: int = 2**POSITION_BITS - 1
_RANDOM_MASK: int = 2**RANDOM_BITS - 1
_MASK_64: int = 2**64 - 1
_INCREMENT = 0x9E3779B97F4A7C15
_FIRST_FACTOR = 0xBF58476D1CE4E5B9
_SECOND_FACTOR = 0x94D049BB133111EB
_LOCATED = b"beam_obs.origin1"
_UNLOCATED = b"beam_obs.origin0"
_DERIVED = b"beam_obs.derived"
_CONTENT = b"beam_obs.content"


class Partition(NamedTuple):
    """A part of a source in one version: within it a position names one record for good.

    Args:
      name: e.g. the file's name relative to the fixed part of the pattern that found it.
      version: e.g. the file's generation, or size and digest.
      located: whether its records have positions; `unlocated_origin` serves those that have not.
      wide: whether positions go beyond 2^40: message ids, blocks of files with records in them. A position
        that does in a partition that is not wide gets the code of a wide one.

    >>> january = Partition("2013/01.csv", "30453-c5f1")
    >>> origin = january.origin(1024)
    >>> origin.hex()
    '4b318c6100000004001d3ce7345034f1'
    >>> january.position_of(origin)
    1024
    >>> Partition("2013/02.csv", "30453-c5f1").position_of(origin) is None
    True
    """

    name: str
    version: str
    located: bool = True
    wide: bool = False

    @property
    def code(self) -> int:
        """The 32-bit code of this partition, never 0."""
        return _code_and_seed(self)[0]

    @property
    def seed(self) -> int:
        """The 64-bit start of this partition's hashes."""
        return _code_and_seed(self)[1]

    def origin(self, position: int) -> bytes:
        """Returns the origin of the record at `position`, 0 <= position < 2^64."""
        code, seed = _code_and_seed(self)
        if position > _POSITION_MASK:
            code |= TOP_BIT
        return b"%b%b%b" % (
            code.to_bytes(4, "big"),
            (position & _POSITION_MASK).to_bytes(5, "big"),
            _hash_56(seed, position).to_bytes(7, "big"),
        )

    def origin_of_each(self) -> Callable[[int], bytes]:
        """Returns `origin` as a function that does once what is the same for all positions.

        >>> Partition("a", "1").origin_of_each()(5) == Partition("a", "1").origin(5)
        True
        """
        code, seed = _code_and_seed(self)
        head, start = code.to_bytes(4, "big"), seed + _INCREMENT

        def origin(position: int) -> bytes:
            if position > _POSITION_MASK:
                return self.origin(position)
            mixed = (start + position * _INCREMENT) & _MASK_64
            mixed = (mixed ^ (mixed >> 30)) * _FIRST_FACTOR & _MASK_64
            mixed = (mixed ^ (mixed >> 27)) * _SECOND_FACTOR & _MASK_64
            low = (position & _POSITION_MASK) << RANDOM_BITS
            return head + (low | (mixed ^ (mixed >> 31)) >> 8).to_bytes(12, "big")

        return origin

    def origins(self, positions: Sequence[int] | numpy.ndarray) -> numpy.ndarray:
        """Returns the origins of many records at once.

        Args:
          positions: shape (n,), integers in 0 .. 2^64 - 1.

        Returns:
          shape (n, 16), uint8.
        """
        import numpy as np

        code, seed = _code_and_seed(self)
        places = np.asarray(positions, dtype=np.uint64)
        mixed = np.uint64((seed + _INCREMENT) & _MASK_64) + places * np.uint64(_INCREMENT)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST_FACTOR)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND_FACTOR)
        mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(8)
        halves = np.empty((len(places), 2), dtype=">u8")
        low_position = places & np.uint64(_POSITION_MASK)
        halves[:, 0] = np.uint64(code << 32) | (low_position >> np.uint64(8))
        if not code & TOP_BIT:
            halves[:, 0] |= (places > np.uint64(_POSITION_MASK)).astype(np.uint64) << np.uint64(63)
        halves[:, 1] = (low_position & np.uint64(0xFF)) << np.uint64(RANDOM_BITS) | mixed
        return halves.view(np.uint8)

    def origin_tuple(self, positions: Sequence[int] | numpy.ndarray) -> tuple[bytes, ...]:
        """Returns the origins of many records at once, each by itself.

        >>> Partition("a", "1").origin_tuple([5]) == (Partition("a", "1").origin(5),)
        True
        """
        return _unpacker(len(positions)).unpack(self.origins(positions).tobytes())

    def hex_origins(self, positions: Sequence[int] | numpy.ndarray) -> list[str]:
        """Returns the printed origins of many records at once.

        >>> Partition("a", "1").hex_origins([5])[0] == Partition("a", "1").origin(5).hex()
        True
        """
        printed = self.origins(positions).tobytes().hex()
        return [printed[start : start + 32] for start in range(0, len(printed), 32)]

    def position_of(self, origin: bytes, size: int = 2**POSITION_BITS) -> int | None:
        """Returns the position that `origin` was made of, or None where it is not of this partition.

        Args:
          origin: 16 bytes.
          size: one more than the largest position to think of; every 2^40 one candidate is tried.
        """
        code, seed = _code_and_seed(self)
        if len(origin) != ORIGIN_BYTES or int.from_bytes(origin[:4], "big") not in (code, code | TOP_BIT):
            return None
        low, wanted = int.from_bytes(origin[4:9], "big"), int.from_bytes(origin[9:], "big")
        for position in range(low, max(size, low + 1), 2**POSITION_BITS):
            if _hash_56(seed, position) == wanted:
                return position
        return None

    def verifies(self, origin: bytes, size: int = 2**POSITION_BITS) -> bool:
        """Returns whether `origin` is of a record of this partition."""
        return self.position_of(origin, size) is not None


def find_partition(
    origin: bytes, partitions: Iterable[Partition], size: int = 2**POSITION_BITS
) -> tuple[Partition, int] | None:
    """Returns the partition whose hash verifies, and the position in it, or None.

    >>> known = [Partition("a", "1"), Partition("b", "1")]
    >>> find_partition(known[1].origin(7), known)
    (Partition(name='b', version='1', located=True, wide=False), 7)
    """
    for partition in partitions:
        position = partition.position_of(origin, size)
        if position is not None:
            return partition, position
    return None


def position_of_message(message_id: str) -> int:
    """Returns the 64-bit number that stands for the position of a message that has only an id."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=8).digest(), "big")


def unlocated_origin(partition: Partition, content: bytes, occurrence: int) -> bytes:
    """Returns the origin of a record whose source has no positions.

    Not promised to be the same in another run: `occurrence` depends on the bundle.

    Args:
      partition: the source, with ``located=False``.
      content: the record, encoded.
      occurrence: how many records of the same content came before it in the bundle.
    """
    digest = hashlib.blake2b(content, digest_size=7, person=_CONTENT).digest()
    return b"%b%b%b" % (
        partition.code.to_bytes(4, "big"),
        (occurrence & _POSITION_MASK).to_bytes(5, "big"),
        digest,
    )


def derived_origin(step: str, key: bytes, window: bytes, pane_index: int) -> bytes:
    """Returns the origin of an aggregate: code 0, the rest a hash, the same on every runner.

    Args:
      step: full label of the step that made it.
      key: the key, encoded.
      window: the window, encoded.
      pane_index: the index of the pane.

    >>> derived_origin("count", b"UA", b"", 0).hex()
    '00000000ce722f06ea490ef109c1f9fa'
    """
    digest = _derived_by(step).copy()
    pane = b"%d" % pane_index
    digest.update(
        b"%b%b%b%b%b%b"
        % (
            len(key).to_bytes(8, "big"),
            key,
            len(window).to_bytes(8, "big"),
            window,
            len(pane).to_bytes(8, "big"),
            pane,
        )
    )
    rest = digest.digest()
    return b"\0\0\0\0" + (rest if any(rest) else b"\0" * 11 + b"\1")


def holds_position(origin: bytes) -> bool:
    """Returns whether code and position of an origin are all of it: the hash follows from the partition.

    >>> holds_position(Partition("a", "1").origin(7))
    True
    """
    return origin[0] < 0x80 and not is_derived(origin)


def is_derived(origin: bytes) -> bool:
    """Returns whether `origin` is an aggregate's."""
    return origin.startswith(b"\0\0\0\0")


def randomness(origin: bytes) -> int:
    """Returns the low 56 bits, uniform over 0 .. 2^56 - 1: what sampling decides by."""
    return int.from_bytes(origin[9:], "big")


def parse_origin(text: str) -> bytes:
    """Returns the origin that was printed as 32 hex digits.

    Raises:
      ValueError: it is not one.

    >>> parse_origin("7")
    Traceback (most recent call last):
    ...
    ValueError: an origin is 32 hex digits, not all zero; got '7'
    """
    try:
        origin = bytes.fromhex(text) if len(text) == 2 * ORIGIN_BYTES else b""
    except ValueError:
        origin = b""
    if len(origin) != ORIGIN_BYTES or not any(origin):
        raise ValueError(f"an origin is 32 hex digits, not all zero; got {text!r}")
    return origin


def _hash_56(seed: int, position: int) -> int:
    mixed = (seed + _INCREMENT + position * _INCREMENT) & _MASK_64
    mixed = (mixed ^ (mixed >> 30)) * _FIRST_FACTOR & _MASK_64
    mixed = (mixed ^ (mixed >> 27)) * _SECOND_FACTOR & _MASK_64
    return (mixed ^ (mixed >> 31)) >> 8 & _RANDOM_MASK


@functools.lru_cache(maxsize=4096)
def _derived_by(step: str) -> hashlib.blake2b:
    """Returns the hash of what all aggregates of a step have in common, to be copied."""
    encoded = step.encode()
    return hashlib.blake2b(len(encoded).to_bytes(8, "big") + encoded, digest_size=12, person=_DERIVED)


@functools.lru_cache(maxsize=1024)
def _unpacker(count: int) -> struct.Struct:
    """Takes origins apart in a fifth of the time that slices take."""
    return struct.Struct("16s" * count)


@functools.lru_cache(maxsize=4096)
def _code_and_seed(partition: Partition) -> tuple[int, int]:
    name, version, located, wide = partition
    encoded = name.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(
        len(encoded).to_bytes(8, "big") + encoded + version.encode(),
        digest_size=16,
        person=_LOCATED if located else _UNLOCATED,
    ).digest()
    code = int.from_bytes(digest[:4], "big") & ~TOP_BIT or 1
    if wide or not located:
        code |= TOP_BIT
    return code, int.from_bytes(digest[8:], "big")

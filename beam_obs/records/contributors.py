"""Contributors of an aggregate: which origins it was made of, how many elements, bounded and prefix stable.

What rides beside an element is its *provenance*, bytes told apart by their length:

    0 bytes    nothing is known of where the element came from
    1 byte     the element came from no source: Beam made it for itself, e.g. to start a default value
    16 bytes   an origin
    more       a summary: several elements at once, on its way to the aggregate that they end in; or the
               origins of a batch, one by one, on its way to a step that gives a result for each

Beyond `limit` contributors the largest by hash are kept. Keeping the largest commutes with union, so any
order, any merge tree and any number of partial sums give the same summary.
"""

from __future__ import annotations

import itertools
import operator
import struct
from collections.abc import Iterable
from typing import NamedTuple

from beam_obs.records.origin_sums import Total, sum_of_totals, total_of

UNKNOWN = b""
NO_SOURCE = b"\0"
ORIGIN_BYTES = 16
DEFAULT_LIMIT = 1024
_ONLY_ORIGINS = {ORIGIN_BYTES}
MAX_CODES = 64
"""Partition codes that a summary names; beyond it the smallest are kept, and it says so."""

_FEW = 16
_HASH_MASK = 2**56 - 1
_ORIGIN = struct.Struct("16s")
_HEAD = struct.Struct(">BQQQQBH")
_FORMAT = 3  # 1 had no sums, 2 begins what is in order
_IN_ORDER = b"\2"
_TRUNCATED = 1
_MORE_CODES = 2


class Contributors(NamedTuple):
    """What an aggregate was made of.

    Args:
      count: elements, also those of unknown origin.
      unknown: elements whose origin is not known.
      origins: sorted; at most the limit, the largest by hash.
      truncated: whether there were more origins than the limit.
      codes: partition codes of all contributors, 0 for aggregates; sorted, at most `MAX_CODES`.
      more_codes: whether there were more partitions than that.
      total: sums of the origins of all elements, those of which are more than one each time.
    """

    count: int  # type: ignore[assignment]
    unknown: int
    origins: tuple[bytes, ...]
    truncated: bool
    codes: tuple[int, ...]
    more_codes: bool
    total: Total = Total(0, 0, 0)

    @property
    def complete(self) -> bool:
        """Whether the origins are all there were."""
        return not self.truncated and not self.unknown


def gather(provenances: Iterable[bytes], limit: int | None = DEFAULT_LIMIT) -> Contributors:
    """Returns what elements of these provenances make together.

    Args:
      provenances: one per element, or summaries of several.
      limit: origins that are kept at most; None for all.

    >>> gather([b"a" * 16, b"b" * 16, b"a" * 16, b""]).count
    4
    """
    kept = sorted(provenances)
    if len(kept) == 1 and len(kept[0]) > ORIGIN_BYTES and _stands_for_itself(kept[0], limit):
        return _decode(kept[0])
    count, unknown, truncated, more_codes = len(kept), 0, False, False
    codes: set[int] = set()
    if set(map(len, kept)) == _ONLY_ORIGINS:
        total = total_of(kept)
        kept = _distinct(kept)
        if kept[0][:4] == kept[-1][:4] and (limit is None or len(kept) <= limit):
            code = int.from_bytes(kept[0][:4], "big")
            return Contributors(count, 0, tuple(kept), False, (code,), False, total)
    else:
        parts = [_decode(provenance) for provenance in kept if len(provenance) > ORIGIN_BYTES]
        unknown = kept.count(UNKNOWN)
        kept = sorted(provenance for provenance in kept if len(provenance) == ORIGIN_BYTES)
        count = len(kept) + unknown + sum(part.count for part in parts)
        unknown += sum(part.unknown for part in parts)
        total = sum_of_totals([total_of(kept), *(part.total for part in parts)])._replace(number=count)
        truncated = any(part.truncated for part in parts)
        more_codes = any(part.more_codes for part in parts)
        for part in parts:
            kept.extend(part.origins)
            codes.update(part.codes)
        kept = _distinct(sorted(kept))
    codes.update(int.from_bytes(code, "big") for code in {origin[:4] for origin in kept})
    if limit is not None and len(kept) > limit:
        truncated = True
        kept = _largest(kept, limit)
    listed = sorted(codes)
    if len(listed) > MAX_CODES:
        more_codes = True
        del listed[MAX_CODES:]
    return Contributors(count, unknown, tuple(kept), truncated, tuple(listed), more_codes, total)


def _distinct(origins: list[bytes]) -> list[bytes]:
    """Returns sorted origins, each once."""
    if len(origins) < _FEW:
        distinct = set(origins)
        return origins if len(distinct) == len(origins) else sorted(distinct)
    # Of many this is half the price of a set.
    if all(map(operator.lt, origins, itertools.islice(origins, 1, None))):
        return origins
    return sorted(set(origins))


def _largest(origins: list[bytes], limit: int) -> list[bytes]:
    """Returns the largest by hash of sorted origins, sorted."""
    import numpy as np

    hashes = np.frombuffer(b"".join(origins), dtype=">u8").reshape(-1, 2)[:, 1] & np.uint64(_HASH_MASK)
    least = np.partition(hashes, len(origins) - limit)[len(origins) - limit]
    (places,) = np.nonzero(hashes >= least)
    kept = [origins[place] for place in places]
    # Two of the same hash, just there where the line is drawn.
    return kept if len(kept) == limit else sorted(sorted(kept, key=_hash_first)[-limit:])


def summarize(provenances: Iterable[bytes], limit: int | None = DEFAULT_LIMIT) -> bytes:
    """Returns the provenance that stands for elements of these provenances.

    That of one element is its own; that of none says that no source is behind it.

    >>> summarize([b"a" * 16]) == b"a" * 16
    True
    >>> len(summarize([b"a" * 16, b"b" * 16])) > 16
    True
    """
    held = provenances if isinstance(provenances, list) else list(provenances)
    if len(held) == 1 and _stands_for_itself(held[0], limit):
        return held[0]
    return encode(gather(held, limit))


def _stands_for_itself(provenance: bytes, limit: int | None) -> bool:
    """Returns whether one provenance is summed up to itself, as on the way of most aggregates."""
    if len(provenance) <= ORIGIN_BYTES:
        return True
    if provenance[0] != _FORMAT:
        return False
    origins = (
        len(provenance) - _HEAD.size - 4 * int.from_bytes(provenance[_HEAD.size - 2 : _HEAD.size], "big")
    )
    return limit is None or origins <= limit * ORIGIN_BYTES


def encode(found: Contributors) -> bytes:
    """Returns the provenance of what `gather` found."""
    if found.count <= 1:
        if found.count == 0:
            return NO_SOURCE
        return found.origins[0] if found.origins else UNKNOWN
    flags = (_TRUNCATED if found.truncated else 0) | (_MORE_CODES if found.more_codes else 0)
    _, first, second = found.total
    head = _HEAD.pack(_FORMAT, found.count, found.unknown, first, second, flags, len(found.codes))
    return b"".join((head, b"".join(code.to_bytes(4, "big") for code in found.codes), *found.origins))


def in_order(provenances: list[bytes]) -> bytes | None:
    """Returns the provenance of a batch that keeps the origin of each element; None where one has none, or
    where there is but one.

    >>> origins_in_order(in_order([b"a" * 16, b"b" * 16])) == [b"a" * 16, b"b" * 16]
    True
    """
    if len(provenances) < 2 or set(map(len, provenances)) != _ONLY_ORIGINS:
        return None
    return _IN_ORDER + b"".join(provenances)


def origins_in_order(provenance: bytes) -> list[bytes] | None:
    """Returns the origins of a batch, as `in_order` put them together; None for any other provenance."""
    if len(provenance) <= ORIGIN_BYTES or not provenance.startswith(_IN_ORDER):
        return None
    return [provenance[at : at + ORIGIN_BYTES] for at in range(1, len(provenance), ORIGIN_BYTES)]


def total_in(provenance: bytes) -> Total:
    """Returns how many elements a provenance stands for, and the sums of their origins.

    >>> total_in(summarize([b"a" * 16, b"a" * 16, UNKNOWN])).number
    3
    """
    if len(provenance) == ORIGIN_BYTES:
        return total_of([provenance])
    if len(provenance) < ORIGIN_BYTES:
        return Total(int(provenance != NO_SOURCE), 0, 0)
    listed = origins_in_order(provenance)
    if listed is not None:
        return total_of(listed)
    _, count, _, first, second, *_ = _HEAD.unpack_from(provenance)
    return Total(count, first, second)


def _decode(provenance: bytes) -> Contributors:
    listed = origins_in_order(provenance)
    if listed is not None:
        return gather(listed, None)
    _, count, unknown, first, second, flags, number = _HEAD.unpack_from(provenance)
    start = _HEAD.size + 4 * number
    return Contributors(
        count,
        unknown,
        tuple([origin for (origin,) in _ORIGIN.iter_unpack(memoryview(provenance)[start:])]),
        bool(flags & _TRUNCATED),
        tuple(int.from_bytes(provenance[at : at + 4], "big") for at in range(_HEAD.size, start, 4)),
        bool(flags & _MORE_CODES),
        Total(count, first, second),
    )


def _hash_first(origin: bytes) -> bytes:
    return origin[9:] + origin[:9]

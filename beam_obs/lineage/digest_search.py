"""Many digests looked up in an output index at once, where a search for each would take as long as all."""

from __future__ import annotations

from beam_obs.records.record_content import DIGEST_BYTES


def found_digests(digests: bytes, rows: bytes, row_bytes: int) -> list[int]:
    """Returns which of many digests an output index has.

    Args:
      digests: put together, of 8 bytes each.
      rows: of the index, each of which begins with a digest.
      row_bytes: size of a row.

    Returns:
      the numbers of those that it has, from 0, in order.

    >>> found_digests(b"aaaaaaaa" + b"bbbbbbbb", b"bbbbbbbb.." + b"cccccccc..", 10)
    [1]
    """
    import numpy as np

    whole = len(rows) - len(rows) % row_bytes
    if not whole or not digests:
        return []
    index = np.frombuffer(rows[:whole], dtype=np.uint8).reshape(-1, row_bytes)[:, :DIGEST_BYTES]
    known = np.ascontiguousarray(index).view(np.uint64)[:, 0]
    asked = np.frombuffer(digests, dtype=np.uint64)
    ordered = np.sort(asked)
    # The shorter list is the one that is sorted.
    places = np.minimum(np.searchsorted(ordered, known), len(ordered) - 1)
    hits = np.isin(asked, known[ordered[places] == known])
    return [int(hit) for hit in np.flatnonzero(hits)]

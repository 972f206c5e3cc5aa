"""Origins of outputs whose contributors are known as a set only, which may be a superset."""

from __future__ import annotations

import hashlib

from beam_obs.records.contributors import UNKNOWN, Contributors
from beam_obs.records.lineage_rows import derivation_row
from beam_obs.records.origin import derived_origin


def superset(found: Contributors, step: str, kind: str) -> tuple[bytes, bytes | None]:
    """Returns the provenance of an output and its derivation row, where it needs one.

    The identity is that of the set of contributors: the same set gives the same origin.

    Args:
      found: the contributors.
      step: label of the step.
      kind: of the derivation.
    """
    if not found.origins:
        return UNKNOWN, None
    if found.count == 1 or (len(found.origins) == 1 and not found.unknown):
        return found.origins[0], None
    digest = hashlib.blake2b(b"".join(sorted(found.origins)), digest_size=16)
    digest.update(b"%d %d" % (found.count, found.unknown))
    child = derived_origin(step, digest.digest(), kind.encode(), 0)
    return child, derivation_row(child, kind, found)

"""Lineage of runs, read from a store: why a record is what it is, and what became of one. ::

    import beam_obs.lineage as lineage
    lineage.why("out/days-00000-of-00001.jsonl:3").made_of
    lineage.fate("flights.csv:839").into

Needs no Apache Beam for a local store and local files.
"""

from __future__ import annotations

from beam_obs.records.lazy_names import LazyNames

_NAMES = LazyNames(globals())
__all__ = _NAMES.all
__getattr__ = _NAMES.find


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

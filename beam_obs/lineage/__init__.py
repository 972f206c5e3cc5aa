"""Lineage of runs, read from a store: why a record is what it is, and what became of one.

    import beam_obs.lineage as lineage
    lineage.why("out/days-00000-of-00001.jsonl:3").made_of
    lineage.fate("flights.csv:839").into

Needs no Apache Beam for a local store and local files.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_obs.lineage.answers import Fate as Fate
    from beam_obs.lineage.answers import FromAggregate as FromAggregate
    from beam_obs.lineage.answers import FromSource as FromSource
    from beam_obs.lineage.answers import Into as Into
    from beam_obs.lineage.answers import MayBeIn as MayBeIn
    from beam_obs.lineage.answers import Refused as Refused
    from beam_obs.lineage.answers import RunOf as RunOf
    from beam_obs.lineage.answers import SourceShare as SourceShare
    from beam_obs.lineage.answers import Why as Why
    from beam_obs.lineage.answers import Written as Written
    from beam_obs.lineage.backward import why as why
    from beam_obs.lineage.blast_radius import Affected as Affected
    from beam_obs.lineage.blast_radius import TouchedRun as TouchedRun
    from beam_obs.lineage.blast_radius import TouchedSink as TouchedSink
    from beam_obs.lineage.blast_radius import affected as affected
    from beam_obs.lineage.certainty import COMPLETE as COMPLETE
    from beam_obs.lineage.certainty import NOT_RECORDED as NOT_RECORDED
    from beam_obs.lineage.certainty import SAMPLED as SAMPLED
    from beam_obs.lineage.certainty import Certainty as Certainty
    from beam_obs.lineage.forward import NotRead as NotRead
    from beam_obs.lineage.forward import fate as fate
    from beam_obs.lineage.opened_files import FileGone as FileGone
    from beam_obs.lineage.output_records import NoSuchRecord as NoSuchRecord
    from beam_obs.lineage.output_records import OutputRecord as OutputRecord
    from beam_obs.lineage.positions import NoSuchPlace as NoSuchPlace
    from beam_obs.lineage.run_sources import Sources as Sources
    from beam_obs.lineage.run_sources import sources as sources
    from beam_obs.lineage.source_records import CHANGED as CHANGED
    from beam_obs.lineage.source_records import GONE as GONE
    from beam_obs.lineage.source_records import UNVERIFIED as UNVERIFIED
    from beam_obs.lineage.source_records import VERIFIED as VERIFIED
    from beam_obs.lineage.source_records import SourceRecord as SourceRecord
    from beam_obs.lineage.step_graph import PathPart as PathPart
    from beam_obs.store.source_partitions import SourcePartition as SourcePartition

_HOMES = {
    "Affected": "blast_radius",
    "CHANGED": "source_records",
    "COMPLETE": "certainty",
    "Certainty": "certainty",
    "Fate": "answers",
    "FileGone": "opened_files",
    "FromAggregate": "answers",
    "FromSource": "answers",
    "GONE": "source_records",
    "Into": "answers",
    "MayBeIn": "answers",
    "NOT_RECORDED": "certainty",
    "NoSuchPlace": "positions",
    "NoSuchRecord": "output_records",
    "NotRead": "forward",
    "OutputRecord": "output_records",
    "PathPart": "step_graph",
    "Refused": "answers",
    "RunOf": "answers",
    "SAMPLED": "certainty",
    "SourcePartition": "answers",
    "SourceRecord": "source_records",
    "SourceShare": "answers",
    "Sources": "run_sources",
    "TouchedRun": "blast_radius",
    "TouchedSink": "blast_radius",
    "UNVERIFIED": "source_records",
    "VERIFIED": "source_records",
    "Why": "answers",
    "Written": "answers",
    "affected": "blast_radius",
    "fate": "forward",
    "sources": "run_sources",
    "why": "backward",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # a type checker is to find a name that is misspelt

    def __getattr__(name: str) -> Any:
        try:
            home = _HOMES[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

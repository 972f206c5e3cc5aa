"""Lineage of runs, read from a store: why a record is what it is, and what became of one.

    import beam_obs.lineage as lineage
    lineage.why("out/days-00000-of-00001.jsonl:3").made_of
    lineage.fate("flights.csv:839").into

Needs no Apache Beam for a local store and local files.
"""

from __future__ import annotations

from beam_obs.lineage.answers import (
    Fate,
    FromAggregate,
    FromSource,
    Into,
    MayBeIn,
    Refused,
    RunOf,
    SourceShare,
    Why,
    Written,
)
from beam_obs.lineage.backward import why
from beam_obs.lineage.blast_radius import Affected, TouchedRun, TouchedSink, affected
from beam_obs.lineage.certainty import COMPLETE, NOT_RECORDED, SAMPLED, Certainty
from beam_obs.lineage.files import FileGone
from beam_obs.lineage.forward import NotRead, fate
from beam_obs.lineage.output_records import NoSuchRecord, OutputRecord
from beam_obs.lineage.partitions import SourcePartition
from beam_obs.lineage.positions import NoSuchPlace
from beam_obs.lineage.run_sources import Sources, sources
from beam_obs.lineage.source_records import CHANGED, GONE, UNVERIFIED, VERIFIED, SourceRecord
from beam_obs.lineage.step_graph import PathPart

__all__ = [
    "CHANGED",
    "COMPLETE",
    "GONE",
    "NOT_RECORDED",
    "SAMPLED",
    "UNVERIFIED",
    "VERIFIED",
    "Affected",
    "Certainty",
    "Fate",
    "FileGone",
    "FromAggregate",
    "FromSource",
    "Into",
    "MayBeIn",
    "NoSuchPlace",
    "NoSuchRecord",
    "NotRead",
    "OutputRecord",
    "PathPart",
    "Refused",
    "RunOf",
    "SourcePartition",
    "SourceRecord",
    "SourceShare",
    "Sources",
    "TouchedRun",
    "TouchedSink",
    "Why",
    "Written",
    "affected",
    "fate",
    "sources",
    "why",
]

"""beam_obs makes Apache Beam pipelines explain themselves: `import beam_obs as obs`.

    put it on     Pipeline, instrument, or the command `beam-obs run`; set by ObservabilityOptions
    steps         Stage, Source, Sink around any of Beam's; Stamp and current_origin for lineage
    assumptions   Check of between, fits_schema, holds, matches, not_null, of_type, one_of, unique
    reads         ReadFromText, ReadFromCsv, ReadFromJson, ReadFromAvro, ReadFromParquet, ReadWholeFiles
    writes        WriteToText, WriteToJson, WriteToAvro, WriteToBigQuery, WriteToPubSub
    dead letters  DeadLetters to AvroFiles, JsonLines, BigQueryRows, PubSubMessages; read_dead_letters
    runs          Store; on the command line `beam-obs runs`, `show`, `diff`, `graph`, `prune`
    lineage       beam_obs.lineage: why, fate, sources, affected
    errors        BeamObsError, UsageError; of a bad record BadInput, of a bad file BadFile
    your tests    beam_obs.testing: assert_dead_letters, assert_metrics, assert_balanced

`help(obs.Stage)` tells of one of them. Names are imported on first use, so that reading a store never waits
for Apache Beam.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from beam_obs.checks.assumption import AssumptionBroken as AssumptionBroken
    from beam_obs.checks.assumptions import between as between
    from beam_obs.checks.assumptions import fits_schema as fits_schema
    from beam_obs.checks.assumptions import holds as holds
    from beam_obs.checks.assumptions import matches as matches
    from beam_obs.checks.assumptions import not_null as not_null
    from beam_obs.checks.assumptions import of_type as of_type
    from beam_obs.checks.assumptions import one_of as one_of
    from beam_obs.checks.assumptions import unique as unique
    from beam_obs.checks.check import Check as Check
    from beam_obs.dead_letters.homes import AvroFiles as AvroFiles
    from beam_obs.dead_letters.homes import DeadLetters as DeadLetters
    from beam_obs.dead_letters.homes import JsonLines as JsonLines
    from beam_obs.dead_letters.service_refusals import RefusedByService as RefusedByService
    from beam_obs.files.found_files import NoFilesFound as NoFilesFound
    from beam_obs.io.reads.avro_source import ReadFromAvro as ReadFromAvro
    from beam_obs.io.reads.csv_source import ReadFromCsv as ReadFromCsv
    from beam_obs.io.reads.json_source import ReadFromJson as ReadFromJson
    from beam_obs.io.reads.parquet_source import ReadFromParquet as ReadFromParquet
    from beam_obs.io.reads.text_source import ReadFromText as ReadFromText
    from beam_obs.io.reads.whole_files import File as File
    from beam_obs.io.reads.whole_files import ReadWholeFiles as ReadWholeFiles
    from beam_obs.io.writes.avro_sink import WriteToAvro as WriteToAvro
    from beam_obs.io.writes.bigquery_sink import WriteToBigQuery as WriteToBigQuery
    from beam_obs.io.writes.dead_letters_to_bigquery import (
        DEAD_LETTER_BIGQUERY_SCHEMA as DEAD_LETTER_BIGQUERY_SCHEMA,
    )
    from beam_obs.io.writes.dead_letters_to_bigquery import BigQueryRows as BigQueryRows
    from beam_obs.io.writes.dead_letters_to_pubsub import PubSubMessages as PubSubMessages
    from beam_obs.io.writes.json_sink import WriteToJson as WriteToJson
    from beam_obs.io.writes.pubsub_sink import WriteToPubSub as WriteToPubSub
    from beam_obs.io.writes.text_sink import WriteToText as WriteToText
    from beam_obs.records.bad_input import BadFile as BadFile
    from beam_obs.records.bad_input import BadInput as BadInput
    from beam_obs.records.bad_input import ConversionError as ConversionError
    from beam_obs.records.bad_input import CorruptBlock as CorruptBlock
    from beam_obs.records.bad_input import DamagedCompression as DamagedCompression
    from beam_obs.records.bad_input import EmptyFile as EmptyFile
    from beam_obs.records.bad_input import FileChanged as FileChanged
    from beam_obs.records.bad_input import FileTooLarge as FileTooLarge
    from beam_obs.records.bad_input import NotAContainer as NotAContainer
    from beam_obs.records.bad_input import NotJson as NotJson
    from beam_obs.records.bad_input import NotReadBack as NotReadBack
    from beam_obs.records.bad_input import TornRow as TornRow
    from beam_obs.records.bad_input import UndecodableBytes as UndecodableBytes
    from beam_obs.records.bad_input import WrongHeader as WrongHeader
    from beam_obs.records.dead_letter import DeadLetter as DeadLetter
    from beam_obs.records.errors import BeamObsError as BeamObsError
    from beam_obs.records.errors import DeadRateExceeded as DeadRateExceeded
    from beam_obs.records.errors import EvidenceNotKept as EvidenceNotKept
    from beam_obs.records.errors import MissingExtra as MissingExtra
    from beam_obs.records.errors import RefusedRecord as RefusedRecord
    from beam_obs.records.errors import UsageError as UsageError
    from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD as LINEAGE_AVRO_FIELD
    from beam_obs.records.lineage_attributes import LINEAGE_BIGQUERY_FIELD as LINEAGE_BIGQUERY_FIELD
    from beam_obs.records.weave_report import NotWoven as NotWoven
    from beam_obs.runs.instrument import instrument as instrument
    from beam_obs.runs.options import ObservabilityOptions as ObservabilityOptions
    from beam_obs.runs.pipeline import Pipeline as Pipeline
    from beam_obs.runs.reach import StoreOutOfReach as StoreOutOfReach
    from beam_obs.stages.sink import Sink as Sink
    from beam_obs.stages.source import Source as Source
    from beam_obs.stages.stage import Stage as Stage
    from beam_obs.stages.stamp import Stamp as Stamp
    from beam_obs.store.read_dead_letters import read_dead_letters as read_dead_letters
    from beam_obs.store.store import RunNotFound as RunNotFound
    from beam_obs.store.store import Store as Store
    from beam_obs.store.store import StoreNotFound as StoreNotFound
    from beam_obs.store.store import StoreNotWritable as StoreNotWritable
    from beam_obs.wrapper.current_origin import current_origin as current_origin

    ReadAllFiles = ReadWholeFiles

    __version__: str

_HOMES = {
    "AssumptionBroken": "checks.assumption",
    "AvroFiles": "dead_letters.homes",
    "BadFile": "records.bad_input",
    "BadInput": "records.bad_input",
    "BeamObsError": "records.errors",
    "BigQueryRows": "io.writes.dead_letters_to_bigquery",
    "Check": "checks.check",
    "ConversionError": "records.bad_input",
    "CorruptBlock": "records.bad_input",
    "DEAD_LETTER_BIGQUERY_SCHEMA": "io.writes.dead_letters_to_bigquery",
    "DamagedCompression": "records.bad_input",
    "DeadLetter": "records.dead_letter",
    "DeadLetters": "dead_letters.homes",
    "DeadRateExceeded": "records.errors",
    "EmptyFile": "records.bad_input",
    "EvidenceNotKept": "records.errors",
    "File": "io.reads.whole_files",
    "FileChanged": "records.bad_input",
    "FileTooLarge": "records.bad_input",
    "JsonLines": "dead_letters.homes",
    "LINEAGE_AVRO_FIELD": "records.lineage_attributes",
    "LINEAGE_BIGQUERY_FIELD": "records.lineage_attributes",
    "MissingExtra": "records.errors",
    "NoFilesFound": "files.found_files",
    "NotAContainer": "records.bad_input",
    "NotJson": "records.bad_input",
    "NotReadBack": "records.bad_input",
    "NotWoven": "records.weave_report",
    "ObservabilityOptions": "runs.options",
    "Pipeline": "runs.pipeline",
    "PubSubMessages": "io.writes.dead_letters_to_pubsub",
    "ReadWholeFiles": "io.reads.whole_files",
    "ReadFromAvro": "io.reads.avro_source",
    "ReadFromCsv": "io.reads.csv_source",
    "ReadFromJson": "io.reads.json_source",
    "ReadFromParquet": "io.reads.parquet_source",
    "ReadFromText": "io.reads.text_source",
    "RefusedByService": "dead_letters.service_refusals",
    "RefusedRecord": "records.errors",
    "RunNotFound": "store.store",
    "Sink": "stages.sink",
    "Source": "stages.source",
    "Stage": "stages.stage",
    "Stamp": "stages.stamp",
    "Store": "store.store",
    "StoreNotFound": "store.store",
    "StoreNotWritable": "store.store",
    "StoreOutOfReach": "runs.reach",
    "TornRow": "records.bad_input",
    "UndecodableBytes": "records.bad_input",
    "UsageError": "records.errors",
    "WriteToAvro": "io.writes.avro_sink",
    "WriteToBigQuery": "io.writes.bigquery_sink",
    "WriteToJson": "io.writes.json_sink",
    "WriteToPubSub": "io.writes.pubsub_sink",
    "WriteToText": "io.writes.text_sink",
    "WrongHeader": "records.bad_input",
    "between": "checks.assumptions",
    "current_origin": "wrapper.current_origin",
    "fits_schema": "checks.assumptions",
    "holds": "checks.assumptions",
    "instrument": "runs.instrument",
    "matches": "checks.assumptions",
    "not_null": "checks.assumptions",
    "of_type": "checks.assumptions",
    "one_of": "checks.assumptions",
    "read_dead_letters": "store.read_dead_letters",
    "unique": "checks.assumptions",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


class _Retired(NamedTuple):
    """A name that goes.

    Args:
      new: what to write instead.
      gone: the release, major and minor, that takes the old name away.
    """

    new: str
    gone: tuple[int, int]


_RETIRED = {"ReadAllFiles": _Retired("ReadWholeFiles", (0, 2))}
"""Names that are no more, or will not be; see docs/releasing.md."""


def _retired(name: str) -> Any:
    """Returns what a retired name stands for, with a warning, until the release that takes it away.

    Raises:
      AttributeError: that release is there; says what to write instead.
    """
    new, gone = _RETIRED[name]
    release = tuple(int(part) for part in importlib.metadata.version("beam-obs").split(".")[:2])
    said = f"{__name__}.{name} is {__name__}.{new} now: the old name"
    gone_text = ".".join(map(str, gone))
    if release >= gone:
        raise AttributeError(f"{said} went with release {gone_text}", name=name)
    warnings.warn(f"{said} goes with release {gone_text}", DeprecationWarning, stacklevel=3)
    return getattr(importlib.import_module(__name__), new)


if not TYPE_CHECKING:  # a type checker is to find a name that is misspelt

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.metadata.version("beam-obs")
        if name in _RETIRED:
            return _retired(name)
        try:
            home = _HOMES[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

"""beam_obs makes Apache Beam pipelines explain themselves: `import beam_obs as obs`.

Names are imported on first use, so that reading a store never waits for Apache Beam.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_obs.io.avro_sink import WriteToAvro as WriteToAvro
    from beam_obs.io.avro_source import ReadFromAvro as ReadFromAvro
    from beam_obs.io.bad_input import BadFile as BadFile
    from beam_obs.io.bad_input import BadInput as BadInput
    from beam_obs.io.bad_input import ConversionError as ConversionError
    from beam_obs.io.bad_input import CorruptBlock as CorruptBlock
    from beam_obs.io.bad_input import DamagedCompression as DamagedCompression
    from beam_obs.io.bad_input import EmptyFile as EmptyFile
    from beam_obs.io.bad_input import FileChanged as FileChanged
    from beam_obs.io.bad_input import FileTooLarge as FileTooLarge
    from beam_obs.io.bad_input import NotAContainer as NotAContainer
    from beam_obs.io.bad_input import NotJson as NotJson
    from beam_obs.io.bad_input import NotReadBack as NotReadBack
    from beam_obs.io.bad_input import TornRow as TornRow
    from beam_obs.io.bad_input import UndecodableBytes as UndecodableBytes
    from beam_obs.io.bad_input import WrongHeader as WrongHeader
    from beam_obs.io.bigquery_sink import WriteToBigQuery as WriteToBigQuery
    from beam_obs.io.csv_source import ReadFromCsv as ReadFromCsv
    from beam_obs.io.found_files import NoFilesFound as NoFilesFound
    from beam_obs.io.json_sink import WriteToJson as WriteToJson
    from beam_obs.io.json_source import ReadFromJson as ReadFromJson
    from beam_obs.io.parquet_source import ReadFromParquet as ReadFromParquet
    from beam_obs.io.pubsub_sink import WriteToPubSub as WriteToPubSub
    from beam_obs.io.text_sink import WriteToText as WriteToText
    from beam_obs.io.text_source import ReadFromText as ReadFromText
    from beam_obs.io.whole_files import File as File
    from beam_obs.io.whole_files import ReadAllFiles as ReadAllFiles
    from beam_obs.records.dead_letter import DeadLetter as DeadLetter
    from beam_obs.records.errors import BeamObsError as BeamObsError
    from beam_obs.records.errors import DeadRateExceeded as DeadRateExceeded
    from beam_obs.records.errors import EvidenceNotKept as EvidenceNotKept
    from beam_obs.records.errors import MissingExtra as MissingExtra
    from beam_obs.records.errors import RefusedRecord as RefusedRecord
    from beam_obs.records.errors import UsageError as UsageError
    from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD as LINEAGE_AVRO_FIELD
    from beam_obs.records.lineage_attributes import LINEAGE_BIGQUERY_FIELD as LINEAGE_BIGQUERY_FIELD
    from beam_obs.runs.instrument import instrument as instrument
    from beam_obs.runs.options import ObservabilityOptions as ObservabilityOptions
    from beam_obs.runs.pipeline import Pipeline as Pipeline
    from beam_obs.runs.reach import StoreOutOfReach as StoreOutOfReach
    from beam_obs.runs.read_dead_letters import read_dead_letters as read_dead_letters
    from beam_obs.runs.store import RunNotFound as RunNotFound
    from beam_obs.runs.store import Store as Store
    from beam_obs.runs.store import StoreNotFound as StoreNotFound
    from beam_obs.runs.store import StoreNotWritable as StoreNotWritable
    from beam_obs.stages.assumptions import AssumptionBroken as AssumptionBroken
    from beam_obs.stages.assumptions import between as between
    from beam_obs.stages.assumptions import fits_schema as fits_schema
    from beam_obs.stages.assumptions import holds as holds
    from beam_obs.stages.assumptions import matches as matches
    from beam_obs.stages.assumptions import not_null as not_null
    from beam_obs.stages.assumptions import of_type as of_type
    from beam_obs.stages.assumptions import one_of as one_of
    from beam_obs.stages.assumptions import unique as unique
    from beam_obs.stages.check import Check as Check
    from beam_obs.stages.dead_letter_bigquery import (
        DEAD_LETTER_BIGQUERY_SCHEMA as DEAD_LETTER_BIGQUERY_SCHEMA,
    )
    from beam_obs.stages.dead_letter_bigquery import BigQueryRows as BigQueryRows
    from beam_obs.stages.dead_letter_pubsub import PubSubMessages as PubSubMessages
    from beam_obs.stages.dead_letters import AvroFiles as AvroFiles
    from beam_obs.stages.dead_letters import DeadLetters as DeadLetters
    from beam_obs.stages.dead_letters import JsonLines as JsonLines
    from beam_obs.stages.service_refusals import RefusedByService as RefusedByService
    from beam_obs.stages.sink import Sink as Sink
    from beam_obs.stages.source import Source as Source
    from beam_obs.stages.stage import Stage as Stage
    from beam_obs.stages.stamp import Stamp as Stamp
    from beam_obs.weaving.report import NotWoven as NotWoven
    from beam_obs.wrapper.traced_origin import current_origin as current_origin

    __version__: str

_HOMES = {
    "AssumptionBroken": "stages.assumptions",
    "AvroFiles": "stages.dead_letters",
    "BadFile": "io.bad_input",
    "BadInput": "io.bad_input",
    "BeamObsError": "records.errors",
    "BigQueryRows": "stages.dead_letter_bigquery",
    "Check": "stages.check",
    "ConversionError": "io.bad_input",
    "CorruptBlock": "io.bad_input",
    "DEAD_LETTER_BIGQUERY_SCHEMA": "stages.dead_letter_bigquery",
    "DamagedCompression": "io.bad_input",
    "DeadLetter": "records.dead_letter",
    "DeadLetters": "stages.dead_letters",
    "DeadRateExceeded": "records.errors",
    "EmptyFile": "io.bad_input",
    "EvidenceNotKept": "records.errors",
    "File": "io.whole_files",
    "FileChanged": "io.bad_input",
    "FileTooLarge": "io.bad_input",
    "JsonLines": "stages.dead_letters",
    "LINEAGE_AVRO_FIELD": "records.lineage_attributes",
    "LINEAGE_BIGQUERY_FIELD": "records.lineage_attributes",
    "MissingExtra": "records.errors",
    "NoFilesFound": "io.found_files",
    "NotAContainer": "io.bad_input",
    "NotJson": "io.bad_input",
    "NotReadBack": "io.bad_input",
    "NotWoven": "weaving.report",
    "ObservabilityOptions": "runs.options",
    "Pipeline": "runs.pipeline",
    "PubSubMessages": "stages.dead_letter_pubsub",
    "ReadAllFiles": "io.whole_files",
    "ReadFromAvro": "io.avro_source",
    "ReadFromCsv": "io.csv_source",
    "ReadFromJson": "io.json_source",
    "ReadFromParquet": "io.parquet_source",
    "ReadFromText": "io.text_source",
    "RefusedByService": "stages.service_refusals",
    "RefusedRecord": "records.errors",
    "RunNotFound": "runs.store",
    "Sink": "stages.sink",
    "Source": "stages.source",
    "Stage": "stages.stage",
    "Stamp": "stages.stamp",
    "Store": "runs.store",
    "StoreNotFound": "runs.store",
    "StoreNotWritable": "runs.store",
    "StoreOutOfReach": "runs.reach",
    "TornRow": "io.bad_input",
    "UndecodableBytes": "io.bad_input",
    "UsageError": "records.errors",
    "WriteToAvro": "io.avro_sink",
    "WriteToBigQuery": "io.bigquery_sink",
    "WriteToJson": "io.json_sink",
    "WriteToPubSub": "io.pubsub_sink",
    "WriteToText": "io.text_sink",
    "WrongHeader": "io.bad_input",
    "between": "stages.assumptions",
    "current_origin": "wrapper.traced_origin",
    "fits_schema": "stages.assumptions",
    "holds": "stages.assumptions",
    "instrument": "runs.instrument",
    "matches": "stages.assumptions",
    "not_null": "stages.assumptions",
    "of_type": "stages.assumptions",
    "one_of": "stages.assumptions",
    "read_dead_letters": "runs.read_dead_letters",
    "unique": "stages.assumptions",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # a type checker is to find a name that is misspelt

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.metadata.version("beam-obs")
        try:
            home = _HOMES[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

# The public names, each once: type checkers read them here, and `__init__.py` does (see lazy_names.py).

from beam_obs.checks.assumption import AssumptionBroken as AssumptionBroken
from beam_obs.checks.assumptions import between as between
from beam_obs.checks.assumptions import holds as holds
from beam_obs.checks.assumptions import matches as matches
from beam_obs.checks.assumptions import not_null as not_null
from beam_obs.checks.assumptions import of_type as of_type
from beam_obs.checks.assumptions import one_of as one_of
from beam_obs.checks.assumptions import unique as unique
from beam_obs.checks.check import Check as Check
from beam_obs.checks.schema_assumption import fits_schema as fits_schema
from beam_obs.dead_letters.homes import AvroFiles as AvroFiles
from beam_obs.dead_letters.homes import DeadLetters as DeadLetters
from beam_obs.dead_letters.homes import JsonLines as JsonLines
from beam_obs.dead_letters.service_refusals import RefusedByService as RefusedByService
from beam_obs.files.found_files import NoFilesFound as NoFilesFound
from beam_obs.io.reads.avro_source import ReadFromAvro as ReadFromAvro
from beam_obs.io.reads.continuous_read import ReadContinuously as ReadContinuously
from beam_obs.io.reads.csv_source import ReadFromCsv as ReadFromCsv
from beam_obs.io.reads.json_source import ReadFromJson as ReadFromJson
from beam_obs.io.reads.parquet_source import ReadFromParquet as ReadFromParquet
from beam_obs.io.reads.pubsub_source import ReadFromPubSub as ReadFromPubSub
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
from beam_obs.logs.log_formats import JsonLogFormatter as JsonLogFormatter
from beam_obs.logs.log_formats import TextLogFormatter as TextLogFormatter
from beam_obs.metrics.instruments import counter as counter
from beam_obs.metrics.instruments import histogram as histogram
from beam_obs.metrics.kept_instruments import gauge as gauge
from beam_obs.metrics.kept_instruments import summary as summary
from beam_obs.records.bad_input import BadFile as BadFile
from beam_obs.records.bad_input import BadInput as BadInput
from beam_obs.records.bad_input import BadMessage as BadMessage
from beam_obs.records.bad_input import ConversionError as ConversionError
from beam_obs.records.bad_input import CorruptBlock as CorruptBlock
from beam_obs.records.bad_input import DamagedCompression as DamagedCompression
from beam_obs.records.bad_input import EmptyFile as EmptyFile
from beam_obs.records.bad_input import FileChanged as FileChanged
from beam_obs.records.bad_input import FileTooLarge as FileTooLarge
from beam_obs.records.bad_input import LateRecord as LateRecord
from beam_obs.records.bad_input import NotAContainer as NotAContainer
from beam_obs.records.bad_input import NotJson as NotJson
from beam_obs.records.bad_input import NotReadBack as NotReadBack
from beam_obs.records.bad_input import TornRow as TornRow
from beam_obs.records.bad_input import UndecodableBytes as UndecodableBytes
from beam_obs.records.bad_input import UnreadFile as UnreadFile
from beam_obs.records.bad_input import WrongHeader as WrongHeader
from beam_obs.records.dead_letter import DeadLetter as DeadLetter
from beam_obs.records.errors import BeamObsError as BeamObsError
from beam_obs.records.errors import DeadRateExceeded as DeadRateExceeded
from beam_obs.records.errors import ElementFailed as ElementFailed
from beam_obs.records.errors import ElementKilledProcess as ElementKilledProcess
from beam_obs.records.errors import ElementOutOfMemory as ElementOutOfMemory
from beam_obs.records.errors import ElementTimeout as ElementTimeout
from beam_obs.records.errors import EvidenceNotKept as EvidenceNotKept
from beam_obs.records.errors import IsolationFailed as IsolationFailed
from beam_obs.records.errors import MissingExtra as MissingExtra
from beam_obs.records.errors import RefusedRecord as RefusedRecord
from beam_obs.records.errors import ServiceDown as ServiceDown
from beam_obs.records.errors import UsageError as UsageError
from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD as LINEAGE_AVRO_FIELD
from beam_obs.records.lineage_attributes import LINEAGE_BIGQUERY_FIELD as LINEAGE_BIGQUERY_FIELD
from beam_obs.records.weave_report import NotWoven as NotWoven
from beam_obs.runs.instrument import instrument as instrument
from beam_obs.runs.options import ObservabilityOptions as ObservabilityOptions
from beam_obs.runs.pipeline import Pipeline as Pipeline
from beam_obs.runs.reach import StoreOutOfReach as StoreOutOfReach
from beam_obs.stages.kafka_headers import continue_trace as continue_trace
from beam_obs.stages.kafka_headers import trace_headers as trace_headers
from beam_obs.stages.sink import Sink as Sink
from beam_obs.stages.source import Source as Source
from beam_obs.stages.stage import Stage as Stage
from beam_obs.stages.stamp import Stamp as Stamp
from beam_obs.stages.window_into import WindowInto as WindowInto
from beam_obs.store.read_dead_letters import read_dead_letters as read_dead_letters
from beam_obs.store.store import RunNotFound as RunNotFound
from beam_obs.store.store import Store as Store
from beam_obs.store.store import StoreNotFound as StoreNotFound
from beam_obs.store.store import StoreNotWritable as StoreNotWritable
from beam_obs.wrapper.current_origin import current_origin as current_origin
from beam_obs.wrapper.retrying import Retry as Retry

ReadAllFiles = ReadWholeFiles

__version__: str

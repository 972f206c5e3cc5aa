"""Dead letters as rows of a BigQuery table."""

from __future__ import annotations

import json
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder

from beam_obs.dead_letters.refused_letters import Fallback, KeepRefusedLetters
from beam_obs.dead_letters.service_refusals import ReadFailedRows
from beam_obs.metrics.names import INNER_LEAF, LATER_LEAF
from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter
from beam_obs.records.errors import MissingExtra, UsageError
from beam_obs.records.run_context import observation_of
from beam_obs.stages.counted import CountElements
from beam_obs.wrapper.role import EVIDENCE, Ours
from beam_obs.wrapper.untyped import untyped

_TYPES = {"string": "STRING", "long": "INTEGER", "int": "INTEGER", "bytes": "BYTES", "boolean": "BOOLEAN"}
_MICROSECONDS = ("event_time", "failed_at", "first_failed_at")


def _field(name: str, avro_type: Any) -> dict[str, str]:
    nullable = isinstance(avro_type, list)
    field = {
        "name": name,
        "type": _TYPES[avro_type[1] if nullable else avro_type],
        "mode": "NULLABLE" if nullable else "REQUIRED",
    }
    if name in _MICROSECONDS:
        # Event times may lie outside what TIMESTAMP allows.
        field["description"] = "microseconds since the epoch, see TIMESTAMP_MICROS"
    return field


DEAD_LETTER_BIGQUERY_SCHEMA: dict[str, list[dict[str, str]]] = {
    "fields": [_field(field["name"], field["type"]) for field in DEAD_LETTER_SCHEMA["fields"]]
}
"""Schema of a table of dead letters; its ``fields`` are what ``bq mk --schema`` takes as a file."""


class BigQueryRows(Ours):
    """Dead letters as rows of a BigQuery table, by streaming inserts: a sink for `obs.DeadLetters`.

    The table is made with `DEAD_LETTER_BIGQUERY_SCHEMA` where it is not there. A row that BigQuery refuses
    comes back as a dead letter of this sink, whose payload is the refused one as JSON (see
    `DeadLetter.from_json`): it goes to the run's store in an observed pipeline and to `fallback`, and is an
    element of the home's `result`. Where there is neither store nor fallback it fails the job: nothing gets
    lost. Needs the extra ``gcp``.

    Args:
      table: ``project:dataset.table``, or as `beam.io.WriteToBigQuery` takes it.
      fallback: a folder, `obs.AvroFiles` or `obs.JsonLines` for the rows that BigQuery refuses.
      arguments: others of `beam.io.WriteToBigQuery` that go with streaming inserts.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      UsageError: the table is none, or an argument is not one of Beam's.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> p = beam.Pipeline()
    >>> with obs.DeadLetters(obs.BigQueryRows("project:city.refused", fallback="refused")) as dead:
    ...     _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    """

    role = EVIDENCE

    def __init__(self, table: Any, *, fallback: Fallback = None, **arguments: Any) -> None:
        super().__init__()
        try:
            import google.cloud.bigquery  # noqa: F401
            from apache_beam.io.gcp import bigquery
            from apache_beam.io.gcp.internal.clients.bigquery import TableReference  # noqa: F401
        except ImportError as error:
            raise MissingExtra("BigQuery", "gcp") from error
        self._fallback = fallback
        given = {
            "schema": DEAD_LETTER_BIGQUERY_SCHEMA,
            "insert_retry_strategy": "RETRY_ON_TRANSIENT_ERROR",
            **arguments,
            "method": bigquery.WriteToBigQuery.Method.STREAMING_INSERTS,
        }
        try:
            self._write = bigquery.WriteToBigQuery(table, **given)
        except (ValueError, TypeError) as error:
            raise UsageError(f"obs.BigQueryRows: {error}") from error

    def expand(self, letters: Any) -> Any:
        """Writes the letters; gives those that BigQuery refused, as dead letters."""
        label = letters.pipeline._current_transform().full_label
        context = observation_of(letters.pipeline).context
        counted = letters | INNER_LEAF >> beam.ParDo(CountElements(label, context)).with_output_types(
            DeadLetter
        )
        rows = counted | "Rows" >> beam.Map(_json_dict).with_output_types(dict[str, Any])
        failed = (rows | "Write" >> self._write).failed_rows_with_errors
        refusals = (
            failed
            | "Json" >> beam.Map(_with_json).with_output_types(tuple[str, bytes, Any])
            | LATER_LEAF >> beam.ParDo(ReadFailedRows(label, context, BytesCoder()))
        )
        return refusals | "Refused" >> KeepRefusedLetters(label, self._fallback)


@untyped
def _json_dict(letter: DeadLetter) -> dict[str, Any]:
    return letter.to_json_dict()


@untyped
def _with_json(failure: tuple[Any, dict[str, Any], Any]) -> tuple[str, bytes, Any]:
    """Puts a refused row back into the form in which dead letters are written."""
    destination, row, errors = failure
    return str(destination), json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"), errors

"""WriteToBigQuery: Beam's, observed; rows that BigQuery refuses are dead letters."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.writes.service_write import ServiceWrite
from beam_obs.records.errors import MissingExtra, UsageError
from beam_obs.records.lineage_attributes import LINEAGE_BIGQUERY_FIELD, LINEAGE_FIELD, Attributes
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.untyped import Untyped, untyped


class WriteToBigQuery(ServiceWrite):
    """Writes rows to BigQuery, as `beam.io.WriteToBigQuery` does.

    A row that BigQuery refuses becomes a dead letter with its reasons, for each method that tells which:

    - streaming inserts: rows that BigQuery names in its answer, and rows larger than a request. Beam
      repeats a refused row for hours by default; here only refusals that may pass are repeated
      (``insert_retry_strategy="RETRY_ON_TRANSIENT_ERROR"``), unless you say otherwise.
    - Storage Write API: the rows that the service reports, with its message.
    - file loads: BigQuery takes a load job as a whole, and a failed one fails the job. With ``maxBadRecords``
      in ``additional_bq_parameters`` it leaves bad records out and reports some of them, by their place in
      a temporary file: each report becomes a dead letter without a payload.

    With each method a row of which no request can be made (JSON has no form for a value, ``table`` raises)
    becomes a dead letter before it is sent, where it would fail the job for all. Where dead letters have no
    home, refused rows are found in the result, as with Beam's. Needs the extra ``gcp``.

    Args:
      table, dataset, project, schema: as of `beam.io.WriteToBigQuery`.
      stamp: whether rows get their lineage attributes in the column ``_lineage``; by default in an observed
        pipeline that is woven and where ``schema`` has the column (`LINEAGE_BIGQUERY_FIELD`). Rows are dicts.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: names of columns whose values stay out of the dead letters, or a function that gives a row's
        redacted form.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`; what the
        service refuses counts when an observed batch run is judged.
      max_dead_minimum: fewest records for the share to be judged.
      arguments: all others of `beam.io.WriteToBigQuery`.

    Returns:
      when applied, the `WriteResult` of Beam's write.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      UsageError: ``stamp=True``, and the schema has no room.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> trips = beam.Pipeline() | beam.Create([{"fare": 12.5}])
    >>> write = obs.WriteToBigQuery("project:city.trips", schema="fare:FLOAT", method="STREAMING_INSERTS")
    >>> written, dead = trips | "trips" >> write.with_dead_letters()
    """

    def __init__(
        self,
        table: Any,
        dataset: str | None = None,
        project: str | None = None,
        schema: Any = None,
        *,
        stamp: bool | None = None,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
        **arguments: Any,
    ) -> None:
        beams = bigquery()
        where = _uri(table, dataset, project)
        super().__init__(where, dead_letters, redact, stamp, max_dead_rate, max_dead_minimum)
        self._room = table_takes_attributes(schema)
        if stamp and self._room is False:
            raise UsageError(
                f"obs.WriteToBigQuery(stamp=True): the schema has no column {LINEAGE_FIELD!r} that takes "
                "lineage attributes: add obs.LINEAGE_BIGQUERY_FIELD to its fields. Or leave stamp= out: the "
                "output index of the run leads each row back to its source"
            )
        arguments.setdefault("insert_retry_strategy", "RETRY_ON_TRANSIENT_ERROR")
        try:
            self._of_beam = beams.WriteToBigQuery(table, dataset, project, schema, **arguments)
        except (ValueError, TypeError) as error:
            raise UsageError(f"obs.WriteToBigQuery: {error}") from error
        self._table = table if callable(table) and not arguments.get("table_side_inputs") else None
        self._reports_bad_records = _may_leave_out(arguments.get("additional_bq_parameters"))

    def _has_room(self) -> bool:
        return self._room is True

    def _attempt(self, pcoll: Any, attributes: Attributes | None) -> Any:
        attempt = RowAttempt(self._table)
        return attempt if attributes is None else StampRow(attempt, attributes)

    def _write(self, pcoll: Any) -> tuple[Any, Any]:
        result = pcoll | "Write" >> self._of_beam
        methods = bigquery().WriteToBigQuery.Method
        if result._method in (methods.STREAMING_INSERTS, methods.STORAGE_WRITE_API):
            return result, result.failed_rows_with_errors
        if not self._reports_bad_records:
            return result, None
        reported = result.destination_load_jobid_pairs | "Reports" >> beam.ParDo(ReadLoadReports())
        return result, reported


@untyped
class RowAttempt:
    """Tries whether a request can be made of a row.

    Args:
      table: gives a row's table, or None.
    """

    def __init__(self, table: Callable[[Any], Any] | None = None) -> None:
        self._table = table

    def __call__(self, row: Any) -> Any:
        """Gives the row back, or raises."""
        from apache_beam.io.gcp import bigquery_tools

        if self._table is not None:
            self._table(row)
        if isinstance(row, dict):
            bigquery_tools.fast_json_dumps(row, default=_json_form)
        return row


@untyped
class StampRow:
    """Gives a row with lineage attributes.

    Args:
      attempt: gives back a row that can be sent, and raises on any other.
      attributes: makes the attributes.
    """

    def __init__(self, attempt: Callable[[Any], Any], attributes: Attributes) -> None:
        self._attempt = attempt
        self._attributes = attributes

    def __call__(self, row: Any) -> Any:
        """Returns the row."""
        return self.with_origin(row, current_origin() or b"")

    def with_origin(self, row: Any, provenance: bytes) -> Any:
        """Returns the row; woven steps call this.

        Args:
          row: a dict.
          provenance: its origin, if it is of 16 bytes.
        """
        if not isinstance(row, dict):
            kind = type(row).__qualname__
            raise TypeError(f"a {kind} gets no lineage attributes: write dicts, or give stamp=False")
        carried = row.get(LINEAGE_FIELD)
        return self._attempt({**row, LINEAGE_FIELD: self._attributes.of(provenance, carried)})


def table_takes_attributes(schema: Any) -> bool | None:
    """Returns whether a BigQuery schema has a column for lineage attributes; None where it cannot be known.

    >>> table_takes_attributes({"fields": [{"name": "carrier", "type": "STRING"}]})
    False
    """
    from apache_beam.io.gcp import bigquery_tools

    is_known = isinstance(schema, dict) or not (callable(schema) or hasattr(schema, "get"))
    if schema in (None, "SCHEMA_AUTODETECT") or not is_known:
        return None
    fields = (bigquery_tools.get_dict_table_schema(schema) or {}).get("fields", ())
    wanted = {field["name"] for field in LINEAGE_BIGQUERY_FIELD["fields"]}
    return any(
        field["name"] == LINEAGE_FIELD
        and field["type"] in ("RECORD", "STRUCT")
        and wanted <= {inner["name"] for inner in field.get("fields", ())}
        for field in fields
    )


class ReadLoadReports(Untyped, beam.DoFn):
    """Asks for what load jobs reported of the records that they left out."""

    def setup(self) -> None:
        """Makes a client."""
        from google.cloud.bigquery import Client

        self._client = Client()

    def process(self, job: tuple[Any, Any]) -> Iterable[tuple[str, None, list[Any]]]:
        """Gives a failure for each record that the job names."""
        destination, reference = job
        found = self._client.get_job(
            reference.jobId, project=reference.projectId, location=reference.location
        )
        return [(str(destination), None, [error]) for error in found.errors or ()]


def bigquery() -> Any:
    """Returns Beam's module for BigQuery.

    Raises:
      MissingExtra: Google's client libraries are not installed.
    """
    try:
        import google.cloud.bigquery  # noqa: F401
        from apache_beam.io.gcp import bigquery as beams
        from apache_beam.io.gcp.internal.clients.bigquery import TableReference  # noqa: F401
    except ImportError as error:
        raise MissingExtra("BigQuery", "gcp") from error
    return beams


def _json_form(value: Any) -> Any:
    """What Beam does with values that JSON has no form for; it puts those that it refuses into its log."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise TypeError("bytes that are not UTF-8: encode them in base64, as BigQuery expects") from None
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.time)):
        return str(value)
    raise TypeError(f"JSON has no form for a value of {type(value).__qualname__}")


def _uri(table: Any, dataset: str | None, project: str | None) -> str:
    """Returns the name of a table as catalogs have it, e.g. ``bigquery:project.dataset.table``."""
    if not isinstance(table, str):
        parts = [getattr(table, name, None) for name in ("projectId", "datasetId", "tableId")]
        return "bigquery:" + (".".join(filter(None, parts)) or "tables by row")
    return "bigquery:" + ".".join(filter(None, (project, dataset, table.replace(":", "."))))


def _may_leave_out(parameters: Any) -> bool:
    return callable(parameters) or bool((parameters or {}).get("maxBadRecords"))

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.dead_letters.service_refusals import ReadFailedRows
from beam_obs.reports.marked_graph import marked_graph
from beam_obs.store.folding import folded
from beam_obs.testing import assert_balanced
from tests.bigquery_server import BigQueryServer, running_service
from tests.io.pipelines import RUNNER, Keeper

pytest.importorskip("google.cloud.bigquery", reason="pip install 'beam_obs[gcp]'")

GOOD = [{"carrier": "UA", "minutes": 11}, {"carrier": "AA", "minutes": -4}]
BAD = {"carrier": "B6", "minutes": "late"}
SCHEMA = "carrier:STRING,minutes:INTEGER"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[BigQueryServer]:
    with running_service(monkeypatch, tmp_path) as server:
        yield server


def _run(write: Any, rows: list[Any]) -> list[Any]:
    """Writes rows in a plain pipeline; returns the dead letters."""
    dead = Keeper()
    with beam.Pipeline(RUNNER) as p:
        _, letters = p | beam.Create(rows) | "bq" >> write.with_dead_letters()
        _ = letters | beam.Map(dead)
    return dead.elements


def test_rows_that_streaming_inserts_refuse_are_dead_letters(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")

    dead = _run(obs.WriteToBigQuery(table, schema=SCHEMA, method="STREAMING_INSERTS"), [*GOOD, BAD])

    assert sorted(row["carrier"] for row in service.rows["test-project.city.delays"]) == ["AA", "UA"]
    assert [json.loads(letter.payload_text) for letter in dead] == [BAD]
    assert dead[0].stage == "bq"
    assert dead[0].error_type.endswith("RefusedByService")
    assert dead[0].error_message == (
        "invalid at minutes: Cannot convert value to integer (bad value): late [test-project:city.delays]"
    )


def test_a_refusal_that_passes_is_repeated(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    service.passing_failures = 1

    dead = _run(obs.WriteToBigQuery(table, schema=SCHEMA, method="STREAMING_INSERTS"), GOOD)

    assert dead == []
    assert len(service.rows["test-project.city.delays"]) == 2
    assert service.inserts > 1


def test_a_row_of_which_no_request_can_be_made_does_not_fail_the_others(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    rows = [*GOOD, {"carrier": {"a", "set"}, "minutes": 1}, {"carrier": b"\xff", "minutes": 2}]

    dead = _run(obs.WriteToBigQuery(table, schema=SCHEMA, method="STREAMING_INSERTS"), rows)

    assert len(service.rows["test-project.city.delays"]) == 2
    assert len(dead) == 2
    assert {letter.error_type for letter in dead} <= {
        "TypeError",
        "orjson.JSONEncodeError",
        "JSONEncodeError",
    }


def test_a_row_larger_than_a_request_is_a_dead_letter(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    write = obs.WriteToBigQuery(
        table, schema=SCHEMA, method="STREAMING_INSERTS", max_insert_payload_size=2000
    )

    dead = _run(write, [*GOOD, {"carrier": "x" * 3000, "minutes": 1}])

    assert len(service.rows["test-project.city.delays"]) == 2
    assert [letter.error_message.startswith("Received row with size") for letter in dead] == [True]


def test_tables_by_row_and_a_table_that_is_not_there_yet(service: BigQueryServer) -> None:
    write = obs.WriteToBigQuery(
        lambda row: f"test-project:city.{row['carrier']}", schema=SCHEMA, method="STREAMING_INSERTS"
    )

    dead = _run(write, [*GOOD, {"minutes": 3}])

    assert {name: len(rows) for name, rows in service.rows.items()} == {
        "test-project.city.UA": 1,
        "test-project.city.AA": 1,
    }
    assert [letter.error_type for letter in dead] == ["KeyError"]


def test_a_run_counts_what_the_service_took_and_keeps_what_it_refused(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")

    with obs.Pipeline(RUNNER, name="warehouse") as p:
        write = obs.WriteToBigQuery(table, schema=SCHEMA, method="STREAMING_INSERTS", redact=["minutes"])
        _ = p | beam.Create([*GOOD, BAD]) | "bq" >> write

    run = obs.Store(".beam_obs").runs("warehouse")[0]
    stage = next(stage for stage in run.end["stages"] if stage["label"] == "bq")
    assert (stage["in"], stage["out"], stage["dead"]) == (3, 2, 1)
    assert run.end["dead_letters"]["by_stage"] == {"bq": 1}
    assert [(one["label"], one["uri"]) for one in run.end["outputs"]] == [
        ("bq", "bigquery:test-project.city.delays")
    ]
    assert_balanced(p.result)
    from beam_obs.store.evidence import Standing, dead_letters

    ((letter, standing),) = dead_letters(obs.Store(".beam_obs"), run)
    assert standing is Standing.COMMITTED
    assert letter.redacted
    assert "late" not in letter.payload_text + letter.error_message + letter.traceback


def test_what_the_service_refuses_counts_for_the_limit_of_the_write(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    write = obs.WriteToBigQuery(
        table, schema=SCHEMA, method="STREAMING_INSERTS", max_dead_rate=0.2, max_dead_minimum=3
    )

    with pytest.raises(obs.DeadRateExceeded, match="'bq' refused 1 of 3"), obs.Pipeline(RUNNER) as p:
        _ = p | beam.Create([*GOOD, BAD]) | "bq" >> write


def test_without_a_home_refused_rows_are_in_the_result_as_with_beams(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    failed = Keeper()

    with beam.Pipeline(RUNNER) as p:
        write = obs.WriteToBigQuery(table, schema=SCHEMA, method="STREAMING_INSERTS")
        result = p | beam.Create([BAD]) | "bq" >> write
        _ = result.failed_rows_with_errors | beam.Map(failed)

    assert [row for _, row, _ in failed.elements] == [BAD]


def test_records_that_a_load_job_leaves_out_are_told(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    pathlib.Path("temp").mkdir()
    write = obs.WriteToBigQuery(
        table,
        schema=SCHEMA,
        method="FILE_LOADS",
        additional_bq_parameters={"maxBadRecords": 5},
        custom_gcs_temp_location=str(pathlib.Path("temp").resolve()),
        validate=False,
    )

    dead = _run(write, [*GOOD, BAD])

    assert len(service.rows["test-project.city.delays"]) == 2
    assert [letter.payload_coder for letter in dead] == ["none"]
    assert "Cannot convert value to integer (bad value): late" in dead[0].error_message


def test_a_load_job_that_fails_fails_the_pipeline(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    pathlib.Path("temp").mkdir()
    write = obs.WriteToBigQuery(
        table,
        schema=SCHEMA,
        method="FILE_LOADS",
        custom_gcs_temp_location=str(pathlib.Path("temp").resolve()),
        validate=False,
    )

    with pytest.raises(Exception, match="failed"):
        _run(write, [*GOOD, BAD])


@pytest.mark.parametrize("as_rows", [False, True])
def test_rows_that_the_storage_write_api_reports_are_read(as_rows: bool) -> None:
    """The API itself is reached through Java only; these are the shapes that Beam gives."""
    reported: Any = {"failed_row": BAD, "error_message": "field minutes: not an integer"}
    if as_rows:
        reported = beam.Row(failed_row=beam.Row(**BAD), error_message="field minutes: not an integer")
    found = Keeper()

    with beam.Pipeline(RUNNER) as p:
        from beam_obs.records.run_context import observation_of

        context = observation_of(p).context
        _ = p | beam.Create([reported]) | beam.ParDo(ReadFailedRows("bq", context, None)) | beam.Map(found)

    (refusal,) = found.elements
    assert refusal.failure.message == "field minutes: not an integer"
    assert "late" in refusal.payload_text


def test_without_googles_libraries_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)

    with pytest.raises(obs.MissingExtra, match=r"BigQuery needs .*beam_obs\[gcp\]"):
        obs.WriteToBigQuery("p:d.t")
    with pytest.raises(obs.MissingExtra, match=r"BigQuery needs .*beam_obs\[gcp\]"):
        obs.BigQueryRows("p:d.t")


ROOMY = {
    "fields": [
        {"name": "carrier", "type": "STRING"},
        {"name": "minutes", "type": "INTEGER"},
        obs.LINEAGE_BIGQUERY_FIELD,
    ]
}


@pytest.mark.parametrize(
    ("schema", "stamp", "is_stamped"), [(ROOMY, None, True), (ROOMY, False, False), (SCHEMA, None, False)]
)
def test_rows_of_a_woven_run_are_stamped_where_the_table_has_the_column(
    service: BigQueryServer, schema: Any, stamp: bool | None, is_stamped: bool
) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")
    if schema is ROOMY:
        service.schemas["test-project.city.delays"].append(obs.LINEAGE_BIGQUERY_FIELD)

    with obs.Pipeline(RUNNER, name="warehouse") as p:
        write = obs.WriteToBigQuery(table, schema=schema, method="STREAMING_INSERTS", stamp=stamp)
        _ = p | "make" >> beam.Create(GOOD) | "bq" >> write

    rows = service.rows["test-project.city.delays"]
    assert len(rows) == 2
    assert ["_lineage" in row for row in rows] == [is_stamped, is_stamped]
    if is_stamped:
        run = obs.Store(".beam_obs").runs("warehouse")[0]
        assert sorted(row["_lineage"]["position"] for row in rows) == [0, 1]
        assert {row["_lineage"]["run"] for row in rows} == {run.id}


def test_a_table_without_the_column_cannot_be_stamped() -> None:
    with pytest.raises(obs.UsageError, match=r"add obs\.LINEAGE_BIGQUERY_FIELD to its fields"):
        obs.WriteToBigQuery("p:d.t", schema=SCHEMA, stamp=True)


def test_a_row_that_is_no_dict_is_refused_where_a_stamp_is_asked_for(service: BigQueryServer) -> None:
    table = service.add_table("delays", carrier="STRING", minutes="INTEGER")

    (letter,) = _run(
        obs.WriteToBigQuery(table, method="STREAMING_INSERTS", create_disposition="CREATE_NEVER", stamp=True),
        [beam.Row(carrier="UA", minutes=1)],
    )

    assert "gets no lineage attributes: write dicts" in letter.error_message


@pytest.mark.slow
def test_the_row_of_a_write_gives_the_rows_that_the_service_took(
    service: BigQueryServer, tmp_path: pathlib.Path
) -> None:
    tables = [service.add_table(name, carrier="STRING", minutes="INTEGER") for name in "abc"]
    inserts = {"method": "STREAMING_INSERTS", "insert_retry_strategy": "RETRY_NEVER"}
    loads = {"method": "FILE_LOADS", "validate": False, "custom_gcs_temp_location": str(tmp_path)}
    with obs.Pipeline(RUNNER, argv=["--obs_report=off"], name="bq") as p:
        rows = p | "rows" >> beam.Create([*GOOD, BAD])
        rows | "ours" >> obs.WriteToBigQuery(tables[0], **inserts)
        rows | "of Beam" >> beam.io.WriteToBigQuery(tables[1], **inserts)
        good = rows | "good" >> beam.Filter(lambda row: row["minutes"] != "late")
        good | "loads" >> obs.Sink(beam.io.WriteToBigQuery(tables[2], **loads))
        leaving_out = {"additional_bq_parameters": {"maxBadRecords": 1}}
        good | "may leave out" >> beam.io.WriteToBigQuery(tables[2], **loads, **leaving_out)
    record = obs.Store().find("latest")

    found = {step.label: (step.taken, step.given) for step in marked_graph(record).steps}
    assert found == {
        "rows": (None, 3),
        "ours": (3, 2),
        "of Beam": (3, 2),
        "good": (3, 2),
        "loads": (2, 2),
        "may leave out": (2, None),
    }
    outputs = folded(record.end or {})["outputs"]
    assert {one["label"]: one["records"] for one in outputs} == {
        "ours": 2,
        "of Beam": 2,
        "loads": 2,
        "may leave out": None,
    }

"""Records of tables and topics, which are handed over to be asked about."""

from __future__ import annotations

import base64
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.lineage import COMPLETE, NOT_RECORDED, FromSource, why
from beam_obs.lineage.given_records import given_records
from beam_obs.records.record_content import output_digest, record_content
from tests.bigquery_server import BigQueryServer, running_service

pytest.importorskip("google.cloud.bigquery", reason="pip install 'beam_obs[gcp]'")

TABLE = "bigquery:test-project.city.delays"
ROWS = "carrier,minutes\nUA,3\nAA,-2\nB6,007\n"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[BigQueryServer]:
    pathlib.Path("in.csv").write_text(ROWS)
    with running_service(monkeypatch, tmp_path) as server:
        server.add_table("delays", carrier="STRING", minutes="INTEGER")
        yield server


def run(service: BigQueryServer, write: Any) -> list[dict[str, Any]]:
    """Writes the rows, and returns them as BigQuery's client prints them."""
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="warehouse") as p:
        rows = p | "read" >> obs.ReadFromCsv("in.csv")
        rows | "numbers" >> beam.Map(lambda row: {**row, "minutes": int(row["minutes"])}) | "bq" >> write
    return [
        {name: value if isinstance(value, dict) else str(value) for name, value in row.items()}
        for row in service.rows["test-project.city.delays"]
    ]


def line_of(answer: Any) -> int | None:
    assert answer.certainty.kind == COMPLETE, answer.certainty
    (tree,) = answer.made_of
    assert isinstance(tree, FromSource)
    return tree.record.line


@pytest.mark.parametrize("of_beam", [False, True])
def test_a_row_leads_to_its_line_whose_write_it_was(service: BigQueryServer, of_beam: bool) -> None:
    make = beam.io.WriteToBigQuery if of_beam else obs.WriteToBigQuery
    schema = "carrier:STRING,minutes:INTEGER"
    printed = run(service, make("test-project:city.delays", schema=schema, method="STREAMING_INSERTS"))
    whole = json.dumps(printed).encode()
    assert line_of(why(TABLE, {"carrier": "AA"}, record=whole)) == 3
    assert line_of(why(TABLE, record=json.dumps({"carrier": "B6", "minutes": 7}).encode())) == 4
    assert line_of(why(TABLE, {"carrier": "UA", "minutes": "3"})) == 2


def test_a_stamped_row_leads_to_its_line_by_its_stamp(service: BigQueryServer) -> None:
    service.schemas["test-project.city.delays"].append(obs.LINEAGE_BIGQUERY_FIELD)
    fields = [{"name": "carrier", "type": "STRING"}, {"name": "minutes", "type": "INTEGER"}]
    schema = {"fields": [*fields, obs.LINEAGE_BIGQUERY_FIELD]}
    write = obs.WriteToBigQuery("test-project:city.delays", schema=schema, method="STREAMING_INSERTS")
    (row,) = [row for row in run(service, write) if row["carrier"] == "AA"]
    answer = why(TABLE, record=json.dumps(row).encode())
    assert (line_of(answer), answer.found_by) == (3, "stamp")
    assert line_of(why(row["_lineage"]["origin"])) == 3
    told = why(TABLE, {"carrier": "AA", "minutes": "-2"}).certainty
    assert told.kind == NOT_RECORDED
    assert "hand over their lineage attributes too" in told.reason


def test_what_is_needed_is_said(
    service: BigQueryServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = "carrier:STRING,minutes:INTEGER"
    write = obs.WriteToBigQuery("test-project:city.delays", schema=schema, method="STREAMING_INSERTS")
    printed = run(service, write)
    part = why(TABLE, {"carrier": "UA"}).certainty
    assert part.kind == NOT_RECORDED
    assert "--record" in part.reason

    def told(*arguments: str, code: int) -> str:
        capsys.readouterr()
        assert exit_code(["why", *arguments]) == code
        said = capsys.readouterr()
        return f"{said.out}{said.err}"

    assert "hand over the whole record" in told(TABLE, code=2)
    assert f"the nearest is:\n  {TABLE}" in told("bigquery:test-project.city.delay", code=1)
    pathlib.Path("rows.json").write_text(json.dumps(printed))
    assert "3 records were handed over: choose one" in told(TABLE, "--record", "rows.json", code=2)
    assert "has no field 'airline'" in told(TABLE, "--record", "rows.json", "--match", "airline=UA", code=2)
    stream = io.TextIOWrapper(io.BytesIO(json.dumps(printed[0]).encode()))
    monkeypatch.setattr("sys.stdin", stream)
    shown = told(TABLE, "--record", "-", code=0)
    assert shown.startswith(f"{TABLE}\n")
    assert "in.csv:2" in shown


def test_a_message_is_known_by_its_data_or_its_attributes() -> None:
    pulled = {
        "ackId": "1",
        "message": {
            "data": base64.b64encode(b"late").decode(),
            "attributes": {"beam_obs-origin": "07" * 16, "beam_obs-run": "r", "mine": "1"},
        },
    }
    (record,) = given_records("pubsub:projects/p/topics/t", json.dumps([pulled]).encode())
    assert output_digest(b"late") in record.digests
    assert record.stamp == {"origin": "07" * 16, "run": "r"}


def test_what_is_no_json_is_a_record_as_it_was_written() -> None:
    (record,) = given_records("pubsub:t", b"late\n")
    assert {output_digest(b"late\n"), output_digest(b"late")} <= set(record.digests)


def test_values_that_a_client_prints_as_text_are_read_both_ways() -> None:
    (record,) = given_records("bigquery:t", b'{"zip": "10115", "n": "3", "on": "true", "none": null}')
    written = {"zip": "10115", "n": 3, "on": True}
    assert output_digest(record_content(written)) in record.digests
    many = {f"field{number}": str(number) for number in range(40)}
    (record,) = given_records("bigquery:t", json.dumps(many).encode())
    assert output_digest(record_content({name: int(value) for name, value in many.items()})) in record.digests
    assert len(record.digests) < 10

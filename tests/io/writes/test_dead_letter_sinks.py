from __future__ import annotations

import base64
import glob
import pathlib
from collections.abc import Iterator

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.evidence import dead_letters
from tests.bigquery_server import BigQueryServer, running_service
from tests.io.pipelines import RUNNER, Keeper

pytest.importorskip("google.cloud.bigquery", reason="pip install 'beam_obs[gcp]'")

TABLE = "test-project.city.dead"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[BigQueryServer]:
    with running_service(monkeypatch, tmp_path) as server:
        yield server


def test_the_schema_has_a_field_for_each_of_a_dead_letters() -> None:
    fields = {field["name"]: field for field in obs.DEAD_LETTER_BIGQUERY_SCHEMA["fields"]}

    assert tuple(fields) == DeadLetter._fields
    assert fields["origin"] == {"name": "origin", "type": "STRING", "mode": "NULLABLE"}
    assert fields["payload"]["type"] == "BYTES"
    assert fields["failed_at"]["description"].startswith("microseconds since the epoch")


def test_the_client_takes_the_schema() -> None:
    from google.cloud.bigquery import SchemaField

    fields = [SchemaField.from_api_repr(field) for field in obs.DEAD_LETTER_BIGQUERY_SCHEMA["fields"]]

    assert [field.name for field in fields] == list(DeadLetter._fields)


def test_dead_letters_are_rows_of_a_table_that_is_made(service: BigQueryServer) -> None:
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters(obs.BigQueryRows("test-project:city.dead")) as dead:
        _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

    assert service.schemas[TABLE] == obs.DEAD_LETTER_BIGQUERY_SCHEMA["fields"]
    (row,) = service.rows[TABLE]
    assert (row["stage"], row["payload_text"]) == ("parse", "x")
    assert base64.b64decode(row["payload"]) == b"x"


def test_a_letter_that_bigquery_refuses_comes_back_as_a_dead_letter(service: BigQueryServer) -> None:
    service.add_table("dead", id="STRING")
    found = Keeper()

    with beam.Pipeline(RUNNER) as p:
        with obs.DeadLetters(obs.BigQueryRows("test-project:city.dead", fallback="refused")) as dead:
            _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
        _ = dead.result | beam.Map(found)

    (letter,) = found.elements
    assert letter.stage == "DeadLetters/Sink"
    assert "no such field" in letter.error_message
    inner = DeadLetter.from_json(letter.payload.decode())
    assert (inner.stage, inner.payload) == ("parse", b"x")
    assert len(glob.glob("refused/dead_letters-*.avro")) == 1


def test_in_a_run_what_is_refused_goes_to_the_store_beside_the_letter_itself(service: BigQueryServer) -> None:
    service.add_table("dead", id="STRING")

    sink = obs.BigQueryRows("test-project:city.dead")
    with obs.Pipeline(RUNNER, name="rows") as p, obs.DeadLetters(sink) as dead:
        _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

    store = obs.Store(".beam_obs")
    run = store.runs("rows")[0]
    kept = {letter.stage: letter for letter, _ in dead_letters(store, run)}
    assert set(kept) == {"parse", "DeadLetters/Sink"}
    assert DeadLetter.from_json(kept["DeadLetters/Sink"].payload.decode()).key == kept["parse"].key
    assert run.end["balance"]["holds"]


def test_without_store_and_fallback_a_refused_letter_fails_the_job(service: BigQueryServer) -> None:
    service.add_table("dead", id="STRING")

    def run() -> None:
        with beam.Pipeline(RUNNER) as p, obs.DeadLetters(obs.BigQueryRows("test-project:city.dead")) as dead:
            _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

    with pytest.raises(Exception, match="a dead letter was refused by its sink"):
        run()

"""Who gets what a step refuses: its own home and output, the Stage around it, the run; and never nobody."""

from __future__ import annotations

import pathlib
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from tests.bigquery_server import running_service
from tests.io.pipelines import RUNNER, Keeper

SECRET = "ada@example.org"
RECORDS = [{"n": 1, "who": "Bob"}, {"n": [object], "who": SECRET}]
"""The second is refused by each of the steps."""


class Within(beam.PTransform):
    """A composite of the user's with one step of ours in it."""

    def __init__(self, step: beam.PTransform) -> None:
        super().__init__()
        self._step = step

    def expand(self, given: Any) -> Any:
        return given | "step" >> self._step


class Parts(beam.PTransform):
    """A composite of the user's whose step is a Map."""

    def expand(self, records: Any) -> Any:
        return records | "step" >> beam.Map(_number)


def _number(record: dict[str, Any]) -> int:
    if not isinstance(record["n"], int):
        raise ValueError(f"no number of {record['who']}")
    return record["n"]


def _rows() -> beam.PTransform:
    pathlib.Path("rows.csv").write_text(f"n,who\n1,Bob\n{SECRET}\n")
    return obs.Source(Within(obs.ReadFromCsv("rows.csv")))


KINDS: dict[str, Any] = {
    "Map": lambda: obs.Stage(Within(beam.Map(_number))),
    "Stage": lambda: obs.Stage(Within(obs.Stage(beam.Map(_number)))),
    "Stage of a composite": lambda: obs.Stage(Within(obs.Stage(Parts()))),
    "Check": lambda: obs.Stage(Within(obs.Check(obs.of_type("n", int)))),
    "Stamp": lambda: obs.Stage(Within(beam.Map(lambda record: record["who"]) | obs.Stamp())),
    "read": _rows,
    "write": lambda: obs.Sink(Within(obs.WriteToJson("out"))),
}


def _given(p: Any, kind: str) -> Any:
    return p if kind == "read" else p | beam.Create(RECORDS)


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_keeps_what_a_step_within_a_stage_refuses_the_job_fails(kind: str) -> None:
    p = beam.Pipeline(RUNNER)
    _ = _given(p, kind) | "outer" >> KINDS[kind]()

    with pytest.raises(Exception, match=r"outer/.*step"):
        p.run().wait_until_finish()


@pytest.mark.parametrize("kind", KINDS)
def test_the_stage_around_a_step_gets_what_it_refuses_without_what_it_redacts(kind: str) -> None:
    dead = Keeper()
    with beam.Pipeline(RUNNER) as p:
        outer = KINDS[kind]()
        outer = type(outer)(outer._transform, redact=["who"]).with_dead_letters()
        _, letters = _given(p, kind) | "outer" >> outer
        _ = letters | beam.Map(dead)

    assert len(dead.elements) == (2 if kind == "Stamp" else 1)
    assert all(letter.stage.startswith("outer/") for letter in dead.elements)
    assert [letter for letter in dead.elements if SECRET in f"{letter}{letter.payload!r}"] == []


@pytest.mark.parametrize("kind", ["Stage of a composite", "Check", "read", "write"])
def test_a_run_gets_what_a_step_within_a_stage_refuses_once(kind: str) -> None:
    with obs.Pipeline(RUNNER, name="nested") as p:
        _ = _given(p, kind) | "outer" >> KINDS[kind]()

    end = obs.Store().find("latest").end
    assert end is not None
    assert end["dead_letters"]["count"] == 1


def test_a_sink_gets_what_the_service_and_the_write_in_it_refuse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("google.cloud.bigquery", reason="pip install 'beam_obs[gcp]'")
    rows = [{"n": 1}, {"n": "late"}, {"n": {"a", "set"}}]
    dead = Keeper()
    with running_service(monkeypatch, tmp_path) as service:
        table = service.add_table("numbers", n="INTEGER")
        write = obs.WriteToBigQuery(table, schema="n:INTEGER", method="STREAMING_INSERTS")
        with beam.Pipeline(RUNNER) as p:
            sink = obs.Sink(Within(write)).with_dead_letters()
            _, letters = p | beam.Create(rows) | "outer" >> sink
            _ = letters | beam.Map(dead)

    assert [letter.stage for letter in dead.elements] == ["outer/Within/step"] * 2

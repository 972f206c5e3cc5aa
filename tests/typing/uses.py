"""Uses of the public names as a user's program has them; `test_typing.py` has type checkers look at it."""

from __future__ import annotations

import apache_beam as beam
from typing_extensions import assert_type

import beam_obs as obs
import beam_obs.lineage as lineage
import beam_obs.testing as testing


def build(pipeline: beam.Pipeline) -> None:
    stage = obs.Stage("parse" >> beam.Map(int), max_dead_rate=0.1, redact=["name"])
    assert_type(stage.with_dead_letters(), obs.Stage)
    check = obs.Check(obs.between("age", 0, 150), obs.one_of("kind", ["a", "b"]), obs.unique("id"))
    home = obs.DeadLetters(obs.JsonLines("refused"))
    _ = pipeline | obs.ReadFromCsv("flights*.csv", stamp=True) | stage | check
    _ = pipeline | obs.WriteToJson("out", dead_letters=home)


def read(store: obs.Store) -> None:
    for letter in obs.read_dead_letters("refused", store=store):
        assert_type(letter, obs.DeadLetter)
        assert_type(letter.payload, bytes)
        assert_type(letter.origin, "str | None")
    answer = lineage.why("out:1", store=store)
    assert_type(answer, lineage.Why)
    assert_type(answer.certainty, lineage.Certainty)
    assert_type(answer.certainty.kind, str)
    assert_type(lineage.fate("flights.csv:2"), lineage.Fate)
    assert_type(obs.current_origin(), "bytes | None")
    assert_type(obs.__version__, str)
    try:
        store.find("latest")
    except obs.RunNotFound as error:
        said: obs.BeamObsError = error
        print(said)


def observe() -> None:
    obs.instrument(name="typed", store="store")
    with obs.Pipeline("DirectRunner", name="typed") as pipeline:
        build(pipeline)
    testing.assert_dead_letters(obs.Store(), testing.dead_letter(stage="parse"))

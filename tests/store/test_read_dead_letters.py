"""Dead letters are read back from a folder or a run, and what is missing is said."""

from __future__ import annotations

import glob
import os
import pathlib

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.store import read_dead_letters
from beam_obs.store.store import Store


def refuse() -> None:
    with (
        obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="numbers") as p,
        obs.DeadLetters("refused") as home,
    ):
        texts = p | beam.Create(["1", "x", "y"])
        texts | "parse" >> obs.Stage(beam.Map(int), dead_letters=home)
        texts | "again" >> obs.Stage(beam.Map(int))


def test_a_folder_and_a_run_are_read_alike() -> None:
    refuse()
    of_folder = list(obs.read_dead_letters("refused"))
    of_run = list(obs.read_dead_letters("numbers@latest", stage="parse"))
    assert {type(letter) for letter in of_folder} == {obs.DeadLetter}
    assert sorted(letter.payload_text for letter in of_folder) == ["x", "y"]
    assert sorted(letter.key for letter in of_folder) == sorted(letter.key for letter in of_run)
    assert len(list(obs.read_dead_letters("latest"))) == 4


def test_what_is_missing_is_said_behind_what_is_there() -> None:
    refuse()
    os.unlink(glob.glob(".beam_obs/runs/numbers/*/dead_letters-again-*.avro")[0])
    found = obs.read_dead_letters("latest")
    assert sorted(next(found).payload_text for _ in range(2)) == ["x", "y"]
    with pytest.raises(obs.BeamObsError, match=r"not all there: dead_letters-again.*missing"):
        next(found)


def test_a_name_of_nothing_is_an_error() -> None:
    with pytest.raises(obs.RunNotFound, match=r"no folder .nothing. .* no run .nothing."):
        next(obs.read_dead_letters("nothing"))


def test_what_is_no_name_and_a_store_as_a_whole_are_wrong_usage() -> None:
    refuse()
    for nothing in (12, ""):
        with pytest.raises(obs.UsageError, match=f"got {nothing!r}: give a folder of dead letters, or a run"):
            next(obs.read_dead_letters(nothing))  # type: ignore[arg-type]
    with pytest.raises(obs.UsageError, match=r"is a store: name a run of it, .*store=obs\.Store"):
        next(obs.read_dead_letters(".beam_obs"))
    assert len(list(obs.read_dead_letters("latest", store=obs.Store(".beam_obs")))) == 4


def test_a_file_that_is_cut_is_said_behind_the_others() -> None:
    refuse()
    (file,) = pathlib.Path("refused").glob("dead_letters-*.avro")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(obs.BeamObsError, match=r"'refused' are not all there: dead_letters-parse.* is cut"):
        list(obs.read_dead_letters("refused"))


def test_a_filesystem_that_fails_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Store, path: str) -> None:
        raise OSError("no route to the bucket")

    monkeypatch.setattr(read_dead_letters, "read_evidence", fails)
    with pytest.raises(obs.BeamObsError, match="'gs://bucket/refused' cannot be read: no route"):
        next(obs.read_dead_letters("gs://bucket/refused"))


def test_redacted_letters_are_read_as_they_were_kept() -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters("refused") as home:
        people = p | beam.Create([{"name": "Ada", "age": "x"}])
        _ = people | "age" >> obs.Stage(beam.Map(_age), dead_letters=home, redact=["name"])
    (letter,) = obs.read_dead_letters("refused")
    assert letter.payload_text == '{"name": "[redacted]", "age": "x"}'
    assert b"Ada" not in letter.payload


def _age(person: dict[str, str]) -> int:
    return int(person["age"])

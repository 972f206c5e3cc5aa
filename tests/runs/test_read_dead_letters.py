"""Dead letters are read back from a folder or a run, and what is missing is said."""

from __future__ import annotations

import glob
import os

import apache_beam as beam
import pytest

import beam_obs as obs


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
    with pytest.raises(obs.RunNotFound, match="no run 'nothing'"):
        next(obs.read_dead_letters("nothing"))

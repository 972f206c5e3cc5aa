"""What is known of a pipeline while it is built."""

from __future__ import annotations

import gc
import pickle
import weakref

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.records.run_context import observation_of


def test_an_observation_is_one_of_its_pipeline() -> None:
    first, second = beam.Pipeline(), beam.Pipeline()
    assert observation_of(first) is observation_of(first)
    assert observation_of(first) is not observation_of(second)
    assert not observation_of(first).observed


@pytest.mark.parametrize("kind", [beam.Pipeline, obs.Pipeline])
def test_a_pipeline_that_was_run_is_freed(kind: type[beam.Pipeline]) -> None:
    freed = weakref.ref(_ran(kind))
    gc.collect()
    assert freed() is None


def _ran(kind: type[beam.Pipeline]) -> beam.Pipeline:
    pipeline = kind("FnApiRunner", argv=["--obs_report=off"])
    with obs.DeadLetters("dead") as dead:
        pipeline | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    pipeline.run().wait_until_finish()
    return pipeline


def test_what_is_pickled_of_a_pipeline_is_without_it() -> None:
    pipeline = obs.Pipeline("FnApiRunner")
    numbers = pipeline | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int))
    observation_of(pipeline).evidence.append(lambda: "cannot be pickled")
    assert b"lambda" not in pickle.dumps(numbers)

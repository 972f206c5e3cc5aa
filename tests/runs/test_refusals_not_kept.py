"""Refusals that no file has when a run ends: how many, and of which stage, is said."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs


def fail_at_three(number: int) -> int:
    if number == 3:
        raise RuntimeError("the machine is gone")
    return number


def ended(*steps: Any) -> obs.RunRecord:
    p = obs.Pipeline("FnApiRunner", name="ends")
    numbers = p | beam.Create(["1", "x", "y", "3"], reshuffle=False)
    for step in steps:
        numbers |= step
    with pytest.raises(RuntimeError, match="the machine is gone"):
        p.run().wait_until_finish()
    return obs.Store().runs()[0]


def test_refusals_of_a_bundle_that_failed_are_said_not_to_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run = ended("parse" >> obs.Stage(beam.Map(int)), "end" >> beam.Map(fail_at_three))

    assert run.end["dead_letters"]["not_kept"] == {"parse": 2}
    assert run.status_text == "failed, up to 2 refused and not kept"
    report = capsys.readouterr().err
    assert "and up to 2 refused and not kept, by parse 2: the run ended before they were written" in report


def test_refusals_that_are_in_a_file_are_kept_whether_committed_or_not() -> None:
    run = ended("parse" >> obs.Stage(beam.Map(int)), beam.Reshuffle(), "end" >> beam.Map(fail_at_three))

    refused = run.end["dead_letters"]
    assert (refused["count"], refused["uncommitted"], refused["not_kept"]) == (2, 2, {})
    assert run.status_text == "failed, 2 dead"

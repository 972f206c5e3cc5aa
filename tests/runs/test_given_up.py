"""A stream that the direct runner has given up is failed, whether or not anybody waits for its end."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.testing.test_stream import TestStream

import beam_obs as obs
from beam_obs.runs import watcher
from tests.patience import wait_until


def fail(word: str) -> str:
    raise LookupError(f"no {word}")


def stream_that_fails() -> Any:
    options = PipelineOptions(["--streaming", "--obs_report=off"])
    pipeline = obs.Pipeline("BundleBasedDirectRunner", options=options, name="stream")
    words = pipeline | TestStream().add_elements(["one", "x"])
    _ = words | "parse" >> obs.Stage(beam.Map(int))
    _ = words | "fail" >> beam.Map(fail)
    return pipeline.run()


def test_it_is_told_though_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.1)
    result = stream_that_fails()

    wait_until("over", lambda: bool(PipelineState.is_terminal(result.state)))

    assert result.state == PipelineState.FAILED
    wait_until("told", lambda: obs.Store().find("latest").end is not None)
    run = obs.Store().find("latest")
    assert run.status == "failed"
    assert (run.end or {})["error"]["message"] == "no one [while running 'fail']"
    with pytest.raises(LookupError, match="no one"):
        result.wait_until_finish()


def test_one_that_is_cancelled_afterwards_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 3600)
    result = stream_that_fails()
    updates = result._executor._executor.visible_updates._queue
    wait_until("asked for", lambda: not updates.empty())

    result.cancel()

    assert obs.Store().find("latest").status == "failed"

"""Workers that are forked or started anew set up tracers of their own; what they made arrives."""

from __future__ import annotations

import os
import pathlib

import pytest

from beam_obs.records.origin import Partition
from beam_obs.records.span_rows import spans_of_file
from beam_obs.records.trace_settings import STORE, TraceSettings
from beam_obs.traces.step_tracer import StepTracer
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import close_tracers

RUN = "01955a30-5f80-7abc-8def-0123456789ab"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_worker_sends_its_own_spans_and_none_twice(tmp_path: pathlib.Path) -> None:
    settings = TraceSettings(RUN, "forked", str(tmp_path), STORE, False, 0, 1, 1)
    tracer = StepTracer(TracedStep("step", settings))
    before, within, after = map(Partition("a", "1").origin, range(3))
    tracer.start_bundle()
    tracer.start(before).end()

    child = os.fork()
    if child == 0:
        code = 1
        try:
            tracer.start_bundle()
            tracer.start(within).end()
            tracer.finish_bundle()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tracer.start(after).end()
    tracer.finish_bundle()
    close_tracers(RUN)

    spans = [
        span
        for file in tmp_path.glob("traces-*.jsonl")
        for span in spans_of_file(file.read_bytes())[0]
        if span.name == "step"
    ]
    assert sorted(span.trace_id for span in spans) == sorted(one.hex() for one in (before, within, after))

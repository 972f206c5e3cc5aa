"""Which elements of a woven step that is traced have a span: the sampled ones, whatever is beside others."""

from __future__ import annotations

import apache_beam as beam
import pytest
from opentelemetry import trace

from beam_obs.records.contributors import NO_SOURCE, UNKNOWN
from beam_obs.records.origin import Partition
from beam_obs.records.trace_settings import STORE, TraceSettings
from beam_obs.traces.sampling import is_sampled, threshold_of
from beam_obs.traces.step_tracer import StepTracer
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import close_tracers
from beam_obs.wrapper.element_forms import WOVEN, packer
from beam_obs.wrapper.user_callable import user_callable
from beam_obs.wrapper.woven_step import Process, WovenStep, one_to_one

RUN = "01955a30-5f80-7abc-8def-0123456789ab"


def process_at(share: float, continues: bool = False) -> Process:
    """Returns the process function of a step whose results say whether there is a span."""
    settings = TraceSettings(RUN, "test", None, STORE, False, threshold_of(share), 1, 1)
    tracer = StepTracer(TracedStep("step", settings, continues=continues))
    called = user_callable(beam.Map(lambda _: trace.get_current_span().is_recording()).fn)
    return one_to_one(called, WovenStep("step", WOVEN, WOVEN, packer(WOVEN, {}, None), None, tracer), False)


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("share", [0.0, 1e-9, 0.001, 1 / 256, 0.01, 0.5, 1.0])
def test_sampled_elements_have_a_span_and_no_others(share: float, continues: bool) -> None:
    process = process_at(share, continues)
    origins = [Partition("a", "1").origin(number) for number in range(2_000)]

    has_span = [process((origin, None))[0][1] for origin in origins]
    close_tracers(RUN)

    assert has_span == [is_sampled(origin, threshold_of(share)) for origin in origins]


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("provenance", [UNKNOWN, NO_SOURCE, b"\xff" * 17, b"\xff" * 200])
def test_an_element_that_has_no_origin_has_no_span(provenance: bytes, continues: bool) -> None:
    assert list(process_at(1.0, continues)((provenance, None))) == [(provenance, False)]

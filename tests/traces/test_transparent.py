"""Every step of the oracle gives the values and the lineage that it gives without traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from beam_obs.records.trace_settings import STORE, TraceSettings
from beam_obs.traces.tracer import close_tracers
from tests.weaving.provenance import made, run_woven
from tests.weaving.random_steps import STEPS, typed

RUN = "01955a30-5f80-7abc-8def-0123456789ab"


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
@pytest.mark.slow
def test_lineage_of_every_step_is_what_its_values_say(runner: str, tmp_path: Path) -> None:
    names = sorted(STEPS.keys() - {"sessions"})
    traces = TraceSettings(RUN, "oracle", str(tmp_path), STORE, False, 0, 1, 1)

    def build(pipeline: Any) -> Any:
        pairs = pipeline | "one" >> beam.Create([(at % 4, frozenset([at])) for at in range(20)])
        return [typed(STEPS[name](typed(pairs, f"{name} first"), name), f"{name} last") for name in names]

    ran = run_woven(build, str(tmp_path), runner, traces=traces)
    close_tracers(RUN)

    assert all(ran.seen)
    for value, origin in ran.outputs:
        assert ran.sources_of(origin) == {made("one", number) for number in value[1]}
    assert list(tmp_path.glob("traces-*.jsonl"))

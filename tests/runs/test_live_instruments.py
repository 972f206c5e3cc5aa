"""Counters and histograms of a run in this process are told while it runs, in the midst of a bundle too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_stream import TestStream

import beam_obs as obs
from beam_obs.metrics.live_instruments import families_here
from beam_obs.runs import watcher
from beam_obs.store.run_record import RunRecord
from tests.patience import PATIENCE_SECONDS

ROWS = obs.counter("lively_rows", "kind")
SIZES = obs.histogram("lively_size_bytes", buckets=[1, 10])


class Look(beam.DoFn):
    """Counts four elements, and looks at the store of its own run until that is told there."""

    seen: list[RunRecord]

    def process(self, element: str) -> Iterator[str]:
        ROWS.labels(kind="seen").inc()
        SIZES.observe(len(element))
        if element == "last":
            Look.seen.append(self._told())
        yield element

    def _told(self) -> RunRecord:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            (record,) = obs.Store().runs()
            if values(record.live or {}).get("lively_rows_total") == 4:
                return record
            assert time.monotonic() < deadline, record.live
            time.sleep(0.02)


def values(told: Any) -> dict[str, float]:
    families = (told.get("instruments") or {}).get("families", ())
    return {
        family["name"]: sample.get("value", sample.get("count"))
        for family in families
        for sample in family["samples"]
        if sample["step"] == "look"
    }


@pytest.mark.parametrize("is_stage", [True, False])
def test_what_a_bundle_counts_is_told_before_it_ends(is_stage: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.02)
    Look.seen = []
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="small") as p:
        texts = p | beam.Create(["a", "b", "c", "last"], reshuffle=False)
        step = beam.ParDo(Look())
        _ = texts | "look" >> (obs.Stage(step) if is_stage else step)

    (seen,) = Look.seen
    (ended,) = obs.Store().runs()
    assert values(seen.live) == values(ended.end) == {"lively_rows_total": 4, "lively_size_bytes": 4}
    assert families_here(ended.id) == ()


@pytest.mark.parametrize("is_stage", [True, False])
def test_what_the_direct_runner_loses_of_a_stream_is_told_as_it_was_counted_here(is_stage: bool) -> None:
    stream = TestStream()
    for second in range(5):
        stream.add_elements(["a", "bb", "ccc"]).advance_watermark_to(second)
    stream.advance_watermark_to_infinity()

    def look(element: str) -> str:
        ROWS.labels(kind="seen").inc()
        SIZES.observe(len(element))
        return element

    with obs.Pipeline("DirectRunner", argv=["--streaming", "--obs_report=off"], name="small") as p:
        step = beam.Map(look)
        _ = p | stream | "look" >> (obs.Stage(step) if is_stage else step)
    (ended,) = obs.Store().runs()
    assert values(ended.end) == {"lively_rows_total": 15, "lively_size_bytes": 15}
    assert (ended.end or {})["instruments"]["attempted"]

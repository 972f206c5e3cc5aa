"""The balance of a run tells of its steps what its report does."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.reports.ledger_text import step_rows
from beam_obs.store.folding import folded_record
from beam_obs.store.step_counts import step_counts
from tests.step_with_state import Seen


def test_steps_that_the_ledger_counts_otherwise_have_the_counts_of_the_report() -> None:
    with obs.Pipeline("FnApiRunner", PipelineOptions(["--obs_report=off"]), name="rows") as p:
        pairs = p | "read" >> beam.Create([(number % 3, number) for number in range(30)])
        other = p | "other" >> beam.Create([(number % 3, number) for number in range(12)])
        seen = pairs | "seen" >> beam.ParDo(Seen())
        _ = {"a": seen, "b": other} | "join" >> beam.CoGroupByKey() | "joined" >> beam.Map(str)
        _ = seen | "batches" >> beam.GroupIntoBatches(4) | "last" >> obs.Stage(beam.Map(str))
    record = obs.Store().find("rows@latest")
    end, counts = folded_record(record).end or {}, step_counts(record)
    rows = {row[0]: (row[1], row[5]) for row in step_rows(end["ledger"]["steps"], counts)}
    assert rows.pop("read (source)") == ("", "30")
    assert rows.pop("other (source)") == ("", "12")
    assert rows == {label: (f"{one.taken}", f"{one.given}") for label, one in counts.items() if label in rows}
    assert {"seen": ("30", "30"), "join": ("42", "3"), "batches": ("30", "9")}.items() <= rows.items()

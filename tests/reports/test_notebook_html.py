"""What notebooks show of runs and answers; that of a real notebook is in tests/examples."""

from __future__ import annotations

import apache_beam as beam
import lxml.html
import pytest

import beam_obs as obs
import beam_obs.lineage as lineage

HOSTILE = "<script>alert('<b>')</script>\x1b[31m"


def fail(value: str) -> str:
    raise ValueError(f"{HOSTILE} {value}")


@pytest.fixture
def store() -> obs.Store:
    """The store of a run whose label, record and error mean harm, and of one that refused nothing."""
    quiet = ["--obs_report=off"]
    with open("words.txt", "w") as file:
        file.write(f"{HOSTILE}\n")
    for step in (beam.Map(fail), beam.Map(str.upper)):
        with obs.Pipeline("FnApiRunner", argv=quiet, name="hostile", store="runs") as pipeline:
            read = pipeline | beam.io.ReadFromText("words.txt")
            _ = read | "<i>step</i>" >> obs.Stage(step) | beam.io.WriteToText("out", shard_name_template="")
    return obs.Store("runs")


def test_what_a_store_says_is_text_and_no_markup(store: obs.Store) -> None:
    refused = store.find("hostile@latest~1")
    fate = lineage.fate("words.txt:1", run=refused.id, store=store)
    why = lineage.why("out:1", store=store)
    for shown in (store.runs(), refused, fate, why):
        text = shown._repr_html_()
        assert text is not None
        assert "\x1b" not in text
        page = lxml.html.fragment_fromstring(text, create_parent="div")
        assert page.xpath(".//script | .//b | .//i") == []
    assert "<i>step</i>" in lxml.html.fragment_fromstring(fate._repr_html_() or "").text_content()


def test_a_run_tells_what_was_refused_and_runs_are_one_table(store: obs.Store) -> None:
    runs = store.runs()
    assert len(lxml.html.fragment_fromstring(runs._repr_html_() or "").xpath("./tbody/tr")) == 2
    cells = lxml.html.fragment_fromstring(runs[1]._repr_html_() or "", create_parent="div").xpath(".//td")
    assert "done, 1 dead" in [cell.text_content() for cell in cells]
    assert runs[0:1] == [runs[0]]


def test_a_result_leads_to_its_run_as_the_store_has_it() -> None:
    pipeline = obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="counted", store="runs")
    _ = pipeline | beam.Create([1])
    result = pipeline.run()
    result.wait_until_finish()
    assert "done" in result.beam_obs_run._repr_html_()

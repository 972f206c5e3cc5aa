"""The page of a record shows its way in time, where its run was traced."""

from __future__ import annotations

import pathlib

import lxml.html
import pytest

import beam_obs as obs
from tests.cli.test_trace import of_cities
from tests.traces.traced_runs import run_traced
from tests.web.conftest import serving


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "fares.csv").write_text("rome,1\nrome,2\noslo,x\noslo,4\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("asks_for_the_run", [False, True])
def test_the_spans_of_a_record_are_rows_and_lead_to_its_aggregate(
    folder: pathlib.Path, asks_for_the_run: bool
) -> None:
    (folder / "beam_obs.toml").write_text('trace_url = "http://jaeger:16686/trace/{trace_id}"\n')
    run_traced(folder / "store", of_cities)

    run = f"&run={obs.Store(str(folder / 'store')).find('latest').id}" if asks_for_the_run else ""

    with serving(folder) as served:
        page = lxml.html.fromstring(served.get(f"/records?at={folder}/fares.csv:1{run}").text)
        (way,) = page.cssselect("section[aria-labelledby=way]")
        steps = [row.text_content().strip() for row in way.cssselect("tbody th")]
        address = way.cssselect("tbody a")[0].get("href")
        aggregate = lxml.html.fromstring(served.get(address).text)

    assert [step.split()[-1] for step in steps[1:]] == ["parse", "city", "text", "write"]
    assert "into by city" in steps[2]
    assert "source uri fares.csv" in way.text_content()
    assert f"beam-obs trace {folder}/fares.csv:1" in page.text_content()
    (origin,) = {href.get("href") for href in way.cssselect("p a")}
    assert origin.startswith("http://jaeger:16686/trace/")
    (of_aggregate,) = aggregate.cssselect("section[aria-labelledby=way]")
    assert "contributors 2" in of_aggregate.text_content()


def test_a_refused_record_shows_what_was_raised(folder: pathlib.Path) -> None:
    run_traced(folder / "store", of_cities, "--obs_trace_share=0")
    (letter,) = obs.read_dead_letters("latest", store=obs.Store(str(folder / "store")))

    with serving(folder) as served:
        page = lxml.html.fromstring(served.get(f"/records/{letter.origin}").text)

    (way,) = page.cssselect("section[aria-labelledby=way]")
    assert "ValueError: could not convert string to float: 'x'" in way.text_content()
    assert letter.id in way.text_content()


def test_a_run_that_was_not_traced_has_no_such_section(folder: pathlib.Path) -> None:
    run_traced(folder / "store", of_cities, "--obs_traces=off")

    with serving(folder) as served:
        page = lxml.html.fromstring(served.get(f"/records?at={folder}/fares.csv:1").text)

    assert page.cssselect("section[aria-labelledby=way]") == []

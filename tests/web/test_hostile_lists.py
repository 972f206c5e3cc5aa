"""What a store says is shown as text on lists, histories and differences, whatever it says."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pytest

import beam_obs as obs
from tests.web.conftest import Served, serving

HOSTILE = "<script>alert(1)</script>\x1b[31m\"'>" + "é x" * 60


def fail(value: str) -> str:
    raise ValueError(f"{HOSTILE} {value}")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of two runs whose label, option and errors mean harm."""
    folder = tmp_path_factory.mktemp("hostile-lists")
    for values in (["a"], ["a", HOSTILE]):
        argv = ["--obs_report=off", f"--job_name={HOSTILE}{len(values)}"]
        with obs.Pipeline("FnApiRunner", argv=argv, name="hostile", store=folder / "store") as pipeline:
            _ = pipeline | beam.Create(values) | HOSTILE >> obs.Stage(beam.Map(fail))
    with serving(folder) as served:
        yield served


def test_nothing_of_it_is_markup_or_a_control_character(hostile: Served) -> None:
    (newest, _), (before, _) = hostile.store.ids()
    pages = [
        "/",
        "/pipelines/hostile",
        "/pipelines/hostile/kinds",
        f"/differences/{before}/{newest}",
        "/search?q=alert",
        "/search?q=%3Cscript%3Ealert%1B",
    ]
    for page in pages:
        answer = hostile.get(page)
        assert answer.status == 200, page
        assert "<script>alert" not in answer.text, page
        assert "\x1b" not in answer.text, page
    assert "&lt;script&gt;alert" in hostile.get(pages[1]).text

"""What the page of a pipeline's kinds of refusal says."""

from __future__ import annotations

import pathlib
import shutil

import lxml.html

from tests.web.conftest import Served, serving


def kinds_by_state(served: Served, pipeline: str) -> dict[str, list[lxml.html.HtmlElement]]:
    document = lxml.html.fromstring(served.get(f"/pipelines/{pipeline}/kinds").text)
    return {
        section.xpath("string(./h2)").split()[0]: section.xpath(".//article")
        for section in document.xpath("//section[.//article]")
    }


def test_kinds_are_told_by_whether_they_are_new_or_gone(served: Served) -> None:
    kinds = kinds_by_state(served, "orders")
    assert {state: len(of_state) for state, of_state in kinds.items()} == {"New": 2, "Gone": 1}
    assert "LookupError: no such customer" in kinds["New"][0].text_content()
    assert "first seen" in kinds["Gone"][0].text_content()
    told = served.get("/pipelines/orders/kinds").text
    assert "Bars: in each of the newest 4 runs, the newest at the right." in told


def test_each_kind_has_its_counts_over_the_runs(served: Served) -> None:
    (gone,) = kinds_by_state(served, "orders")["Gone"]
    told = [one.text_content() for one in gone.xpath(".//*[local-name()='title']")]
    assert [text.split(", ")[1].split(" in run ")[0] for text in told] == ["6", "6", "6", "0"]


def test_a_pipeline_none_of_whose_runs_has_finished_is_said_to_have_no_kinds(served: Served) -> None:
    assert "No run of broken-orders has finished." in served.get("/pipelines/broken-orders/kinds").text
    assert served.get("/pipelines/nothing/kinds").status == 404


def test_a_kind_of_neither_of_the_last_two_runs_is_told_too(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(runs_folder / "store", tmp_path / "store")
    runs = sorted((tmp_path / "store" / "runs" / "orders").iterdir())
    runs[-1].rename(runs[-1].with_name("01a00000-0000-7000-8000-000000000001"))
    with serving(tmp_path) as served:
        kinds = kinds_by_state(served, "orders")
    assert {state: len(of_state) for state, of_state in kinds.items()} == {"Recurring": 1, "Earlier": 2}
    assert "LookupError: no such customer" in " ".join(one.text_content() for one in kinds["Earlier"])

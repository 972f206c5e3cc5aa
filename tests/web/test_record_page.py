"""A record on a page: what it was made of and what became of it, down to the lines of its source."""

from __future__ import annotations

import pathlib
import urllib.parse
from typing import Any

import lxml.html
import pytest

from beam_obs.lineage import opened_files
from beam_obs.records.origin import Partition
from tests.lineage.evidence import WrittenRun
from tests.web.conftest import Served, serving
from tests.web.stored_pipelines import ORDERS, run_orders
from tests.web.test_shown_sources import hostile_run


def _page(served: Served, path: str) -> Any:
    answer = served.get(path)
    assert answer.status == 200, answer.text
    return lxml.html.fromstring(answer.text)


def _at(place: str) -> str:
    return f"/records?at={urllib.parse.quote(place)}"


def _source(served: Served) -> str:
    return str(served.folder / "orders.csv")


def _output(served: Served) -> str:
    return str(next(served.folder.glob("totals*.csv")))


def test_an_output_record_leads_to_the_lines_that_it_was_made_of(served: Served) -> None:
    page = _page(served, _at(f"{_output(served)}:1"))
    (made_of,) = page.cssselect("section[aria-labelledby=made-of]")
    assert "complete" in made_of.text_content()
    assert "total key customer-1: made of 9 elements" in made_of.text_content()
    assert "by read > parse > total" in made_of.text_content()
    texts = [code.text_content() for code in made_of.cssselect(".source-text")]
    assert texts[:2] == ["1,customer-1,101", "8,customer-1,108"]
    record = _page(served, made_of.cssselect(".source-place a")[1].get("href"))
    assert record.cssselect(".is-marked")[0].text_content().strip() == "98,customer-1,108"
    (became,) = record.cssselect("section[aria-labelledby=became]")
    assert "in total key customer-1, of 9 elements" in became.text_content()
    assert "by read > parse > total" in became.text_content()
    assert "written by write" in became.text_content()
    assert "by total > text > write" in became.text_content()


def test_a_line_of_a_source_leads_to_its_dead_letter(served: Served) -> None:
    page = _page(served, _at(f"{_source(served)}:4"))
    (became,) = page.cssselect("section[aria-labelledby=became]")
    assert "refused by parse" in became.text_content()
    letter = _page(served, became.cssselect(".became a")[0].get("href"))
    assert letter.cssselect("h1")[0].text == "ValueError"


def test_all_contributors_that_were_kept_are_reached(served: Served) -> None:
    page = _page(served, _at(f"{_output(served)}:1"))
    path = page.cssselect("dd a code")[0].getparent().get("href")
    every = [code.text_content() for code in page.cssselect(".source-text")]
    some = _page(served, f"{path}&first=7")
    assert [code.text_content() for code in some.cssselect(".source-text")] == every[7:]
    assert "contributors 8 to 9 of 9 that were kept" in some.text_content()
    assert some.cssselect("a[rel=prev]")


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_source_that_is_not_as_it_was_read_is_not_shown(tmp_path: pathlib.Path, change: str) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS)
    run_orders(tmp_path)
    with serving(tmp_path) as served:
        place = _at(f"{_output(served)}:1")
        assert "8,customer-1,108" in served.get(place).text
        if change == "gone":
            (tmp_path / "orders.csv").unlink()
        else:
            (tmp_path / "orders.csv").write_text(ORDERS.replace("108", "999"))
        shown = _page(served, place)
    assert shown.cssselect(".source-text") == []
    assert {state.text for state in shown.cssselect(".state")} == {change}


def test_a_source_that_is_too_large_to_be_verified_is_not_shown(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_files, "LARGEST_DIGESTED", 10)
    page = _page(served, _at(f"{_output(served)}:1"))
    assert page.cssselect(".source-text") == []
    assert {state.text for state in page.cssselect(".state")} == {"not verified"}
    record = _page(served, page.cssselect(".source-place a")[1].get("href"))
    assert record.cssselect(".source-lines, .record-text") == []
    assert "8,customer-1,108" not in record.text_content()


@pytest.mark.slow
def test_an_aggregate_of_a_million_makes_no_large_page(tmp_path: pathlib.Path) -> None:
    source = Partition("in.csv", "1-x")
    run = WrittenRun(tmp_path / "store", limit=None)
    run.partitions = [source]
    total = run.aggregate("total", "all", [source.origin(number) for number in range(100_000)])
    run.finish()
    with serving(tmp_path) as served:
        answer = served.get(f"/records/{total.hex()}")
        assert len(answer.text) < 50_000
        assert "contributors 1 to 10 of 100,000 that were kept" in answer.text
        last = _page(served, f"/records/{total.hex()}?first=99995")
    assert len(last.cssselect(".contributors .source-record")) == 5


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes_makes_no_large_page(tmp_path: pathlib.Path) -> None:
    content = b"short\n" + b"x" * 100_000_000 + b"\nshort\n"
    source = hostile_run(tmp_path, str(tmp_path / "in.txt"), content)
    (tmp_path / "in.txt").write_bytes(content)
    with serving(tmp_path) as served:
        answer = served.get(f"/records/{source.origin(6).hex()}")
    assert "verified" in answer.text
    assert len(answer.text) < 50_000
    assert "the line goes on" in answer.text


def test_a_place_that_no_run_knows_and_nonsense_are_said(served: Served) -> None:
    for place in (f"{served.folder}/other.csv:1", "nonsense", f"{_source(served)}:100000", "/etc/passwd:1"):
        answer = served.get(_at(place))
        assert answer.status == 404, place
    assert "not shown: not under --sources" in served.get(_at("/etc/passwd:1")).text
    assert served.get("/records/nonsense").status == 404
    assert "File and line" in served.get("/records").text


def test_an_origin_that_no_run_knows_is_said(served: Served) -> None:
    assert "no run of the store" in _page(served, f"/records/{'12' * 16}").text_content()


def test_a_mistake_in_a_place_is_told_without_a_line_of_a_program(served: Served) -> None:
    answer = served.get(f"/records?at={served.folder}/*:1")
    assert answer.status == 404
    assert "name one of them" in answer.text
    assert ".py:" not in answer.text

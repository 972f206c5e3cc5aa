"""`beam-obs show RUN --html FILE`: the page of a run that needs nothing beside it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import lxml.html
import pytest

from beam_obs.cli.main import exit_code


@pytest.fixture
def written(runs_folder: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The page of the newest run of orders."""
    file = tmp_path / "run.html"
    store = str(runs_folder / "store")
    assert exit_code(["show", "orders@latest", "--store", store, "--html", str(file)]) == 0
    return file


def test_it_loads_nothing_and_runs_nothing(written: pathlib.Path) -> None:
    page = lxml.html.document_fromstring(written.read_bytes())
    assert page.xpath("//script | //link[@rel='stylesheet'] | //form[@action]") == []
    assert [link for link in page.xpath("//@href | //@src") if not link.startswith(("data:", "#"))] == []
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.xpath("//h1")[0].text_content() == "orders"


def test_it_goes_to_standard_output(runs_folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(runs_folder / "store")
    assert exit_code(["show", "orders@latest", "--store", store, "--html", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


@pytest.mark.browser
def test_its_style_is_taken_from_a_disk(written: pathlib.Path, open_page: Callable[..., Any]) -> None:
    page = open_page(written.as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "flex"


@pytest.mark.browser
def test_all_of_it_fits_on_paper_and_nothing_says_that_it_leads_on(
    written: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(written.as_uri(), width=760, scheme="dark")
    page.emulate_media(media="print")
    graph, frame = (page.locator(part).bounding_box() for part in (".graph-frame .graph", ".graph-frame"))
    assert graph["width"] <= frame["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 760
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"
    assert not page.get_by_text("kinds over all runs of orders").is_visible()
    assert not page.get_by_role("button").first.is_visible()

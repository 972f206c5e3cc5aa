"""From the list of pipelines to the line of a source file, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser


def _click(page: Any, link: Any) -> None:
    with page.expect_navigation():
        link.click()


def test_three_clicks_lead_from_the_list_to_the_line_of_an_aggregate(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    run = served.store.find("orders@latest").id
    _click(page, page.locator(f"a[href='/runs/{run}']").first)
    _click(page, page.get_by_role("link", name="first record"))
    assert "total key customer-1: made of 9 elements" in page.locator("main").inner_text()
    _click(page, page.get_by_role("link", name="orders.csv:9"))
    assert page.locator(".is-marked").inner_text().split() == ["9", "8,customer-1,108"]


def test_three_clicks_lead_from_the_list_to_the_line_that_was_refused(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    run = served.store.find("orders@latest").id
    _click(page, page.locator(f"a[href='/runs/{run}']").first)
    _click(page, page.locator(f"a[href='/runs/{run}/dead-letters']").first)
    _click(page, page.locator(".letters a").first)
    assert page.locator(".is-marked").inner_text().split() == ["4", "3,customer-3,n/a"]


def test_a_tree_unfolds_by_the_keyboard(served: Served, open_page: Callable[..., Any]) -> None:
    output = next(served.folder.glob("totals*.csv"))
    page = open_page(f"{served.address}/records?at={output}:1")
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert not page.get_by_text("8,customer-1,108").is_visible()
    page.keyboard.press("Enter")
    assert page.get_by_text("8,customer-1,108").is_visible()


@pytest.mark.parametrize("width", [360, 2560])
def test_pages_of_records_are_no_wider_than_the_window(
    served: Served, open_page: Callable[..., Any], width: int
) -> None:
    run = served.store.find("orders@latest")
    kind = (run.end or {})["dead_letters"]["by_fingerprint"][0]
    output = next(served.folder.glob("totals*.csv"))
    paths = [
        f"/runs/{run.id}/dead-letters",
        f"/dead-letters/{kind['id']}",
        f"/records/{kind['origin']}?run={run.id}",
        f"/records?at={output}:1",
        "/records",
    ]
    page = open_page(served.address, width=width)
    for path in paths:
        page.goto(f"{served.address}{path}")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path

"""From the list of pipelines, and from the search field, to the line of a source: by the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser

MOST_STOPS = 200


def enter(page: Any, text: str) -> None:
    """Goes on by Tab to the link with that text, and follows it by Enter."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.locator("a:focus").filter(has_text=text).count():
            with page.expect_navigation():
                page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab reaches no link {text!r}")


def marked(page: Any) -> list[str]:
    """Returns number and text of the line that is marked."""
    words: list[str] = page.locator(".is-marked").inner_text().split()
    return words


def test_the_text_of_a_refused_record_leads_to_its_line(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    page.keyboard.press("/")
    page.keyboard.type("23,customer-2,n/a")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    enter(page, "23,customer-2,n/a")
    assert marked(page) == ["24", "23,customer-2,n/a"]


def test_the_list_of_pipelines_leads_to_the_line_of_a_source(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    enter(page, served.store.find("orders@latest").id[:13])
    enter(page, "first record")
    enter(page, "orders.csv:9 ")
    assert marked(page) == ["9", "8,customer-1,108"]

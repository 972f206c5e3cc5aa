"""The list of pipelines in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser


def test_arrows_go_through_the_bars_and_enter_opens_the_run(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    ids = [run for run, _ in served.store.ids("orders")]
    page.locator(f"#bar-{ids[0]}").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{ids[1]}")


def test_what_has_the_focus_keeps_it_when_the_list_comes_anew(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(served.address)
    ids = [run for run, _ in served.store.ids("orders")]
    page.locator(f"#bar-{ids[0]}").focus()
    page.locator("#pipelines").evaluate(
        "it => { it.dataset.was = 'here'; it.setAttribute('hx-vals', '{}'); }"  # as if something had changed
    )
    page.evaluate(
        "htmx.ajax('GET', '/', {source: '#pipelines', target: '#pipelines', select: '#pipelines',"
        " swap: 'outerHTML'})"
    )
    page.locator("#pipelines:not([data-was])").wait_for()
    assert page.evaluate("document.activeElement.id") == f"bar-{ids[0]}"

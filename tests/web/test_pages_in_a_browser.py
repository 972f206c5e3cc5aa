"""Pages in a real browser: nothing is refused, nothing goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser


def test_pipelines_lead_to_their_newest_run(served: Served, open_page: Callable[..., Any]) -> None:
    page = open_page(served.address)
    assert page.title() == "Pipelines · beam_obs"
    page.get_by_role("row").filter(has_text="orders").first.get_by_role("link").nth(1).click()
    assert page.locator("h1").inner_text() in ("orders", "broken-orders")

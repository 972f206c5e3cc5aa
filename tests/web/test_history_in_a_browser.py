"""The history of a pipeline in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser


def test_curves_are_drawn_of_a_step_that_is_chosen(served: Served, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{served.address}/pipelines/orders")
    assert page.locator("figure .uplot canvas").count() == 3
    page.get_by_label("step").select_option("parse")
    page.wait_for_url("**/pipelines/orders?step=parse*")
    assert page.locator("figure .uplot canvas").count() == 3
    assert "99 %" in page.locator("figcaption").nth(2).inner_text()

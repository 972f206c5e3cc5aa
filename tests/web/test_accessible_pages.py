"""axe-core finds nothing to object to on any page, in both schemes, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import Served

pytestmark = pytest.mark.browser

PATHS = {
    "pipelines": "/",
    "history": "/pipelines/orders",
    "kinds": "/pipelines/orders/kinds",
    "run": "/runs/{run}",
    "failed run": "/runs/{failed}",
    "step": "/runs/{run}/step?label=parse",
    "dead letters": "/runs/{run}/dead-letters",
    "dead letter": "/dead-letters/{letter}",
    "difference": "/differences/{before}/{run}",
    "search": "/search?q=customer-6",
    "search that finds nothing": "/search?q=nothing",
    "record": "/records/{origin}?run={run}",
    "record of an output": "/records?at={output}:1",
    "record asked for": "/records",
}


def path_of(served: Served, name: str) -> str:
    newest = served.store.find("orders@latest")
    kind = newest.last_known["dead_letters"]["by_fingerprint"][0]
    return PATHS[name].format(
        run=newest.id,
        before=served.store.find("orders@latest~1").id,
        failed=served.store.find("broken-orders@latest").id,
        letter=kind["id"],
        origin=kind["origin"],
        output=next(served.folder.glob("totals*.csv")),
    )


def objections(page: Any) -> list[str]:
    """Returns what axe-core objects to, each with the first place of it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize("name", PATHS)
def test_a_page_is_accessible(served: Served, open_page: Callable[..., Any], name: str) -> None:
    address = f"{served.address}{path_of(served, name)}"
    for width, scheme in ((1280, "light"), (360, "dark")):
        assert objections(open_page(address, width=width, scheme=scheme)) == []


def test_a_step_beside_its_graph_is_accessible(served: Served, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{served.address}{path_of(served, 'run')}")
    page.locator("#graph-drawing a").nth(1).click()
    page.wait_for_selector("#panel #step")
    assert objections(page) == []

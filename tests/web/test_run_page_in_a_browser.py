"""The page of a run in a real browser: graph, panel and counts that rise, by mouse and by keyboard alone."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from beam_obs.web.static_site import write_site
from tests.web.conftest import Served, serving
from tests.web.test_run_page import as_running, change, run_of

pytestmark = pytest.mark.browser


def view_of(page: Any) -> list[float]:
    return [float(number) for number in page.locator("svg.graph").first.get_attribute("viewBox").split()]


def step_in_graph(page: Any, label: str) -> Any:
    return page.locator(f'#graph-drawing a:has(g[data-step="{label}"])')


def test_enter_on_a_step_opens_it_beside_the_graph_and_escape_goes_back(
    served: Served, open_page: Callable[..., Any]
) -> None:
    address = f"{served.address}/runs/{run_of(served, 'orders').id}"
    page = open_page(address)
    page.locator(".graph-frame").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel #step")
    assert page.url == address
    assert page.locator("#panel h1").inner_text() == "parse"
    assert page.evaluate("document.activeElement.id") == "step-title"
    assert "is-selected" in step_in_graph(page, "parse").get_attribute("class")
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    assert page.evaluate("document.activeElement.getAttribute('href')").endswith("label=parse")


def test_the_graph_is_zoomed_and_moved_by_keys_wheel_and_mouse(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(f"{served.address}/runs/{run_of(served, 'orders').id}")
    page.locator(".graph-frame").focus()
    whole = view_of(page)
    page.keyboard.press("+")
    assert view_of(page)[2] < whole[2]
    before = view_of(page)
    page.keyboard.press("ArrowRight")
    assert view_of(page)[0] > before[0]
    page.keyboard.press("0")
    assert view_of(page) == whole
    box = page.locator(".graph-frame").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 60, steps=4)
    page.mouse.up()
    assert view_of(page)[0] < whole[0]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    width = "Number(document.querySelector('svg.graph').getAttribute('viewBox').split(' ')[2])"
    page.wait_for_function(f"before => {width} < before", arg=whole[2])
    # What was dragged was not clicked.
    assert page.locator("#panel").is_hidden()


def test_a_step_in_the_table_opens_too_and_one_without_script_is_a_page(
    served: Served, open_page: Callable[..., Any]
) -> None:
    page = open_page(f"{served.address}/runs/{run_of(served, 'orders').id}")
    page.locator("table.steps").get_by_role("link", name="total", exact=True).click()
    page.wait_for_selector("#panel #step")
    assert page.locator("#panel h1").inner_text() == "total"
    page.locator("#panel").get_by_role("link", name="Page of this step").click()
    assert page.locator("main h1").inner_text() == "total"


def test_a_step_is_a_page_of_its_own_where_pages_are_files(
    served: Served, tmp_path: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    write_site(served.store, str(tmp_path), pipeline="orders", last=1)
    (run,) = [path for path in (tmp_path / "runs").glob("*.html") if path.stem != "index"]
    page = open_page(run.as_uri())
    page.locator(".graph-frame").focus()
    whole = view_of(page)
    page.keyboard.press("+")
    assert view_of(page)[2] < whole[2]
    step_in_graph(page, "parse").click()
    page.wait_for_url("**/step/**")
    assert page.locator("main h1").inner_text() == "parse"


def test_what_is_opened_from_the_table_is_in_sight_in_a_graph_of_200_steps(
    served: Served, tmp_path: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    record = run_of(served, "orders")
    folder = tmp_path / "store" / record.folder
    shutil.copytree(served.folder / "store" / record.folder, folder)
    labels = [f"step {number}" for number in range(200)]
    steps = [
        {"label": label, "is_stage": False, "in": 1, "out": 1, "after": [labels[at // 3]] if at else []}
        for at, label in enumerate(labels)
    ]
    change(folder / "end.json", steps=steps, edges=None, composites=[], stages=[])
    with serving(tmp_path) as own:
        page = open_page(f"{own.address}/runs/{record.id}")
        page.get_by_label("Show only steps whose name has").fill("step 199")
        page.locator("table.steps").get_by_role("link", name="step 199").click()
        page.wait_for_selector("#panel #step")
        step, frame = (
            one.bounding_box() for one in (step_in_graph(page, "step 199"), page.locator(".graph-frame"))
        )
        assert frame["x"] <= step["x"] <= frame["x"] + frame["width"]
        assert frame["y"] <= step["y"] <= frame["y"] + frame["height"]
        page.goto("about:blank")


def test_a_graph_that_comes_while_one_looks_can_be_zoomed(
    served: Served, tmp_path: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    record = run_of(served, "orders")
    folder = tmp_path / "store" / record.folder
    shutil.copytree(served.folder / "store" / record.folder, folder)
    as_running(folder)
    live = (folder / "live.json").read_text()
    (folder / "live.json").unlink()
    with serving(tmp_path) as own:
        page = open_page(f"{own.address}/runs/{record.id}")
        assert "No steps are known" in page.locator("#graph-part").inner_text()
        (folder / "live.json").write_text(live)
        page.wait_for_selector(".graph-frame.can-zoom")
        page.wait_for_selector("#poll[hx-select-oob*='#graph-drawing']", state="attached")
        step_in_graph(page, "total").click()
        page.wait_for_selector("#panel #step")
        page.goto("about:blank")


def test_counts_rise_while_a_run_runs_and_what_is_open_stays_so_until_its_end(
    served: Served, tmp_path: pathlib.Path, open_page: Callable[..., Any]
) -> None:
    record = run_of(served, "orders")
    folder = tmp_path / "store" / record.folder
    shutil.copytree(served.folder / "store" / record.folder, folder)
    end = (folder / "end.json").read_text()
    as_running(folder)
    with serving(tmp_path) as own:
        page = open_page(f"{own.address}/runs/{record.id}")
        step_in_graph(page, "parse").click()
        page.wait_for_selector("#panel #step")
        page.locator(".graph-frame").focus()
        page.keyboard.press("+")
        view = view_of(page)
        live = json.loads((folder / "live.json").read_text())
        for stage in live["stages"]:
            stage["in"] += 1000
        change(folder / "live.json", stages=live["stages"])
        page.wait_for_selector("#panel .counts:has-text('1,061')")
        page.wait_for_selector("#run-steps td:has-text('1,061')")
        assert view_of(page) == view
        assert page.evaluate("document.activeElement.className").startswith("graph-frame")
        page.wait_for_selector("#graph-drawing a.is-selected", state="attached")

        change(folder / "start.json", process=record.start["process"])
        (folder / "end.json").write_text(end)
        page.wait_for_selector("#run-notes li.good")
        assert page.locator("#poll").get_attribute("hx-get") is None
        assert page.locator("#run-title .status").inner_text() == "done"
        assert page.locator("#panel h1").inner_text() == "parse"
        assert view_of(page) == view
        page.goto("about:blank")

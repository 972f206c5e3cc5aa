"""Pictures of the pages for the documentation: `python -m tests.web.take_pictures DOCS`, after `make demo`.

The run of the demonstration is shown beside a few of the tests' own. Where Chromium is missing none is taken,
and that is said.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import PIL.Image

from beam_obs import lineage
from beam_obs.store.run_record import RunRecord
from beam_obs.web.links import Links
from tests.web.conftest import ARGUMENTS, Served, serving
from tests.web.install_browser import COMMAND, browser_path
from tests.web.stored_pipelines import ORDERS, parse, run_orders, run_pipelines

DEMO = pathlib.Path("demo-output")
WIDTH = 1280
MOST_BYTES = 200_000
_MORE_RUNS = 5


class Picture(NamedTuple):
    """A picture of a page.

    Args:
      name: of the file, without its ending.
      address: of the page.
      height: of the window, in pixels.
      scheme: light or dark.
      opens: what is clicked before.
    """

    name: str
    address: str
    height: int = 900
    scheme: str = "light"
    opens: str | None = None


def main() -> int:
    """Takes the pictures; returns the exit code."""
    target = pathlib.Path(sys.argv[1])
    if browser_path() is None:
        print(f"pictures of the pages are left as they are: Chromium is not installed ({COMMAND})")
        return 0
    folder = DEMO / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DEMO / "store", folder / "store")
    with contextlib.redirect_stderr(io.StringIO()):  # their reports
        _run_more(folder)
    with serving(folder, sources=[str(pathlib.Path.cwd())]) as served:
        _take(served, target)
    return 0


def _run_more(folder: pathlib.Path) -> None:
    for number in range(_MORE_RUNS):
        more = "".join(f"{100 + at},customer-{at % 5},{at}\n" for at in range(17 * number * (5 - number)))
        (folder / "orders.csv").write_text(ORDERS + more)
        run_orders(folder)
    run_pipelines(folder)
    run_orders(folder, parse, "--obs_trace_share=1")


def _pictures(served: Served) -> Iterator[Picture]:
    # So high that no message or traceback is on them, which have paths of this machine.
    links = Links(served.address)
    store = served.store
    flights = store.find("flights@latest")
    traced, later, earlier = store.runs("orders", 3)
    wanted = {"carrier": "UA", "day": "2013-01-15"}
    number = lineage.why(str(DEMO / "flights-statistics"), wanted, store=store)
    assert number.record is not None
    record = links.record_at(f"{number.record.file}:{number.record.number}", flights.id)
    yield Picture("web-pipelines", links.home(), 460)
    for scheme in ("light", "dark"):
        yield Picture(f"web-run-{scheme}", links.run(flights.id), 980, scheme)
        yield Picture(f"web-record-{scheme}", record, 760, scheme)
    yield Picture("web-step", links.run(flights.id), 980, opens=".graph-frame a[href*='label=check']")
    yield Picture("web-dead-letters", links.dead_letters(flights.id), 630)
    yield Picture("web-dead-letter", links.dead_letter(_example(flights, "ImpossibleTime")), 660)
    yield Picture("web-history", links.pipeline("orders"), 1000)
    yield Picture("web-difference", links.difference(earlier.id, later.id), 900)
    yield Picture("web-kinds", links.kinds("orders"), 620)
    yield Picture("web-trace", links.record_at(f"{served.folder}/orders.csv:8", traced.id), 900)
    yield Picture("web-search", links.search("customer-6"), 620)


def _example(run: RunRecord, error: str) -> str:
    """Returns the id of a dead letter with an error."""
    kinds = (run.end or {})["dead_letters"]["by_fingerprint"]
    return next(str(kind["id"]) for kind in kinds if kind["error_type"].endswith(error))


def _take(served: Served, target: pathlib.Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        for picture in _pictures(served):
            content = _taken(browser, picture)
            if len(content) > MOST_BYTES:
                raise SystemExit(f"{picture.name} has {len(content):,} bytes, more than {MOST_BYTES:,}")
            (target / f"{picture.name}.png").write_bytes(content)
        browser.close()


def _taken(browser: Any, picture: Picture) -> bytes:
    size = {"width": WIDTH, "height": picture.height}
    context = browser.new_context(viewport=size, color_scheme=picture.scheme, reduced_motion="reduce")
    page = context.new_page()
    answer = page.goto(picture.address)
    if answer.status != 200:
        raise SystemExit(f"{picture.name}: {picture.address} answers {answer.status}")
    page.wait_for_load_state("networkidle")
    if picture.opens is not None:
        page.locator(picture.opens).first.click()
        page.locator("#step-title").wait_for()
    content = page.screenshot()
    context.close()
    return reduced(content)


def reduced(content: bytes) -> bytes:
    """Returns a picture with a palette: few colours are on a page, and it takes a third of the bytes."""
    few = PIL.Image.open(io.BytesIO(content)).convert("RGB").quantize(256, dither=PIL.Image.Dither.NONE)
    written = io.BytesIO()
    few.save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    sys.exit(main())

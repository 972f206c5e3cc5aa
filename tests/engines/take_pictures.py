"""Pictures of Prometheus' own pages for the documentation: `python -m tests.engines.take_pictures DOCS`.

A real Prometheus scrapes a run of the flights pipeline, and is asked what the page on metrics asks. Where it
or Chromium is missing none is taken, and that is said.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil
import sys
import tempfile
import urllib.parse
from typing import Any, NamedTuple

from beam_obs.runs import watcher
from pipelines.flights import batch
from pipelines.flights.damage import damage
from pipelines.flights.reference import DATA
from tests.engines.install import PROMETHEUS
from tests.engines.object_stores import free_port
from tests.engines.prometheus import Prometheus, prometheus
from tests.install_by_apt import apt_command
from tests.web.conftest import ARGUMENTS
from tests.web.install_browser import COMMAND, browser_path
from tests.web.take_pictures import WIDTH, reduced

_DONE = 'beam_obs_run_status{pipeline="flights",status="done"}'


class Query(NamedTuple):
    """A query whose answer is shown.

    Args:
      name: of the file, without its ending.
      text: of the query.
      height: of the window, in pixels.
      is_graph: whether it is shown over time.
    """

    name: str
    text: str
    height: int
    is_graph: bool = False


QUERIES = (
    Query("prometheus-flow", 'beam_obs_records_in_total{stage=~"parse|enrich|write flights"}', 850, True),
    Query("prometheus-dead", "sum by (stage, error) (beam_obs_records_dead_total) > 0", 720),
    Query(
        "prometheus-latency",
        "topk(5, histogram_quantile(0.99, sum by (stage, le) (beam_obs_latency_seconds_bucket)))",
        580,
    ),
)


def main() -> int:
    """Takes the pictures; returns the exit code."""
    target = pathlib.Path(sys.argv[1])
    missing = [] if browser_path() else [COMMAND]
    missing += [] if shutil.which("prometheus") else [apt_command(PROMETHEUS["prometheus"])]
    if missing:
        print(f"pictures of Prometheus are left as they are: {', '.join(missing)}")
        return 0
    watcher.LIVE_SECONDS = 0.5
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with prometheus(folder, {"flights": port}) as found:
            _run_flights(folder, port)
            found.wait_for(_DONE, lambda value: value == 1)
            _take(found, target)
    return 0


def _run_flights(folder: pathlib.Path, port: int) -> None:
    damage(DATA / "flights-2013-01.csv", folder / "input")
    with contextlib.redirect_stdout(io.StringIO()):
        batch.main(
            [
                "--runner=FnApiRunner",
                f"--input={folder}/input/flights-*.csv",
                f"--output={folder}/flights",
                f"--obs_store={folder}/store",
                "--obs_report=off",
                f"--obs_prometheus_port={port}",
            ]
        )


def _take(found: Prometheus, target: pathlib.Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        for query in QUERIES:
            (target / f"{query.name}.png").write_bytes(_taken(browser, found, query))
        browser.close()


def _taken(browser: Any, found: Prometheus, query: Query) -> bytes:
    asked = {"g0.expr": query.text, "g0.tab": int(not query.is_graph), "g0.range_input": "1m"}
    page = browser.new_page(viewport={"width": WIDTH, "height": query.height})
    page.goto(f"{found.address}/classic/graph?{urllib.parse.urlencode(asked)}")
    page.wait_for_load_state("networkidle")
    shown = ".legend .line" if query.is_graph else "table td"
    page.locator(shown).first.wait_for()
    content: bytes = page.screenshot()
    page.close()
    return reduced(content)


if __name__ == "__main__":
    sys.exit(main())

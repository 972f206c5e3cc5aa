"""Pages say what was missed: a pipeline that never ran, one that is overdue, a run that takes too long."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import lxml.html
import pytest

from beam_obs.store.schedule import Schedule
from tests.web.conftest import Served, serving
from tests.written_runs import ago, write_run


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("watched")
    write_run(folder / "store", "on-time", ago(minutes=2))
    write_run(folder / "store", "overdue", ago(hours=3))
    write_run(folder / "store", "slow", ago(hours=3), None)
    often = "*/5 * * * *"
    schedules = {
        "never": Schedule("never", often),
        "on-time": Schedule("on-time", often),
        "overdue": Schedule("overdue", often),
        "slow": Schedule("slow", "0 0 1 1 *", takes_at_most_seconds=7_200),
        "soon": Schedule("soon", often, since=ago(days=-1)),
    }
    with serving(folder, schedules=schedules) as found:
        yield found


def rows(served: Served) -> dict[str, str]:
    document = lxml.html.fromstring(served.get("/").text)
    return {
        row.get("data-name"): " ".join(row.text_content().split())
        for row in document.xpath("//table/tbody/tr")
    }


def test_pipelines_that_miss_their_times_come_first_and_say_so(watched: Served) -> None:
    found = rows(watched)
    assert "never ran: a run was due at" in found["never"]
    assert "due 2" in found["soon"]
    assert "due at" not in found["soon"]
    assert "no run has started that was due at" in found["overdue"]
    assert "has been running for 3 h 0 min, longer than 2h (its schedule says)" in found["slow"]
    assert "due at" not in found["on-time"]
    assert list(found)[-1] == "on-time"
    assert "2 late, 2 never ran" in watched.get("/").text


def test_the_page_of_a_pipeline_says_what_is_missed_or_comes_next(watched: Served) -> None:
    assert "no run has started that was due at" in watched.get("/pipelines/overdue").text
    assert "longer than 2h (its schedule says)" in watched.get("/pipelines/slow").text
    assert "next start 2" in watched.get("/pipelines/on-time").text
    assert watched.get("/pipelines/never").status == 404


def test_without_a_schedule_nothing_is_said_of_one(served: Served) -> None:
    assert "schedule" not in served.get("/pipelines/orders").text


def test_a_store_without_runs_has_its_scheduled_pipelines(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store" / "runs").mkdir(parents=True)
    with serving(tmp_path, schedules={"never": Schedule("never", "*/5 * * * *")}) as found:
        assert list(rows(found)) == ["never"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_missed_fits_the_page(watched: Served, open_page: Callable[..., Any], width: int) -> None:
    for path in ("/", "/pipelines/slow"):
        page = open_page(f"{watched.address}{path}", width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

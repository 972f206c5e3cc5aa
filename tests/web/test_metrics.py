"""`/metrics` of the pages: the numbers of all pipelines of the store, for Prometheus."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import pytest

from tests.exporters.small_runs import series, values
from tests.web.conftest import Served, serving
from tests.web.hostile_stores import ATTACKS, HostileText, OddValues, hostile_store, make_running


def test_the_newest_run_of_each_pipeline_can_be_scraped(served: Served) -> None:
    answer = served.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = values(answer.text)
    records = {name: served.store.find(f"{name}@latest") for _, name in served.store.ids()}
    for name, record in records.items():
        assert found[series("beam_obs_run_status", pipeline=name, status=record.status)] == 1
        for stage in record.last_known.get("stages", ()):
            of = {"pipeline": name, "stage": stage["label"]}
            assert found[series("beam_obs_records_in_total", **of)] == stage["in"]


def test_openmetrics_is_given_to_who_takes_it(served: Served) -> None:
    answer = served.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert values(answer.text, openmetrics=True)


def test_token_and_host_are_needed_as_for_pages(runs_folder: pathlib.Path) -> None:
    with serving(runs_folder, token="s3cret", base="/obs") as served:
        assert served.get("/obs/metrics").status == 401
        assert served.get("/obs/metrics", authorization="Bearer s3cret").status == 200
        assert served.get("/obs/metrics", authorization="Bearer s3cret", host="rebound.example").status == 421


def test_a_store_that_is_away_is_an_error_and_not_old_numbers(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store" / "runs").mkdir(parents=True)
    with serving(tmp_path) as served:
        shutil.rmtree(tmp_path / "store")
        answer = served.get("/metrics")
        assert answer.status == 503
        assert "no store at" in answer.text


@pytest.mark.parametrize("name", ATTACKS)
def test_a_store_of_somebody_else_breaks_no_scrape(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    text = HostileText(ATTACKS[name])
    hostile_store(runs_folder / "store", tmp_path / "store", lambda _, value: text.of(value), ATTACKS[name])
    check_scrapes(tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_values_of_other_types_break_no_scrape(
    runs_folder: pathlib.Path, tmp_path: pathlib.Path, seed: int
) -> None:
    odd = OddValues(seed, (0.02, 0.08, 0.3)[seed % 3])

    def changed(file: str, value: Any) -> Any:
        return value if file.endswith(".avro") else odd.of(file, value)

    hostile_store(runs_folder / "store", tmp_path / "store", changed)
    if seed % 2:
        make_running(tmp_path / "store")
    check_scrapes(tmp_path)


def check_scrapes(folder: pathlib.Path) -> None:
    """Checks that both texts of a store can be read, and tell a run of it."""
    with serving(folder) as served:
        for openmetrics in (False, True):
            accept = "application/openmetrics-text" if openmetrics else "text/plain"
            answer = served.get("/metrics", accept=accept)
            assert answer.status == 200
            found = values(answer.text, openmetrics)
            assert any(name == "beam_obs_run_info" for name, _ in found)

"""Dashboards show what rules tell of, as Grafana and Cloud Monitoring define them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from google.cloud.monitoring_dashboard_v1 import Dashboard
from google.protobuf import json_format

from beam_obs.cli.main import exit_code
from tests.alerts.kept_runs import keep_hourly_runs, keep_run
from tests.alerts.test_rules import HOSTILE

ROWS = ["Health", "Flow", "Latency", "Dead letters", "Freshness"]


@pytest.fixture
def store() -> pathlib.Path:
    folder = pathlib.Path("kept").absolute()
    keep_hourly_runs(folder, "flights", seconds=600, stages={"parse": (1000, 10)})
    return folder


def made(
    capsys: pytest.CaptureFixture[str], store: pathlib.Path, target: str, name: str = "flights"
) -> dict[str, Any]:
    assert exit_code(["dashboards", name, "--for", target, "--store", str(store)]) == 0
    dashboard: dict[str, Any] = json.loads(capsys.readouterr().out)
    return dashboard


def panels_of(dashboard: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {panel["title"]: panel for panel in dashboard["panels"] if panel["type"] != "row"}


def limit_of(panel: dict[str, Any]) -> float:
    limit: float = panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
    return limit


def test_a_dashboard_has_five_rows_with_the_limits_of_the_rules(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboard = made(capsys, store, "grafana")
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == ROWS
    panels = panels_of(dashboard)
    assert limit_of(panels["How long the newest run takes"]) == 1200
    assert limit_of(panels["Share of records that stages refuse"]) == 0.02
    assert limit_of(panels["Since the last success"]) == 5400
    command = f"beam-obs dead-letters list flights@latest --store {store}"
    assert panels["Share of records that stages refuse"]["description"] == command


def test_panels_lie_beside_each_other_and_not_on_each_other(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in made(capsys, store, "grafana")["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_streams_and_schedules_have_panels_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    store = pathlib.Path("kept").absolute()
    keep_run(store, "flights", 0, start={"options": {"streaming": True}})
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "0 6 * * *"\n')
    panels = panels_of(made(capsys, store, "grafana"))
    assert "Age of the oldest record that waits" in panels
    assert limit_of(panels["Since a start was due that no run answered"]) == 600
    assert "[$__rate_interval]" in panels["Time for a record, p99"]["targets"][0]["expr"]


def test_a_pipeline_that_never_ran_has_the_rules_and_panels_of_its_schedule(
    capsys: pytest.CaptureFixture[str], store: pathlib.Path
) -> None:
    pathlib.Path("beam_obs.toml").write_text('[schedules.new]\ncron = "0 6 * * *"\n')
    assert "Since a start was due that no run answered" in panels_of(made(capsys, store, "grafana", "new"))
    assert exit_code(["alerts", "new", "--for", "prometheus", "--store", str(store)]) == 0
    assert "- alert: BeamNotStarted" in capsys.readouterr().out


def test_a_dashboard_is_what_cloud_monitoring_defines(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = made(capsys, store, "cloud")
    dashboard = Dashboard.wrap(json_format.ParseDict(told, Dashboard.pb()(), ignore_unknown_fields=False))
    tiles = dashboard.mosaic_layout.tiles
    assert [tile.widget.title for tile in tiles if "section_header" in tile.widget] == ROWS
    assert all(tile.x_pos + tile.width <= dashboard.mosaic_layout.columns for tile in tiles)
    queries = [
        one.time_series_query.prometheus_query for tile in tiles for one in tile.widget.xy_chart.data_sets
    ]
    queries += [
        tile.widget.scorecard.time_series_query.prometheus_query
        for tile in tiles
        if "scorecard" in tile.widget
    ]
    assert len(queries) == len(tiles) - len(ROWS)
    for query in queries:
        assert query.count("custom_googleapis_com:beam_obs_") == query.count("beam_obs_") >= 1
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict({**told, "colour": "red"}, Dashboard.pb()())


def test_names_that_are_hostile_stay_text(capsys: pytest.CaptureFixture[str]) -> None:
    store = pathlib.Path("kept").absolute()
    name = HOSTILE + "$datasource [[datasource]]"
    keep_run(store, name, 0)
    for target in ("grafana", "cloud"):
        text = json.dumps(made(capsys, store, target, name))
        expressions = [part for part in text.split('"') if "pipeline=" in part]
        assert expressions
    for panel in panels_of(made(capsys, store, "grafana", name)).values():
        for asked in panel["targets"]:
            outside = asked["expr"].replace("$__rate_interval", "")
            assert "$" not in outside
            assert "[[" not in outside


def test_the_same_store_gives_the_same_dashboard(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in ("grafana", "cloud"):
        assert made(capsys, store, target) == made(capsys, store, target)


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (["nobody", "--for", "grafana"], 1, "no pipeline 'nobody'"),
        (["flights"], 2, "--for"),
        (["flights", "--for", "prometheus"], 2, "prometheus"),
    ],
)
def test_what_is_wrong_is_said(
    store: pathlib.Path, wrong: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["dashboards", *wrong, "--store", str(store)]) == code
    assert said in capsys.readouterr().err

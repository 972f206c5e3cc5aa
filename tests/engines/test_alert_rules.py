"""Prometheus' own tool loads the rules, and finds each firing when it is to, and silent when it is not."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from typing import Any

import pytest
import yaml

from beam_obs.alerts.prometheus_rules import prometheus_rules
from beam_obs.alerts.rules import rules_of
from beam_obs.alerts.watched_pipeline import watched_pipeline
from beam_obs.store.store import Store
from tests.alerts.kept_runs import keep_hourly_runs, keep_run
from tests.alerts.test_rules import HOSTILE
from tests.engines.prometheus import installed

pytestmark = pytest.mark.engines

RUNNING = {"run_status{status='running'}": "1", "run_start_timestamp_seconds": "0"}
QUIET, GROWING = "60", "0+60"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """What Prometheus knows of a pipeline, and what is to be told then.

    Args:
      rule: name of the rule.
      series: values from one minute to the next, by series without ``beam_obs_``; ``a+b`` grows.
      minute: when it is looked.
      found: what the description says of what was found; None where the rule is silent.
      labels: that the alert has beside those of its rule.
      is_streaming: whether the pipeline is a stream.
      has_schedule: whether it has a schedule.
    """

    rule: str
    series: dict[str, str]
    minute: int
    found: str | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    is_streaming: bool = False
    has_schedule: bool = True


def dead(refused: str, taken: str) -> dict[str, str]:
    return {
        "records_dead_total{stage='parse',error='ValueError'}": refused,
        "records_dead_total{stage='parse',error='KeyError'}": refused,
        "records_in_total{stage='parse'}": taken,
        "records_in_total{stage='write'}": "1",
    }


def memory(taken: str, limit: str) -> dict[str, str]:
    return {
        "worker_memory_bytes{worker='one:7'}": taken,
        "worker_memory_limit_bytes{worker='one:7'}": limit,
        "worker_memory_bytes{worker='two:7'}": "20",
        "worker_memory_limit_bytes{worker='two:7'}": "100",
    }


SCENARIOS = [
    Scenario("BeamRunFailed", {"run_status{status='failed'}": "1", "run_status{status='done'}": "0"}, 1, ""),
    Scenario("BeamRunFailed", {"run_status{status='lost'}": "1"}, 1, ""),
    Scenario("BeamRunFailed", {"run_status{status='done'}": "1", "run_status{status='failed'}": "0"}, 1),
    Scenario("BeamRunFailed", {"run_status{status='cancelled'}": "1"}, 1),
    Scenario("BeamNotSucceeded", {"run_last_success_timestamp_seconds": "60"}, 92, "1h 31m 0s; "),
    Scenario("BeamNotSucceeded", {"run_last_success_timestamp_seconds": "60"}, 90),
    # Whoever exported it has ended since.
    Scenario("BeamNotSucceeded", {"run_last_success_timestamp_seconds": "60 60 60 stale"}, 92, "1h 31m 0s; "),
    Scenario("BeamNotStarted", {"schedule_due_timestamp_seconds": "3600"}, 71, "11m 0s; "),
    Scenario("BeamNotStarted", {"schedule_due_timestamp_seconds": "3600"}, 70),
    Scenario("BeamRunTooLong", RUNNING, 21, "21m 0s; "),
    Scenario("BeamRunTooLong", {**RUNNING, "run_status{status='running'}": "0"}, 21),
    Scenario("BeamRunTooLong", RUNNING, 20),
    Scenario("BeamDeadShare", dead("30", "1000"), 1, "stage parse: 6%; ", {"stage": "parse"}),
    Scenario("BeamDeadShare", dead("2", "1000"), 1),
    Scenario("BeamDeadShare", dead("30", "99"), 1),
    Scenario("BeamDeadShare", dead("30+9", "9000+300"), 20, "stage parse: 6%; ", {"stage": "parse"}, True),
    # A kind of error that was never seen before.
    Scenario(
        "BeamDeadShare",
        {
            "records_dead_total{stage='parse',error='ValueError'}": "_x14 900",
            "records_in_total{stage='parse'}": "9000+300",
        },
        20,
        "stage parse: 30%; ",
        {"stage": "parse"},
        True,
    ),
    # What a stream refused long ago is over.
    Scenario("BeamDeadShare", dead("9000", "10000+300"), 20, is_streaming=True),
    Scenario("BeamBalanceBroken", {"run_balanced": "0"}, 1, ""),
    Scenario("BeamBalanceBroken", {"run_balanced": "1"}, 1),
    Scenario("BeamBackedUp", {"oldest_unprocessed_seconds": GROWING}, 20, "20m 0s; ", {}, True),
    Scenario("BeamBackedUp", {"oldest_unprocessed_seconds": QUIET}, 20, is_streaming=True),
    # Its longest window is just over.
    Scenario("BeamBackedUp", {"oldest_unprocessed_seconds": GROWING}, 14, is_streaming=True),
    # Old, and the backlog is being worked off.
    Scenario("BeamBackedUp", {"oldest_unprocessed_seconds": "9000-30"}, 20, is_streaming=True),
    Scenario("BeamThroughputGone", {**RUNNING, "records_in_total{stage='a'}": "0+9x9 81"}, 30, "", {}, True),
    Scenario("BeamThroughputGone", {**RUNNING, "records_in_total{stage='a'}": "0+9"}, 30, is_streaming=True),
    # Nothing has ever come.
    Scenario("BeamThroughputGone", {**RUNNING, "records_in_total{stage='a'}": "0"}, 30, is_streaming=True),
    Scenario("BeamWorkerMemory", memory("95", "100"), 3, "worker one:7: 95%; ", {"worker": "one:7"}),
    Scenario(
        "BeamWorkerMemory",
        {"worker_memory_bytes{worker='a'}": "95", "worker_memory_limit_bytes{worker='a'}": "900"},
        3,
    ),
    Scenario(
        "BeamWorkerMemory",
        {"worker_memory_bytes{worker='a'}": "9 99 9", "worker_memory_limit_bytes{worker='a'}": "100"},
        1,
    ),
    Scenario("BeamNothingKnown", {"run_status{status='done'}": "1 1 1 stale"}, 184, "", has_schedule=False),
    Scenario("BeamNothingKnown", {"run_status{status='done'}": "1 1 1 stale"}, 180, has_schedule=False),
    Scenario("BeamNothingKnown", {"run_status{status='done'}": "1"}, 24, ""),
    Scenario("BeamNothingKnown", {"schedule_due_timestamp_seconds": "9000 9000 stale"}, 20),
]


def made_rules(
    folder: pathlib.Path, name: str, is_streaming: bool, has_schedule: bool = True
) -> pathlib.Path:
    """Writes the rules of a pipeline that took ten minutes each hour, or of a stream."""
    store = folder / "store"
    start = {
        "options": {"streaming": is_streaming},
        "dead_rates": {"parse": {"share": 0.05, "minimum": None}},
    }
    if is_streaming:
        keep_run(store, name, 0, start=start, window_seconds=300)
    else:
        keep_hourly_runs(store, name, seconds=600, start=start)
    if has_schedule:
        schedule = f"[schedules.{json.dumps(name, ensure_ascii=False)}]\ncron = '0 * * * *'\n"
        (folder / "beam_obs.toml").write_text(schedule, encoding="utf-8")
    path = folder / "rules.yml"
    path.write_text(prometheus_rules(rules_of(watched_pipeline(Store(store), name))), encoding="utf-8")
    return path


def promtool(*arguments: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    command = [installed("promtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def alerts_expected(path: pathlib.Path, scenario: Scenario, name: str) -> list[dict[str, Any]]:
    if scenario.found is None:
        return []
    (group,) = yaml.safe_load(path.read_text())["groups"]
    rule = next(one for one in group["rules"] if one["alert"] == scenario.rule)
    told = {key: text.replace('{{"{{"}}', "{{") for key, text in rule["annotations"].items()}
    reason = told["description"].rpartition("}}; ")[2] if scenario.found else told["description"]
    labels = {**rule["labels"], "pipeline": name, **scenario.labels}
    return [{"exp_labels": labels, "exp_annotations": {**told, "description": scenario.found + reason}}]


def ask_promtool(folder: pathlib.Path, scenarios: list[Scenario], name: str) -> None:
    """Asks promtool about scenarios of one pipeline."""
    path = made_rules(folder, name, scenarios[0].is_streaming, scenarios[0].has_schedule)
    quoted = json.dumps(name, ensure_ascii=False)
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series_of(series, quoted), "values": values_of(values)}
                for series, values in scenario.series.items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": f"{scenario.minute}m",
                    "alertname": scenario.rule,
                    "exp_alerts": alerts_expected(path, scenario, name),
                }
            ],
        }
        for scenario in scenarios
    ]
    asked = folder / "tests.yml"
    asked.write_text(
        yaml.safe_dump({"rule_files": [path.name], "evaluation_interval": "1m", "tests": tests}),
    )
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAILED" not in checked.stdout + checked.stderr  # what its lint finds is no error to it
    done = promtool("test", "rules", asked)
    assert done.returncode == 0, done.stdout + done.stderr


def series_of(series: str, pipeline: str) -> str:
    family, _, labels = series.rstrip("}").partition("{")
    return f"beam_obs_{family}{{pipeline={pipeline},{labels}}}"


def values_of(values: str) -> str:
    """Returns values as promtool takes them; the last goes on."""
    if "stale" in values:
        return values
    *first, last = values.split()
    grows = "x" not in last and last.lstrip("-").count("+") + last.lstrip("-").count("-") > 0
    return " ".join([*first, f"{last}x300" if grows else f"{last}+0x300"])


@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda one: f"{one.rule}-{'silent' if one.found is None else 'fires'}"
)
def test_a_rule_fires_when_it_is_to_and_not_otherwise(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    monkeypatch.chdir(tmp_path)
    ask_promtool(tmp_path, [scenario], "flights")


def test_every_rule_has_a_scenario_in_which_it_fires_and_one_in_which_it_is_silent(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = set()
    for is_streaming in (False, True):
        (folder := tmp_path / str(is_streaming)).mkdir()
        monkeypatch.chdir(folder)
        (group,) = yaml.safe_load(made_rules(folder, "flights", is_streaming).read_text())["groups"]
        made |= {rule["alert"] for rule in group["rules"]}
    assert {one.rule for one in SCENARIOS if one.found is not None} == made
    assert {one.rule for one in SCENARIOS if one.found is None} == made


def test_names_that_are_hostile_are_selected_and_told_as_they_are(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_batches = [one for one in SCENARIOS if one.has_schedule and not one.is_streaming]
    ask_promtool(tmp_path, of_batches, HOSTILE)

"""Rules are made from what a store knows of a pipeline, and say what they are made from."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
from typing import Any

import pytest
import yaml
from google.cloud.monitoring_v3 import AlertPolicy
from google.protobuf import json_format

from beam_obs.alerts.cloud_naming import cloud_naming
from beam_obs.cli.main import exit_code
from beam_obs.exporters.cloud_points import metric_type, monitored_resource
from beam_obs.metrics.own_families import OWN_FAMILIES
from beam_obs.metrics.run_numbers import RunNumbers
from tests.alerts.kept_runs import HOUR, keep_hourly_runs, keep_run

HOSTILE = "a\"b\\{{ .Evil }}'$(rm) ü\n#é"


@pytest.fixture
def store() -> pathlib.Path:
    return pathlib.Path("kept").absolute()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, store: pathlib.Path) -> str:
    assert exit_code(["alerts", *arguments, "--store", str(store)]) == 0
    return capsys.readouterr().out


def rules_in(text: str) -> dict[str, dict[str, Any]]:
    (group,) = yaml.safe_load(text)["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def rules(capsys: pytest.CaptureFixture[str], store: pathlib.Path, *more: str) -> dict[str, dict[str, Any]]:
    return rules_in(printed(capsys, "flights", "--for", "prometheus", *more, store=store))


def test_a_success_is_late_after_one_and_a_half_of_the_usual_time(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_hourly_runs(store, "flights")
    late = rules(capsys, store)["BeamNotSucceeded"]
    assert late["expr"].endswith("> 5400")
    assert (
        "every 1 h as a rule, by 10 successes: told of after 1 h 30 min" in late["annotations"]["description"]
    )


def test_pauses_that_are_usual_too_are_no_failure(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for week in range(5):
        for day in range(5):
            keep_run(store, "flights", (week * 7 + day) * 24 * HOUR)
    assert rules(capsys, store)["BeamNotSucceeded"]["expr"].endswith(f"> {1.25 * 72 * HOUR:.0f}")


def test_a_run_takes_too_long_after_twice_its_p95_and_a_schedule_goes_before_it(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_hourly_runs(store, "flights", seconds=600)
    assert "> 1200\n" in rules(capsys, store)["BeamRunTooLong"]["expr"]
    pathlib.Path("beam_obs.toml").write_text(
        '[schedules.flights]\ncron = "0 6 * * *"\ntakes_at_most = "15m"\nstart_within = "5m"\n'
    )
    found = rules(capsys, store)
    assert "> 900\n" in found["BeamRunTooLong"]["expr"]
    assert found["BeamNotStarted"]["expr"].endswith("> 300")


def test_a_limit_of_a_stage_is_its_own_else_of_its_history_else_that_of_the_run(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"dead_rates": {"strict": {"share": 0.001, "minimum": 10}}, "max_dead_rate": 0.2}
    stages = {"strict": (1000, 0), "usual": (1000, 30), "clean": (1000, 0), "worse": (1000, 150)}
    keep_hourly_runs(store, "flights", 5, stages=stages, start=own)
    text = printed(capsys, "flights", "--for", "prometheus", store=store)
    found = [line.strip() for line in text.splitlines() if "records or more" in line and "#" in line]
    assert found == [
        "# more than 0.1 % of 10 records or more: its max_dead_rate",
        "# more than 6 % of 100 records or more: 2 times the most in its newest runs, 1 % at least",
        "# more than 1 % of 100 records or more: 2 times the most in its newest runs, 1 % at least",
        "# more than 20 % of 100 records or more: --obs_max_dead_rate",
    ]
    assert 'stage=~"usual"' in text


def test_most_stages_share_a_limit_with_those_to_come(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"dead_rates": {"a.b": {"share": 0.1, "minimum": None}}}
    keep_run(store, "flights", 0, stages={"a.b": (9, 0), "c": (9, 0), "d": (9, 0)}, start=own)
    text = printed(capsys, "flights", "--for", "prometheus", store=store)
    assert 'stage=~"a\\\\.b"' in text
    assert 'stage!~"a\\\\.b"' in text
    assert "> 0.5\n" in text


def test_what_a_short_history_does_not_tell_is_left_out_and_named(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(store, "flights", 0)
    text = printed(capsys, "flights", "--for", "prometheus", store=store)
    assert list(rules_in(text)) == ["BeamRunFailed", "BeamDeadShare", "BeamBalanceBroken", "BeamWorkerMemory"]
    left_out = [line.split(": ")[1] for line in text.splitlines() if "# left out: " in line]
    assert left_out == [
        "BeamNotSucceeded",
        "BeamNotStarted",
        "BeamRunTooLong",
        "BeamBackedUp",
        "BeamThroughputGone",
        "BeamNothingKnown",
    ]
    assert "can be told by 6 runs that are done, and there are 1" in text


def test_a_stream_is_looked_at_in_a_window(store: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_run(store, "flights", 0, start={"options": {"streaming": True}}, window_seconds=3600)
    found = rules(capsys, store, "--window", "5m")
    assert "> 3900\n" in found["BeamBackedUp"]["expr"]
    assert "[5m]" in found["BeamBackedUp"]["expr"]
    assert "[30m] offset 5m" in found["BeamThroughputGone"]["expr"]
    assert " offset 5m" in found["BeamDeadShare"]["expr"]
    assert "BeamRunTooLong" not in found


def test_each_rule_says_what_to_type(store: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_hourly_runs(store, "flights", 12, seconds=HOUR)
    for rule in rules(capsys, store).values():
        command = shlex.split(rule["annotations"]["runbook"])
        assert command[0] == "beam-obs"
        command = [word for word in command[1:] if word != "--follow"]
        assert exit_code(command) == 0, command
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


def test_the_same_store_gives_the_same_text(store: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_hourly_runs(store, "flights")
    for target in ("prometheus", "cloud"):
        first, second = (printed(capsys, "flights", "--for", target, store=store) for _ in range(2))
        assert first == second


def test_names_that_are_hostile_stay_text(store: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_hourly_runs(
        store,
        HOSTILE,
        stages={HOSTILE: (1000, 10), "plain": (10, 0), "other": (10, 0)},
        start={"dead_rates": {HOSTILE: {"share": 0.1, "minimum": None}}},
    )
    found = rules_in(printed(capsys, HOSTILE, "--for", "prometheus", store=store))
    for rule in found.values():
        assert rule["expr"].count('pipeline="a\\"b\\\\{{ .Evil }}\'\\x24(rm) ü\\n#é"') >= 1
        assert "{{ .Evil" not in rule["annotations"]["summary"].replace('{{"{{"}}', "")
    for line in printed(capsys, HOSTILE, "--for", "cloud", store=store).splitlines():
        assert policy_of(line).conditions


def policy_of(line: str) -> AlertPolicy:
    """Returns a policy as Google's own definition reads it, which knows every field or refuses."""
    message = json_format.Parse(line, AlertPolicy.pb()(), ignore_unknown_fields=False)
    return AlertPolicy.wrap(message)


def test_policies_are_what_cloud_monitoring_defines(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_hourly_runs(store, "flights", start={"runner": "DataflowRunner"})
    text = printed(capsys, "flights", "--for", "cloud", store=store)
    policies = [policy_of(line) for line in text.splitlines()]
    expected = rules(capsys, store)
    assert {
        policy.conditions[0].condition_prometheus_query_language.alert_rule for policy in policies
    } == set(expected)
    for policy in policies:
        (condition,) = policy.conditions
        asked = condition.condition_prometheus_query_language
        assert policy.combiner == AlertPolicy.ConditionCombinerType.OR
        assert policy.severity
        assert asked.evaluation_interval.total_seconds() % 30 == 0
        names = asked.query.split("beam_obs_")
        assert all(before.endswith("custom_googleapis_com:") for before in names[:-1])
        assert asked.query.count('monitored_resource="dataflow_job"') == len(names) - 1
        assert "beam-obs " in policy.documentation.content


def test_a_field_that_no_policy_has_would_be_refused(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(store, "flights", 0)
    first = json.loads(printed(capsys, "flights", "--for", "cloud", store=store).splitlines()[0])
    with pytest.raises(json_format.ParseError):
        policy_of(json.dumps({**first, "colour": "red"}))


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (["nobody", "--for", "prometheus"], 1, "no pipeline 'nobody'"),
        (["flights@latest", "--for", "prometheus"], 1, "is a run: give the pipeline alone, flights"),
        (["flights"], 2, "--for"),
        (["flights", "--for", "nagios"], 2, "nagios"),
        (["flights", "--for", "prometheus", "--window", "soon"], 2, "expected a number and a unit"),
        (["flights", "--for", "prometheus", "--window", "0s"], 2, "a second or more"),
    ],
)
def test_what_is_wrong_is_said(
    store: pathlib.Path, wrong: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(store, "flights", 0)
    assert exit_code(["alerts", *wrong, "--store", str(store)]) == code
    assert said in capsys.readouterr().err


def test_a_policy_looks_back_to_where_the_run_before_said_when_the_next_is_due(
    store: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(store, "flights", 0)
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "0 6 * * *"\n')
    text = printed(capsys, "flights", "--for", "cloud", store=store)
    (not_started,) = [line for line in text.splitlines() if "BeamNotStarted" in line]
    assert 'pipeline=\\"flights\\"}[2d])' in not_started
    assert "max_over_time" not in rules(capsys, store)["BeamNotStarted"]["expr"]


@pytest.mark.parametrize(("runner", "job"), [("DataflowRunner", "flights-1"), ("PrismRunner", None)])
def test_cloud_monitoring_is_asked_for_what_is_written_to_it(runner: str, job: str | None) -> None:
    attributes = {"runner": runner, **({"job_name": job, "region": "europe-west1"} if job else {})}
    resource = monitored_resource(RunNumbers("flights", "1", 0, (), attributes=attributes), "project")
    for name in OWN_FAMILIES:
        domain, _, path = metric_type(name).partition("/")
        mapped = f"{re.sub(r'[^a-zA-Z0-9]', '_', domain)}:{path.replace('/', '_')}"
        asked = cloud_naming(runner).selector(name, {})
        assert asked == f'{mapped}{{monitored_resource="{resource.type}"}}'

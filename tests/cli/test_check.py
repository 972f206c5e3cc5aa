"""`beam-obs check`: what each rule says, and how the gate tells it and ends."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import apache_beam as beam
import junitparser
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store.run_record import time_text
from tests.engines.install import NAGIOS
from tests.install_by_apt import apt_command
from tests.written_runs import ago, counted, write_run

Capture = pytest.CaptureFixture[str]
STORE = pathlib.Path(".beam_obs")


def add(taken: int = 100, dead: int = 0, written: int | None = None, days: float = 0, **more: Any) -> str:
    told = {**counted(taken, dead, written, more.pop("kind", "ValueError")), **more.pop("end", {})}
    return write_run(STORE, "flights", ago(days=days, minutes=2), **more, **told)


def check(capture: Capture, *arguments: str, code: int = 0, run: str = "flights@latest") -> str:
    capture.readouterr()
    assert exit_code(["check", run, *arguments]) == code, capture.readouterr()
    return capture.readouterr().out


def states(capture: Capture, *arguments: str, run: str = "flights@latest") -> dict[str, str]:
    """Returns what each rule says, by its name, without its limit."""
    capture.readouterr()
    exit_code(["check", run, "--json", *arguments])
    found = json.loads(capture.readouterr().out)
    return {verdict["rule"]: verdict["state"] for verdict in found["rules"]}


def state(capture: Capture, *arguments: str) -> str:
    return list(states(capture, *arguments).values())[-1]


def test_a_real_run_passes_without_any_rule(capsys: Capture) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="flights") as p:
        _ = p | beam.Create(["1", "2", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    lines = check(capsys).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["held", "done"],
        ["held", "balanced"],
        ["held", "evidence"],
    ]
    assert lines[0].endswith("  done, 1 dead")
    check(capsys, "--max-dead", "50%", "--min-records", "3", "--max-age", "1h", "--takes-at-most", "10m")
    assert "1 of 3 records refused, 33.3%; at most 1%" in check(capsys, "--max-dead", "1%", code=1)


@pytest.mark.parametrize(
    ("pattern", "is_removed"),
    [
        ("manifest-*.json", True),
        ("manifest-*.json", False),
        ("dead_letters-*.avro", True),
        ("partitions.json", True),
        ("partitions.json", False),
    ],
)
def test_evidence_that_somebody_removed_or_changed_is_not_whole(
    capsys: Capture, pattern: str, is_removed: bool
) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="flights") as p:
        _ = p | beam.Create(["1", "2", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    path = next(STORE.glob(f"runs/flights/*/{pattern}"))
    path.unlink() if is_removed else path.write_text(path.read_text() + " ")
    for rules in ([], ["--evidence"]):
        (told,) = [line for line in check(capsys, *rules, code=1).splitlines() if path.name in line]
        assert told.split()[:2] == ["broken", "evidence"]
        assert ("is missing" in told) is is_removed


@pytest.mark.parametrize(
    ("more", "rules", "found"),
    [
        ({}, [], ["held", "held", "held"]),
        ({"status": "failed"}, [], ["broken", "held", "held"]),
        ({"status": "cancelled"}, [], ["broken", "held", "held"]),
        ({"end": {"balance": {"holds": False}}}, [], ["held", "broken", "held"]),
        ({"end": {"balance": {"unchecked": "no counts"}}}, [], ["held", "cannot be told", "held"]),
        (
            {"end": {"lineage_lost": {"rows": 5, "files": 1, "reason": "full"}}},
            [],
            ["held", "held", "broken"],
        ),
        ({"end": {"was_removed": True}}, [], ["cannot be told", "cannot be told", "broken"]),
        ({"seconds": None}, [], ["cannot be told"] * 3),
        ({"seconds": None}, ["--may-run"], ["held"]),
        ({"seconds": None}, ["--may-run", "--balanced"], ["held", "cannot be told"]),
        ({"status": "failed"}, ["--max-dead", "1%"], ["broken", "held"]),
    ],
)
def test_a_run_has_to_be_done_and_whole(
    capsys: Capture, more: dict[str, Any], rules: list[str], found: list[str]
) -> None:
    add(**more)
    assert list(states(capsys, *rules).values()) == found
    check(capsys, *rules, code=0 if set(found) == {"held"} else 1)
    allowed = {"held", "cannot be told"}
    check(capsys, *rules, "--allow-untold", code=0 if set(found) <= allowed else 1)


def test_a_run_whose_files_are_damaged_tells_nothing(capsys: Capture) -> None:
    run = add(100, 0)
    (STORE / "runs" / "flights" / run / "end.json").write_text('{"status": "done", "dead_letters"')
    rules = ["--max-dead", "1%", "--evidence", "--min-records", "1", "--no-new-kinds", "--within", "9%"]
    found = states(capsys, *rules)
    assert found.pop("evidence") == "broken"
    assert set(found.values()) == {"cannot be told"}
    assert "end.json cannot be read" in check(capsys, *rules, code=1)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"seconds": None}, "the run has not ended"),
        ({"seconds": None, "is_lost": True}, "how the run ended nobody knows"),
        ({"is_damaged": True}, "nothing of the run's end can be read"),
    ],
)
def test_why_there_is_no_end_is_told_as_it_is(capsys: Capture, more: dict[str, Any], why: str) -> None:
    is_lost, is_damaged = more.pop("is_lost", False), more.pop("is_damaged", False)
    folder = STORE / "runs" / "flights" / add(100, 0, **more)
    if is_lost:
        (folder / "heartbeat.json").write_text(json.dumps({"at": time_text(ago(hours=2)), "left": True}))
    if is_damaged:
        (folder / "end.json").write_text('{"status": "done"')
    else:
        assert check(capsys, "--balanced", "--evidence", code=1).count(why) == 2
        assert "since" not in check(capsys, code=1)
    assert exit_code(["balance", "flights@latest"]) == 1
    assert f"balance not checked: {why}" in capsys.readouterr().out
    assert exit_code(["show", "flights@latest"]) == int(is_damaged)


@pytest.mark.parametrize(
    ("limit", "taken", "dead", "found"),
    [
        ("1%", 100, 1, "held"),
        ("29%", 100, 29, "held"),  # as floats, 29 of 100 are more
        ("29%", 100, 30, "broken"),
        ("0.5%", 1_000, 5, "held"),
        ("0.5%", 1_000, 6, "broken"),
        ("1%,5%", 100, 1, "held"),
        ("1%,5%", 100, 2, "warned"),
        ("1%,5%", 100, 6, "broken"),
        ("0", 100, 0, "held"),
        ("0", 100, 1, "broken"),
        ("1%", 0, 0, "held"),
    ],
)
def test_records_that_were_refused(capsys: Capture, limit: str, taken: int, dead: int, found: str) -> None:
    add(taken, dead)
    assert state(capsys, "--max-dead", limit) == found
    check(capsys, "--max-dead", limit, code=int(found == "broken"))


def test_refusals_that_no_file_has_count(capsys: Capture) -> None:
    add(100, 0, end={"dead_letters": {"count": 0, "not_kept": {"parse": 9}}}, status="cancelled")
    assert state(capsys, "--max-dead", "5%") == "broken"


def test_a_share_needs_the_number_of_records(capsys: Capture) -> None:
    write_run(STORE, "flights", ago(minutes=2), dead_letters={"count": 3})
    assert state(capsys, "--max-dead", "5%") == "cannot be told"
    assert state(capsys, "--max-dead", "2") == "broken"


@pytest.mark.parametrize(("holds", "told"), [(False, "broken"), (True, "cannot be told")])
def test_a_loss_of_a_run_that_runs_is_told_before_its_end(holds: bool, told: str, capsys: Capture) -> None:
    edge = {"from": ["parse"], "to": "sum", "lost": int(not holds), "added": 0}
    add(100, 0, seconds=None, end={"ledger": {"holds": holds, "edges": [edge]}})
    assert state(capsys, "--balanced", "--may-run") == told
    said = check(capsys, "--balanced", "--may-run", "--allow-untold", code=int(not holds))
    assert ("1 edge broken" in said) is not holds


def test_counts_of_a_run_that_runs_are_told_so_far(capsys: Capture) -> None:
    add(100, 10, seconds=None)
    assert state(capsys, "--max-dead", "20%", "--may-run") == "held"
    assert "10 of 100 records refused so far" in check(capsys, "--max-dead", "5%", "--may-run", code=1)
    assert state(capsys, "--min-records", "100") == "held"
    assert state(capsys, "--min-records", "101") == "cannot be told"
    assert state(capsys, "--takes-at-most", "1m") == "broken"
    assert state(capsys, "--takes-at-most", "1h") == "held"


def test_too_few_records(capsys: Capture) -> None:
    add(100, written=90)
    assert state(capsys, "--min-records", "100") == "held"
    assert state(capsys, "--min-records", "101") == "broken"
    assert state(capsys, "--min-written", "90") == "held"
    assert state(capsys, "--min-written", "100,80") == "warned"
    assert state(capsys, "--min-written", "91") == "broken"
    assert "100 records came in; at least 2,000" in check(capsys, "--min-records", "2000", code=1)


def test_how_long_ago_a_pipeline_was_last_done(capsys: Capture) -> None:
    add(days=2)
    add(status="failed")
    assert "last done 48 h 1 min ago; at most 26h" in check(capsys, "--max-age", "26h", code=1)
    assert states(capsys, "--max-age", "3d") == {"done": "broken", "max-age 3d": "held"}


def test_a_pipeline_that_was_never_done_has_no_age(capsys: Capture) -> None:
    add(status="failed")
    assert "no run of pipeline flights was ever done" in check(capsys, "--max-age", "26h", code=1)


def test_counts_are_held_against_those_of_earlier_runs(capsys: Capture) -> None:
    for day, taken in enumerate((80, 120, 100, 90, 110)):
        add(taken, written=taken // 2, days=9 - day)
    add(10, written=5, days=2, status="failed")  # no run that is done
    add(130, written=35)
    assert states(capsys, "--within", "30%") == {
        "done": "held",
        "within 30% records": "held",
        "within 30% written": "held",
    }
    told = check(capsys, "--within", "10%,29.9%", code=1)
    assert "130 records came in; 71 to 129 expected, the median of 5 runs is 100" in told
    assert state(capsys, "--within", "10%,30%") == "warned"


def test_what_is_usual_is_not_told_by_few_runs(capsys: Capture) -> None:
    add(days=2)
    add(days=1)
    add()
    assert "needs 3 earlier runs that are done and counted, found 2" in check(
        capsys, "--within", "30%", code=1
    )
    assert states(capsys, "--within", "30%") == {"done": "held", "within 30% records": "cannot be told"}


def test_more_records_may_come_to_a_run_that_runs(capsys: Capture) -> None:
    for day in range(1, 4):
        add(100, days=day)
    add(50, seconds=None)
    assert state(capsys, "--within", "30%") == "cannot be told"
    add(150, seconds=None)
    assert state(capsys, "--within", "30%") == "broken"


def test_kinds_of_refusal_that_are_new(capsys: Capture) -> None:
    add(100, 5, days=1)
    assert state(capsys, "--no-new-kinds") == "cannot be told"
    add(100, 7, days=0.5)
    assert state(capsys, "--no-new-kinds") == "held"
    add(100, 1, kind="KeyError")
    assert "1 new kind of refusal: parse KeyError" in check(capsys, "--no-new-kinds", code=1)


def test_a_pipeline_that_never_ran_is_found_by_its_schedule(capsys: Capture) -> None:
    pathlib.Path("beam_obs.toml").write_text('[schedules.nightly]\ncron = "*/5 * * * *"\n')
    STORE.joinpath("runs").mkdir(parents=True)
    told = check(capsys, run="nightly@latest", code=1)
    assert told.startswith("nightly  never ran\n")
    assert re.search(r"broken +on-schedule +never ran: a run was due at 2", told)
    told = check(capsys, "--nagios", run="nightly@latest", code=2)
    assert told.startswith("BEAM_OBS CRITICAL - nightly: on-schedule: never ran")


def test_a_schedule_is_looked_at_where_there_is_one(capsys: Capture) -> None:
    add(days=1)
    assert "on-schedule" not in states(capsys)
    assert states(capsys, "--on-schedule")["on-schedule"] == "cannot be told"
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "*/5 * * * *"\n')
    assert states(capsys)["on-schedule"] == "broken"
    assert "on-schedule" not in states(capsys, "--min-records", "1")
    add()
    assert states(capsys)["on-schedule"] == "held"
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "0 6 * * *"\ntakes_at_most = "30s"')
    assert "took 1 min 0 s, longer than 30s (its schedule says)" in check(capsys, "--on-schedule", code=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-dead", "1,5%"], "expected two numbers or two shares"),
        (["--max-dead", "5%,1%"], "the first warns, so expected 1%,5%"),
        (["--min-records", "10,20"], "the first warns, so expected 20,10"),
        (["--max-dead", "1%,2%,3%"], "expected one bound, or two"),
        (["--max-dead", "101%"], "expected 100% at most"),
        (["--max-dead", "-1"], "expected a share or a number"),
        (["--max-dead", ""], "expected a share or a number"),
        (["--within", "30"], "expected a share: 1%, 0.5%"),
        (["--max-age", "26"], "expected a number and a unit: 30d, 12h"),
        (["--max-age", "1.5h"], "expected a number and a unit"),
        (["--min-records", "1e3"], "expected a whole number"),
        (["--max-deed", "1%"], "No such option '--max-deed'"),
        (["--nagios", "--json"], "give one of them"),
    ],
)
def test_wrong_usage_ends_with_two_and_for_nagios_is_unknown(
    capsys: Capture, arguments: list[str], said: str
) -> None:
    add()
    assert exit_code(["check", "flights@latest", *arguments]) == (3 if "--nagios" in arguments else 2)
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert exit_code(["check", "flights@latest", "--nagios", *arguments]) == 3
    assert capsys.readouterr().out.startswith("BEAM_OBS UNKNOWN - ")


def test_a_run_that_is_not_there_fails_the_gate_and_its_file_says_so(capsys: Capture) -> None:
    add()
    pathlib.Path("gate.xml").write_text("<old/>")
    assert exit_code(["check", "flihgts@latest", "--junit", "gate.xml"]) == 1
    assert "no pipeline 'flihgts'" in capsys.readouterr().err
    (case,) = next(iter(junitparser.JUnitXml.fromfile("gate.xml")))
    assert "no pipeline 'flihgts'" in case.result[0].message
    assert "no pipeline 'flihgts'" in check(capsys, "--nagios", run="flihgts@latest", code=3)
    for pipeline in ("flights", "nowhere"):
        assert exit_code(["check", f"{pipeline}@latest", "--store", "nowhere", "--nagios"]) == 3
        assert "no store at" in capsys.readouterr().out


def test_junit_has_a_case_for_each_rule(capsys: Capture) -> None:
    add(100, 3, end={"error": {"type": "E", "message": "\x1b[31m<&\ud800]]>\x00"}}, status="failed")
    rules = ("--max-dead", "1%,5%", "--no-new-kinds", "--balanced", "--junit", "gate.xml")
    check(capsys, *rules, code=1)
    (suite,) = junitparser.JUnitXml.fromfile("gate.xml")
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 0)
    cases = {case.name: case for case in suite}
    assert list(cases) == ["done", "balanced", "max-dead 1%,5%", "no-new-kinds"]
    assert "failed, 3 dead: E: \\x1b[31m<&" in cases["done"].result[0].message
    assert cases["max-dead 1%,5%"].system_out.startswith("warned: 3 of 100 records refused")
    assert all(case.classname.startswith("flights 0") for case in suite)
    check(capsys, *rules, "--allow-untold", code=1)
    (suite,) = junitparser.JUnitXml.fromfile("gate.xml")
    assert (suite.failures, suite.errors, suite.skipped) == (1, 0, 1)


STATUS = r"BEAM_OBS (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+"
RANGE = r"@?(-?[0-9.]+|~)?:?(-?[0-9.]+)?"
DATUM = rf"'[^'=]+'=-?[0-9.]+(s|us|ms|%|[KMGT]?B|c)?(;({RANGE})(;({RANGE})(;-?[0-9.]+){{0,2}})?)?"
"""The forms of the Monitoring Plugins Development Guidelines."""


@pytest.mark.parametrize(
    ("dead", "more", "code", "name"),
    [
        (0, [], 0, "OK"),
        (3, [], 1, "WARNING"),
        (9, [], 2, "CRITICAL"),
        (0, ["--no-new-kinds"], 3, "UNKNOWN"),
        (3, ["--no-new-kinds"], 1, "WARNING"),
        (0, ["--no-new-kinds", "--allow-untold"], 0, "OK"),
    ],
)
def test_nagios_gets_a_line_of_status_with_performance_data(
    capsys: Capture, dead: int, more: list[str], code: int, name: str
) -> None:
    add(100, dead)
    rules = ["--max-dead", "1%,5%", "--min-records", "20,10", "--takes-at-most", "2h", *more]
    first, *details = check(capsys, *rules, "--nagios", code=code).splitlines()
    status, _, data = first.partition(" | ")
    assert re.fullmatch(STATUS, status)
    assert status.split()[1] == name
    assert all(re.fullmatch(DATUM, one) for one in data.split())
    assert data.split() == [
        f"'dead_share'={dead}%;1;5",
        f"'dead'={dead}",
        "'duration'=60s;;7200",
        "'records'=100;20:;10:",
    ]
    assert len(details) == 4 + ("--no-new-kinds" in more)


def test_a_bar_in_a_text_does_not_begin_performance_data(capsys: Capture) -> None:
    add(status="failed", end={"error": {"type": "E", "message": "a | b\nc"}})
    first, detail = check(capsys, "--nagios", "--min-records", "1", code=2).splitlines()[:2]
    assert first.count("|") == 1
    assert "a / b c" in first
    assert "|" not in detail


@pytest.mark.engines
@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ([], 2, "BEAM_OBS CRITICAL - flights "),
        (["--max-dead", "0"], 0, "BEAM_OBS OK - flights "),
        (["--max-deed", "0"], 3, "BEAM_OBS UNKNOWN - No such option"),
    ],
)
def test_a_plugin_that_wraps_others_takes_it_for_one(more: list[str], code: int, said: str) -> None:
    (negate,) = NAGIOS
    if not os.path.exists(negate):
        pytest.skip(f"negate is not installed: {apt_command(*NAGIOS.values())}")
    add(100, 3)
    asked = [sys.executable, "-m", "beam_obs.cli", "check", "flights@latest", "--nagios", *more]
    done = subprocess.run(  # it turns OK and CRITICAL round, in the code and in the text
        [negate, "--substitute", *asked],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout[: len(said)]) == (code, said)


def test_a_replay_says_nothing_of_what_is_usual(capsys: Capture) -> None:
    runs = [add(taken=1000, days=days) for days in (9, 8, 7, 6, 5)]
    for days in (4.5, 4, 3.5, 3, 2.5, 2):
        add(taken=10, days=days, start={"parent_run": runs[-1]})
    add(taken=1000)
    assert state(capsys, "--within", "10%") == "held"

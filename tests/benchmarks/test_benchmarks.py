"""Every benchmark runs to its end on little data; its figures are not held against anything here."""

from __future__ import annotations

import logging

import pytest

from benchmarks import dead, flights, import_time, stage
from benchmarks.measure import in_turn
from pipelines.flights.reference import DATA


def test_every_round_runs_every_variant_and_the_first_does_not_count() -> None:
    ran: list[str] = []

    def run(name: str) -> float:
        ran.append(name)
        return float(len(ran))

    samples = in_turn({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=2)
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [4.0, 5.0], "b": [3.0, 6.0]}


@pytest.mark.parametrize("kind", stage.KINDS)
def test_a_chain_of_every_kind_runs_bare_and_staged(kind: str) -> None:
    stage.bare(kind, 10)
    stage.staged(kind, 10)


def test_the_stage_benchmark_compares_with_its_peers(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["--rounds=1", "--elements=10", "--only=Map, "]) == 0
    printed = capsys.readouterr().out
    for peer in ("Stage and DeadLetters", "with_exception_handling", "asgarde"):
        assert f"Map, {peer}" in printed


def test_warnings_come_back_after_a_benchmark(caplog: pytest.LogCaptureFixture) -> None:
    dead.main(["--rounds=1", "--elements=10"])
    logging.getLogger(__name__).warning("seen")
    assert "seen" in caplog.text


def test_the_dead_letter_benchmark_gives_a_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    assert dead.main(["--rounds=1", "--elements=100"]) == 0
    assert "one in ten bad" in capsys.readouterr().out


def test_the_import_benchmark_gives_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert import_time.main(["--rounds=1"]) == 0
    assert "beam_obs over apache_beam" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["pipelines.flights.bare", "pipelines.flights.batch"])
def test_a_flights_run_is_measured_as_a_process(module: str) -> None:
    cost = flights.run(module, str(DATA / "flights-2013-01.csv"), DATA)
    assert cost.cpu > 0.1
    assert 50 < cost.memory < 5_000


def test_a_failed_flights_run_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"no-such-file\.csv"):
        flights.run("pipelines.flights.batch", "no-such-file.csv", DATA)

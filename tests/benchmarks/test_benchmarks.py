"""Every benchmark runs to its end on little data; its figures are not held against anything here."""

from __future__ import annotations

import logging
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from benchmarks import (
    cost,
    dead,
    exporters,
    flights,
    import_time,
    instruments,
    isolation,
    soak,
    stage,
    start,
    stream,
    trace_share,
    watch,
)
from benchmarks.import_time import IMPORTS
from benchmarks.measure import Samples, in_turn
from pipelines.flights.reference import DATA


def one_round(variants: Mapping[str, Callable[[], float]], *_: Any) -> Samples:
    """What `in_turn` gives, without its warm-up: each variant runs once."""
    return {name: [run()] for name, run in variants.items()}


@pytest.fixture
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out warm-ups, and makes chains short."""
    for module in (dead, import_time, stage):
        monkeypatch.setattr(module, "in_turn", one_round)
    monkeypatch.setattr(stage, "STEPS", 2)


def test_every_round_runs_every_variant_and_the_first_does_not_count() -> None:
    ran: list[str] = []

    def run(name: str) -> float:
        ran.append(name)
        return float(len(ran))

    samples = in_turn({"a": lambda: run("a"), "b": lambda: run("b")}, rounds=2)
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert samples == {"a": [4.0, 5.0], "b": [3.0, 6.0]}


@pytest.mark.parametrize("kind", stage.KINDS)
@pytest.mark.usefixtures("few_runs")
def test_a_chain_of_every_kind_runs_bare_and_staged(kind: str) -> None:
    stage.bare(kind, 10)
    stage.staged(kind, 10)


@pytest.mark.usefixtures("few_runs")
def test_the_stage_benchmark_compares_with_its_peers(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.main(["--rounds=1", "--elements=10", "--only=Map, "]) == 0
    printed = capsys.readouterr().out
    for peer in ("Stage and DeadLetters", "with_exception_handling", "asgarde"):
        assert f"Map, {peer}" in printed


def test_the_benchmark_of_instruments_compares_with_beams_own(capsys: pytest.CaptureFixture[str]) -> None:
    instruments.main(["--rounds=1", "--updates=10"])
    printed = capsys.readouterr().out
    assert [name for name in instruments.TARGETS if f"  {name} " not in printed] == []


@pytest.mark.usefixtures("few_runs")
def test_the_dead_letter_benchmark_gives_a_ratio_and_warnings_come_back_after_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert dead.main(["--rounds=1", "--elements=100"]) == 0
    logging.getLogger(__name__).warning("seen")
    assert "one in ten bad" in capsys.readouterr().out
    assert "seen" in caplog.text


def test_the_benchmark_of_a_start_tells_a_warm_process_and_a_fresh_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "in_turn", one_round)
    monkeypatch.setattr(start, "seconds_in_fresh_interpreter", {"bare": 2.0, "observed": 2.5}.__getitem__)
    assert start.main([]) == 0
    printed = capsys.readouterr().out
    assert "in a warm process" in printed
    assert "2000      2500     500" in printed


@pytest.mark.usefixtures("few_runs")
@pytest.mark.slow
def test_the_import_benchmark_gives_milliseconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beam is imported where names are that need it: its own import takes a second each time.
    without = {name: code.replace("import apache_beam", "import json") for name, code in IMPORTS.items()}
    monkeypatch.setattr(import_time, "IMPORTS", without)
    assert import_time.main(["--rounds=1"]) == 0
    assert "beam_obs over apache_beam" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["pipelines.flights.bare", "pipelines.flights.batch"])
@pytest.mark.slow
def test_a_flights_run_is_measured_as_a_process(module: str, tmp_path: pathlib.Path) -> None:
    lines = (DATA / "flights-2013-01.csv").read_text().splitlines(keepends=True)
    (tmp_path / "flights.csv").write_text("".join(lines[:100]))
    cost = flights.run(module, str(tmp_path / "flights.csv"), DATA)
    assert cost.cpu > 0.1
    assert 50 < cost.memory < 5_000


def test_a_failed_flights_run_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"no_such_program"):
        flights.run("pipelines.no_such_program", "flights.csv", DATA)


@pytest.mark.slow
def test_the_threads_that_watch_a_run_are_measured(tmp_path: pathlib.Path) -> None:
    lines = (DATA / "flights-2013-01.csv").read_text().splitlines(keepends=True)
    (tmp_path / "flights.csv").write_text("".join(lines[:100]))
    took = watch.run(str(tmp_path / "flights.csv"), DATA)
    assert took.threads["beam_obs heartbeat"] > 0
    assert 0 < took.percent < 100


@pytest.mark.slow
def test_what_exporting_costs_is_measured(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (DATA / "flights-2013-01.csv").read_text().splitlines(keepends=True)
    (tmp_path / "flights.csv").write_text("".join(lines[:100]))
    told = [
        exporters.measure_bridge(3, 2),
        exporters.measure_snapshot(2, 1),
        exporters.measure_threads(str(tmp_path / "flights.csv"), DATA),
    ]
    assert [one.name for one in told] == ["bridge of 3 pipelines", "snapshot, 2 stages", "CPU of exporters"]
    assert 20 < float(told[0].figure.partition(" ")[0]) < 150
    assert float(told[2].figure.partition(" ")[0]) > 0
    assert "one scrape of 3 pipelines of 2 stages" in capsys.readouterr().out


def test_the_benchmark_of_isolation_tells_a_round_trip(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "SECONDS", 0.001)
    monkeypatch.setattr(isolation, "SIZES", (10,))
    isolation.main()
    assert "record of         10 bytes" in capsys.readouterr().out


@pytest.mark.slow
def test_what_observation_costs_is_told_for_each_size_and_by_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "PIPELINES", {"grouped": cost.group_and_write})
    assert cost.main(["100", "300", "--rounds=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    stores = [line.split() for line in lines if line.split()[1:2] == ["store"]]
    assert [fields[0] for fields in stores] == ["100", "300", "line"]
    assert all(fields[2] == "0" and int(fields[3].replace(",", "")) > 1_000 for fields in stores[:2])
    # Each record goes into the shuffle with an origin of 16 bytes.
    (shuffle,) = (line for line in lines if "line  shuffle" in line)
    assert 16 < float(shuffle.partition("a record ")[2].split()[0]) < 40


@pytest.mark.slow
def test_what_observation_costs_without_lineage_does_not_grow_in_shuffles(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "PIPELINES", {"grouped": cost.group_and_write})
    assert cost.main(["100", "300", "--rounds=1", "--lineage=off"]) == 0
    (shuffle,) = (line for line in capsys.readouterr().out.splitlines() if "line  shuffle" in line)
    assert float(shuffle.partition("a record ")[2].split()[0]) < 1


def test_the_line_of_costs_goes_on_as_between_the_largest_sizes() -> None:
    line = cost.line_through([10, 100, 1000, 10_000], [60.0, 90.0, 1000.0, 19_000.0])
    assert line == (40.0, 2.0)


def test_a_line_of_costs_takes_two_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cost.main(["100", "100"])
    assert "two sizes" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", [soak, stream])
def test_a_benchmark_on_prism_says_how_it_is_installed(
    benchmark: Any,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BEAM_OBS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SystemExit) as ended:
        benchmark.main([])

    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Prism is not installed: make engines (it needs Go)\n"


@pytest.fixture(scope="module")
def looks_are_allowed() -> None:
    """Skips where no process may look at another, as in some containers."""
    try:
        trace_share.looked_at("", 0)
    except RuntimeError as error:
        if not any(told in str(error) for told in ("Permission", "not permitted")):
            raise
        pytest.skip(f"py-spy may not look at a process: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("looks_are_allowed")
def test_the_share_of_traces_is_that_of_looks_at_a_run(tmp_path: pathlib.Path) -> None:
    shutil.copytree(DATA, tmp_path / "data")
    flights_of_january = tmp_path / "data" / "flights-2013-01.csv"
    lines = flights_of_january.read_text().splitlines(keepends=True)
    flights_of_january.write_text("".join(lines[:100]))
    share = trace_share.looked_at(flights_of_january.name, 1, tmp_path / "data")
    assert 0 < share.of_traces < share.looks / 2  # the modules alone are some


@pytest.mark.slow
@pytest.mark.usefixtures("looks_are_allowed")
def test_a_run_that_failed_has_no_share(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)has failed: .*NoFilesFound"):
        trace_share.looked_at("no-such-file.csv", 1, tmp_path)

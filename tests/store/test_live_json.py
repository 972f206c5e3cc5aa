"""`live.json` may be damaged, or written by someone else: what fits its form is read, the rest is said."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from click.testing import CliRunner

from beam_obs.cli.main import beam_obs as command_line
from beam_obs.store.folder import Found
from beam_obs.store.read_run_record import read_run_record
from beam_obs.store.run_record import now_text
from beam_obs.store.store import Store

LIVE: dict[str, Any] = {
    "at": "2026-01-02T03:04:05.000000Z",
    "counts_from": "live",
    "stages": [{"label": "parse", "kind": "Map", "in": 4, "out": 3, "dead": 1, "filtered": 0, "dropped": 0}],
    "steps": [
        {"label": "read", "is_stage": False, "in": None, "out": None, "after": []},
        {"label": "parse", "is_stage": True, "in": None, "out": None, "after": ["read"]},
    ],
    "edges": [{"from": "read", "to": "parse", "count": None, "side": False}],
    "composites": [],
    "history": [{"seconds": 5.0, "in": 4, "dead": 1}],
}


def store_with(folder: pathlib.Path, live: bytes) -> Store:
    """Returns a store of one run that has not ended."""
    run = folder / "runs" / "numbers" / "0193aaaa-1111-7000-8000-000000000001"
    run.mkdir(parents=True)
    (run / "start.json").write_text(json.dumps({"started": now_text(), "runner": "FnApiRunner"}))
    (run / "live.json").write_bytes(live)
    return Store(str(folder))


def changed(**fields: Any) -> bytes:
    return json.dumps(LIVE | fields).encode()


WITH_A_CIRCLE = [{"from": "read", "to": "parse"}, {"from": "parse", "to": "read"}]


@pytest.mark.parametrize(
    ("content", "problem", "is_read"),
    [
        (json.dumps(LIVE).encode()[:-40], "live.json cannot be read", False),
        (b"\x00" * 50, "live.json cannot be read", False),
        (b'{"a":' * 100_000, "live.json cannot be read: it is nested too deep", False),
        (b"[]", "live.json cannot be read: it is no object", False),
        (changed(at="2026-99-99"), "live.json cannot be read", False),
        (changed(at=None), "live.json cannot be read", False),
        (changed(at=1e300), "live.json cannot be read", False),
        (changed(stages="many"), "live.json is damaged: stages is 'many'", True),
        (changed(stages=[{"label": "parse", "in": -1.5}, 7]), "live.json is damaged", True),
        (changed(steps=[{"label": ["parse"]}]), "live.json is damaged", True),
        (changed(history=[[5.0, 4, 1], {"seconds": "x", "in": 3}]), "live.json is damaged", True),
        (changed(edges=WITH_A_CIRCLE), "live.json is damaged: its steps go round in a circle", True),
        (changed(composites={"label": None}), "live.json is damaged", True),
    ],
)
def test_damage_is_said_and_no_command_fails_of_it(
    tmp_path: pathlib.Path, content: bytes, problem: str, is_read: bool
) -> None:
    store = store_with(tmp_path, content)

    (record,) = store.runs()

    assert (record.live is not None) == is_read
    assert any(problem in told for told in record.problems)
    for command in (["show", "latest"], ["show", "latest", "--json"], ["runs"], ["runs", "--json"]):
        result = CliRunner().invoke(command_line, [*command, "--store", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert problem in result.output


def test_text_in_it_reaches_no_terminal_as_it_is(tmp_path: pathlib.Path) -> None:
    odd = "\x1b]0;owned\x07"
    store_with(tmp_path, changed(steps=[{**LIVE["steps"][1], "label": odd}], counts_from=odd))

    for command in (["show", "latest"], ["graph", "latest", "--output", "-"]):
        result = CliRunner().invoke(command_line, [*command, "--store", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output


def test_it_is_not_looked_at_where_there_is_an_end(tmp_path: pathlib.Path) -> None:
    store = store_with(tmp_path, b"what a write left that came too late")
    (run,) = (tmp_path / "runs" / "numbers").iterdir()
    (run / "end.json").write_text(json.dumps({"status": "done", "finished": now_text(), "steps": []}))

    (record,) = store.runs()

    assert (record.live, record.as_of, record.problems) == (None, None, ())


def test_an_end_that_comes_while_a_run_is_read_is_not_missed(tmp_path: pathlib.Path) -> None:
    store = store_with(tmp_path, b"")
    (run,) = (tmp_path / "runs" / "numbers").iterdir()
    start = json.dumps({"started": now_text(), "runner": "FnApiRunner", "sealed": True}).encode()
    (run / "start.json").write_bytes(start)
    (run / "live.json").unlink()
    (run / "end.json").write_text(json.dumps({"status": "done", "finished": now_text(), "steps": []}))

    record = read_run_record(store, "numbers", run.name, Found(start), Found(None))

    assert record.status == "done"

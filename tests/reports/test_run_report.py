"""The report fits its terminal, shows what matters, and cannot be misled by what records contain."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from beam_obs.records.wording import clean
from beam_obs.reports.console import print_plainly
from beam_obs.reports.run_report import record_json, render_report
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from tests.reports.recorded_run import run, stage


def printed(record: RunRecord, columns: int = 100, ascii_only: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=columns, color_system=None, highlight=False)
    print_plainly(console, render_report(record, Store("/data/.beam_obs"), ascii_only))
    return file.getvalue()


@pytest.mark.parametrize("columns", [72, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal(columns: int) -> None:
    lines = printed(run(), columns).splitlines()
    assert max(cell_len(line) for line in lines) <= columns
    numbers = [line for line in lines if line.lstrip().startswith("\u25c6 ") and "336" in line]
    assert len(numbers) == 2
    assert all("81 ms" in line for line in numbers)


@pytest.mark.parametrize("columns", [40, 60])
def test_ids_names_and_sentences_are_whole_where_the_terminal_is_narrow(columns: int) -> None:
    at = {"step": "parse", "uri": "in.txt", "line": 3, "position": 4, "origin": "67d720c3" * 4}
    error = {"type": "ValueError", "message": "no number: 'three'", "at": at}
    names = [f"a step of a long name, number {number}" for number in range(3)]
    steps = [{"label": name, "is_stage": False, "in": 1_000_000, "out": 1_000_000} for name in names]
    record = run(status="failed", error=error, steps=[*steps, {"label": "parse"}])
    text = printed(record, columns)
    lines = text.splitlines()
    assert max(cell_len(line) for line in lines) <= columns
    assert record.id in text
    assert "67d720c3" * 4 in text
    (step,) = [line.split() for line in lines if line.lstrip().startswith("\u25c6 parse")]
    assert step[2:4] == ["336,776", "336,762"]
    told = " ".join(word for line in lines for word in line.split() if not word[0].isdigit())
    assert all(name.rpartition(" ")[0] in told for name in names)
    assert "balanced: every record is accounted for" in told


def test_sinks_of_one_prefix_are_told_apart_by_the_ending_of_their_files() -> None:
    outputs = [
        {
            "label": label,
            "uri": uri,
            "records": 3,
            "files": [{"uri": f"{uri}-00000-of-00001{ending}", "bytes": 9}],
        }
        for label, uri, ending in (
            ("avro", "out/s", ".avro"),
            ("json", "out/s", ".jsonl"),
            ("text", "t", ".txt"),
        )
    ]
    told = printed(run(outputs=outputs)).partition("Outputs")[2]
    assert [line.split()[:2] for line in told.splitlines()[1:4]] == [
        ["avro", "out/s*.avro"],
        ["json", "out/s*.jsonl"],
        ["text", "t"],
    ]


def test_it_says_what_was_refused_and_where() -> None:
    text = printed(run())
    assert "flights  done, 14 dead" in text
    assert "took 1 min 15 s" in text
    assert "balanced: every record is accounted for (12 checks of counts)" in text
    assert "ValueError: " in text
    assert "beam-obs dead-letters list 0193aaaa-1111" in text
    assert "336,762 records" in text
    assert "3.4 MB" in text
    assert "digest 01234567" in text


def test_of_a_refusal_only_the_error_is_red() -> None:
    refused = {
        **run().end["dead_letters"]["by_fingerprint"][0],
        "error_message": "broken",
        "payload_text": "the record",
    }
    record = run(dead_letters={"count": 1, "by_fingerprint": [refused]})
    console = Console(record=True, file=io.StringIO(), width=100, force_terminal=True)
    console.print(render_report(record, Store("/data/.beam_obs")))
    coloured = console.export_text(styles=True)
    assert re.search(r"\x1b\[31m[^\x1b]*broken", coloured)
    assert re.search(r"\x1b\[2m[^\x1b]*the record", coloured)


def test_text_of_records_cannot_command_the_terminal() -> None:
    text = printed(run())
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mnot a number" in text


def test_a_label_cannot_be_markup() -> None:
    record = run(steps=[{"label": "[red]x[/red]", "is_stage": False, "in": 1, "out": 1}], stages=[])
    assert "[red]x[/red]" in printed(record)


def test_a_broken_balance_names_the_edge() -> None:
    broken = [{"where": "read -> parse", "text": "read -> parse: out of read 10, into parse 9 (1 lost)"}]
    text = printed(run(balance={"holds": False, "checked": 3, "unchecked": "", "broken": broken}))
    assert "not balanced" in text
    assert "read -> parse: out of read 10, into parse 9 (1 lost)" in text


def test_a_failed_run_shows_its_error_and_says_that_counts_are_live() -> None:
    error = {"type": "RuntimeError", "message": "first\n" + "noise\n" * 50 + "ValueError: last"}
    text = printed(run(status="failed", error=error, counts_from="live"))
    assert "RuntimeError: first" in text
    assert "ValueError: last" in text
    assert text.count("noise") < 5
    assert "counts are live" in text


def test_internal_errors_and_dropped_records_are_told_when_there_are_any() -> None:
    assert "dropped" not in printed(run())
    text = printed(run(stages=[stage("parse", 10, 5, dropped=5, internal_errors=3)]))
    assert "dropped" in text
    assert "3 errors of beam_obs itself" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    record = run(dead_letters={"count": 0}, outputs=[])
    assert printed(record, ascii_only=True).replace("\u2026", "").replace("\u00b7", "").isascii()


def test_a_run_that_has_not_ended_says_so() -> None:
    record = RunRecord("flights", "id", {**run().start, "inputs": [], "process": None})
    text = printed(record)
    assert "lost" in text
    assert "No counts yet" in text


def test_json_has_everything_but_the_coders() -> None:
    values = record_json(run(), Store("/data"))
    assert json.loads(json.dumps(values))["status"] == "done"
    assert values["end"]["stages"][0]["in"] == 336_776
    assert "coders" not in values["start"]


def test_clean_keeps_what_can_be_read() -> None:
    assert clean("\u4e2d\u6587 \u00e9 \U0001f600") == "\u4e2d\u6587 \u00e9 \U0001f600"


def test_it_names_what_was_not_checked_and_what_came_too_late() -> None:
    end = run().end or {}
    balance = {
        **end["balance"],
        "edges": 3,
        "edges_checked": 2,
        "unchecked_edges": [{"from": "read", "to": "parse", "reason": "counted once, by Beam"}],
        "unchecked_steps": [{"step": "hold\x1b[31m", "reason": "it keeps records in state"}],
        "dropped": [{"step": "group", "count": 4, "windows": {"[0, 10)": 3, "[10, 20)": 1}}],
    }
    steps = [*end["steps"], {"label": "group", "is_stage": False, "in": 8, "out": 1, "dropped": 4}]
    text = printed(run(balance=balance, steps=steps), 120)
    assert "balanced where checked: 2 of 3 edges (12 checks of counts); 4 dropped as late" in text
    assert "not checked (counted once, by Beam): read -> parse" in text
    assert "not checked (it keeps records in state): hold\\x1b[31m" in text
    assert "dropped as late by group: 4, of windows [0, 10): 3, [10, 20): 1" in text
    (group,) = [line.split() for line in text.splitlines() if line.startswith("    group")]
    assert group == ["group", "8", "1", "4"]


@pytest.mark.parametrize("columns", [40, 80])
def test_of_a_long_error_its_cause_is_seen(columns: int) -> None:
    message = f"the reading {'9' * 600} is none: the cause"
    (kind, *_) = (run().end or {})["dead_letters"]["by_fingerprint"]
    refused = {"count": 1, "by_fingerprint": [{**kind, "error_message": message}]}
    error = {"type": "ValueError", "message": message}
    text = printed(run(status="failed", error=error, dead_letters=refused), columns)
    told = " ".join(text.split())
    assert told.count("ValueError: the reading") == 2
    assert told.count("is none: the cause") == 2

"""What is known of one step of a run, gathered from the parts of its end."""

from __future__ import annotations

import dataclasses

import pytest

from beam_obs.reports.step_detail import latency_buckets, step_detail
from beam_obs.store.run_record import RunRecord
from beam_obs.store.unknown_name import UnknownName
from tests.reports.recorded_run import run, stage


def a_run() -> RunRecord:
    """A run of three steps, the second of which lost a record and has two kinds of refusal."""
    record = run(
        edges=[{"from": "read", "to": "parse", "count": 10}, {"from": "parse", "to": "write", "count": 7}],
        steps=[
            {"label": label, "is_stage": label == "parse", "in": 10, "out": 7, "after": after}
            for label, after in (("read", []), ("parse", ["read"]), ("write", ["parse"]))
        ],
        stages=[stage("parse", 10, 7, 2, latency_us_le={"1": 0, "5": 3, "inf": 3})],
        balance={
            "holds": False,
            "checked": 3,
            "unchecked_edges": [{"from": "parse", "to": "write", "reason": "no count"}],
            "broken": [
                {"where": "read -> parse", "text": "read -> parse: out of read 10, into parse 9 (1 lost)"},
                {"where": "write", "text": "write: in 7, out 6 (1 lost)"},
            ],
        },
        composites=[],
    )
    code = {"made_by": "2", "steps": {"parse/Observed": ["aa", "bb"], "parser": ["cc", "dd"]}}
    return dataclasses.replace(record, start={**record.start, "step_code": code})


def test_a_step_has_what_belongs_to_it_and_nothing_else() -> None:
    detail = step_detail(a_run(), "parse")
    assert (detail.step.taken, detail.step.given, detail.step.dead) == (10, 7, 14)
    assert [edge.source for edge in detail.takes] == ["read"]
    assert [(edge.target, edge.count) for edge in detail.gives] == [("write", 7)]
    assert [(one.text, one.count) for one in detail.latency] == [("1 to 5 µs", 3)]
    assert [kind["count"] for kind in detail.kinds] == [12, 2]
    assert detail.broken == ("read -> parse: out of read 10, into parse 9 (1 lost)",)
    assert detail.unchecked == ("parse -> write: no count",)
    assert detail.code == (("parse/Observed", "aa", "bb"),)
    assert detail.refusing_stages == ("parse",)


def test_the_record_that_a_run_failed_at_is_told_at_its_step_only() -> None:
    at = {"step": "parse/Observed", "uri": "in.txt", "line": 3, "position": 4, "origin": "0" * 32}
    record = a_run()
    end = {**(record.end or {}), "error": {"type": "ValueError", "message": "no", "at": at}}
    record = dataclasses.replace(record, end=end)
    assert step_detail(record, "parse").failing_record.startswith("at step parse/Observed: line 3 of in.txt")
    assert step_detail(record, "read").failing_record == ""


def test_a_composite_that_is_one_row_has_the_steps_in_it() -> None:
    steps = [
        {"label": "write/Observed", "is_stage": True, "in": 7, "out": 7, "after": []},
        {"label": "write/Write", "is_stage": False, "in": 7, "out": 1, "after": ["write/Observed"]},
    ]
    row = {"label": "write", "in": 7, "writes": True, "failed": 0, "files": 1}
    record = run(steps=steps, stages=[stage("write/Observed", 7, 6, 1)], composites=[row], edges=[])
    assert step_detail(record, "write").parts == (("Observed", 7, 6), ("Write", 7, 1))


def test_a_step_that_is_not_there_is_said_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="has no step 'prase'; the nearest is:\n  parse"):
        step_detail(a_run(), "prase")


def test_buckets_of_a_store_that_make_no_sense_are_none_below_zero() -> None:
    told = latency_buckets({"1": 5, "5": 2, "25": 9, "nonsense": 3, "inf": 1})
    assert [bucket.count for bucket in told] == [5, 0, 4]
    assert latency_buckets({}) == []

"""A run as a store has it, for those who show one."""

from __future__ import annotations

from typing import Any

from beam_obs.store.run_record import RunRecord

LONG = "a very long label of a stage inside of other composites/" * 4 + "parse"


def stage(label: str, taken: int, out: int, dead: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"in": taken, "out": out, "dead": dead, "filtered": taken - out - dead, "dropped": 0}
    return {
        "label": label,
        "kind": "Map",
        **counts,
        "internal_errors": 0,
        "p50_us": 12.3,
        "p99_us": 81_000.0,
        **more,
    }


def run(**changes: Any) -> RunRecord:
    start = {
        "started": "2026-01-02T03:04:05.000000Z",
        "runner": "FnApiRunner",
        "code": {"version": "1a2b3c4d5e6f+dirty", "package": "flights 1.2.3"},
        "process": None,
    }
    labels = ["read", "parse", LONG]
    kind = {
        "stage": "parse",
        "fingerprint": "0123456789abcdef",
        "count": 12,
        "error_type": "ValueError",
        "error_message": "\x1b[31mnot a number\n\tsecond line " + "x" * 500,
        "payload_text": "\x1b]0;title\x07 \u202e payload \u4e2d\u6587 " + "y" * 500,
        "source_uri": "gs://bucket/" + "folder/" * 30 + "flights.csv",
        "position": 123_456,
    }
    end = {
        "status": "done",
        "finished": "2026-01-02T03:05:20.000000Z",
        "error": None,
        "counts_from": "result",
        "stages": [stage("parse", 336_776, 336_762, 14), stage(LONG, 336_762, 336_762)],
        "steps": [{"label": name, "is_stage": name != "read", "in": None, "out": 336_776} for name in labels],
        "balance": {"holds": True, "checked": 12, "unchecked": "", "broken": []},
        "dead_letters": {
            "count": 14,
            "committed": 14,
            "uncommitted": 0,
            "by_fingerprint": [kind, {**kind, "count": 2}],
        },
        "inputs": [
            {"name": "flights", "uri": "gs://bucket/flights-*.csv", "label": "read", "records": 336_776}
        ],
        "outputs": [
            {
                "name": "clean",
                "uri": "gs://bucket/out/" + "z" * 200,
                "label": "write",
                "records": 336_762,
                "digest": "0123456789abcdef",
                "files": [{"uri": "gs://bucket/out/1", "bytes": 3_400_000}],
            }
        ],
    }
    return RunRecord("flights", "0193aaaa-1111-7000-8000-000000000001", start, {**end, **changes})

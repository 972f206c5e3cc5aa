"""The forms of what a run's JSON files say, as far as readers look at it; see `beam_obs.store.form`."""

from __future__ import annotations

from typing import Any

from beam_obs.store.form import Each, Maybe, Needed, Text, Time

FILES = "files"
"""Field of ``end.json``: the files that the run had by then, each with the hash of its content."""

ERASED_AT_END = "erased"
"""Field of ``end.json``: how many rows of evidence, and contributors in them, were erased from the run."""

BEGAN = "1970-01-01T00:00:00.000000Z"

_TEXT, _NUMBER, _COUNT = Maybe(str), Maybe(float), Maybe(int)

_CODE = Maybe({"version": _TEXT, "commit": _TEXT, "package": _TEXT, "program": _TEXT, "dirty": Maybe(bool)})

_FILE = {
    "uri": str,
    "records": _COUNT,
    "digest": _TEXT,
    "name": _TEXT,
    "version": _TEXT,
    "size": _COUNT,
    "bytes": Needed(int, 0),
}

_DATASETS = [
    {
        "label": str,
        "name": Needed(_TEXT, None),
        "uri": Needed(_TEXT, None),
        "records": Needed(_COUNT, None),
        "digest": Needed(_TEXT, None),
        "files": Needed([_FILE], []),
    }
]

_RECORDS = {
    "name": str,
    "version": Needed(str, ""),
    "located": Needed(bool, True),
    "wide": Needed(bool, False),
    "ranges": Needed([[int]], []),
}

START_FORM: dict[str, Any] = {
    "id": _TEXT,
    "pipeline": _TEXT,
    "started": Needed(Time(), BEGAN),
    "runner": Needed(str, "?"),
    "job_id": _TEXT,
    "beam_version": _TEXT,
    "python_version": _TEXT,
    "versions": Maybe(Each(str)),
    "step_code": Maybe({"made_by": _TEXT, "steps": Needed(Each([str]), {})}),
    "template": _TEXT,
    "parent_run": _TEXT,
    "replay": Maybe(
        {
            "letters": Needed(int, 0),
            "stages": Needed(Each(int), {}),
            "from": Needed(_TEXT, None),
            "records": Needed([_RECORDS], []),
        }
    ),
    "max_dead_rate": _NUMBER,
    "max_dead_minimum": _COUNT,
    "dead_rates": Maybe(Each({"share": _NUMBER, "minimum": _COUNT})),
    "traces": Maybe(
        {
            "target": Needed(str, ""),
            "share": Needed(float, 0.0),
            "shares": Needed(Each(float), {}),
            "sent_to": Needed(_TEXT, None),
        }
    ),
    "code": _CODE,
    "options": Maybe(Each(object)),
    "inputs": Maybe(_DATASETS),
    "coders": Maybe(Each({"coder": str, "portable": Needed(str, "")})),
    "process": Maybe(
        {"machine": Needed(_TEXT, None), "host": _TEXT, "pid": Needed(int, 0), "started": _TEXT}
    ),
}

HEARTBEAT_FORM: dict[str, Any] = {
    "at": Maybe(Time()),
    "job_id": _TEXT,
    "outlives_launcher": bool,
    "left": bool,
}

_KIND_TOLD = {
    "error_type": Needed(str, "?"),
    "error_message": Needed(str, ""),
    "payload_text": Needed(str, ""),
    "fingerprint_version": _COUNT,
    "origin": _TEXT,
    "source_uri": Needed(_TEXT, None),
    "position": Needed(_COUNT, None),
    "id": Needed(str, ""),
    "count": int,
    "first": Needed(int, 0),
    "last": Needed(int, 0),
}

DEAD_LETTERS_FORM: dict[str, Any] = {
    "count": Needed(int, 0),
    "committed": Needed(int, 0),
    "uncommitted": Needed(int, 0),
    "superseded": Needed(int, 0),
    "in_files": Maybe(Each(int)),
    "not_kept": Maybe(Each(int)),
    "by_stage": Needed(Each(int), {}),
    "by_fingerprint": Needed([{"stage": str, "fingerprint": str, **_KIND_TOLD}], []),
    "other_fingerprints": Needed(int, 0),
}

_LAG = Maybe({"count": int, "sum": float, "min": float, "max": float})

_STAGE = {
    "label": str,
    "kind": Needed(str, ""),
    "in": Needed(int, 0),
    "out": Needed(int, 0),
    "dead": Needed(int, 0),
    "filtered": Needed(int, 0),
    "dropped": Needed(int, 0),
    "late": _COUNT,
    "event_lag_seconds": _LAG,
    "internal_errors": Needed(int, 0),
    "retried": Needed(int, 0),
    "p50_us": Needed(_NUMBER, None),
    "p99_us": Needed(_NUMBER, None),
    "latency_us_le": Maybe(Each(int)),
}

_COUNTS: dict[str, Any] = {
    "counts_from": _TEXT,
    "stages": Maybe([_STAGE]),
    "steps": Maybe(
        [
            {
                "label": str,
                "is_stage": Needed(bool, False),
                "in": _COUNT,
                "out": _COUNT,
                "after": [str],
                "dropped": _COUNT,
                "late": _COUNT,
                "event_lag_seconds": _LAG,
                "keeps_state": bool,
            }
        ]
    ),
    "composites": Maybe(
        [
            {
                "label": str,
                "in": _COUNT,
                "out": _COUNT,
                "writes": Needed(bool, False),
                "failed": _COUNT,
                "files": _COUNT,
            }
        ]
    ),
    "edges": Maybe([{"from": str, "to": str, "count": _COUNT, "side": bool}]),
}

_LINEAGE = {
    "woven": Needed(int, 0),
    "opaque": Needed(Each(str), {}),
    "text": Needed(str, ""),
    "limit": _COUNT,
    "output_share": _NUMBER,
    "filtered_share": _NUMBER,
    "sinks": [{"label": str, "uri": Needed(_TEXT, None)}],
    "ends": [str],
    "sources": [str],
    "single_ways": Each([str]),
    "side_reads": Each([str]),
}

WORKER_FORM: dict[str, Any] = {
    "worker": str,
    "began": int,
    "at": int,
    "memory_bytes": Needed(_COUNT, None),
    "memory_limit_bytes": Needed(_COUNT, None),
    "most_memory_bytes": Needed(_COUNT, None),
    "cpu_seconds": Needed(float, 0.0),
    "bundles_failed": Needed(int, 0),
    "history": Needed([[float]], []),
    "differs": Maybe(Each([str])),
}

END_FORM: dict[str, Any] = {
    "status": Needed(Text(r"[a-z]{1,20}"), "unknown"),
    "finished": Needed(Time(), BEGAN),
    "job_id": _TEXT,
    "error": Maybe(
        {
            "type": Needed(str, "?"),
            "message": Needed(str, ""),
            "cause": _TEXT,
            "at": Needed(
                Maybe(
                    {
                        "step": str,
                        "origin": Text(r"[0-9a-f]{32}"),
                        "position": _COUNT,
                        "source": _TEXT,
                        "uri": _TEXT,
                        "version": _TEXT,
                        "line": _COUNT,
                        "record": _TEXT,
                    }
                ),
                None,
            ),
        }
    ),
    **_COUNTS,
    "balance": Maybe(
        {
            "holds": Maybe(bool),
            "checked": Needed(int, 0),
            "edges": _COUNT,
            "edges_checked": _COUNT,
            "edges_by_origins": _COUNT,
            "unchecked": Needed(Maybe(str), ""),
            "unchecked_edges": [{"from": str, "to": str, "reason": Needed(str, "")}],
            "unchecked_steps": [{"step": str, "reason": Needed(str, "")}],
            "dropped": [{"step": str, "count": int, "windows": Needed(Each(int), {})}],
            "late": [{"step": str, "count": int, "windows": Needed(Each(int), {})}],
            "broken": Needed([{"where": Needed(str, ""), "text": str}], []),
        }
    ),
    "ledger": Maybe(
        {
            "version": Needed(int, 1),
            "holds": Maybe(bool),
            "unchecked": Needed(str, ""),
            "edges": Needed(
                [
                    {
                        "from": [str],
                        "to": str,
                        "reason": _TEXT,
                        "given": _COUNT,
                        "taken": _COUNT,
                        "late": _COUNT,
                        "lost": _COUNT,
                        "added": _COUNT,
                        "is_exact": Maybe(bool),
                        "examples": [{"origin": Text(r"[0-9a-f]{32}"), "times": int, "window": _TEXT}],
                        "windows": [{"window": str, "lost": Needed(int, 0), "added": Needed(int, 0)}],
                        "by_window": Maybe(bool),
                        "whole": _TEXT,
                        "until": Maybe(float),
                        "open": _COUNT,
                        "passed": [str],
                        "within": _TEXT,
                        "text": _TEXT,
                    }
                ],
                [],
            ),
            "steps": Needed(
                [
                    {
                        "label": str,
                        "role": Needed(str, ""),
                        "in": _COUNT,
                        "passed_on": _COUNT,
                        "filtered": Needed(int, 0),
                        "dead": Needed(int, 0),
                        "out": Needed(Each(int), {}),
                        "within": _TEXT,
                    }
                ],
                [],
            ),
        }
    ),
    "checks": Maybe(
        [{"stage": str, "assumption": Needed(str, ""), "broken": int, "example": Needed(str, "")}]
    ),
    "dead_letters": Maybe(DEAD_LETTERS_FORM),
    "inputs": Maybe(_DATASETS),
    "outputs": Maybe(_DATASETS),
    "lineage": Maybe(_LINEAGE),
    "lineage_lost": Maybe(
        {
            "files": Needed(int, 0),
            "rows": Needed(int, 0),
            "reason": Needed(str, ""),
            "commits": Needed(int, 0),
        }
    ),
    "telemetry": Maybe({"telemetry_lost": Needed(int, 0), "traceparents_ignored": Needed(int, 0)}),
    "instruments": Maybe(
        {
            "attempted": Needed(bool, False),
            "families": Needed(
                [
                    {
                        "name": str,
                        "kind": Text(r"counter|gauge|histogram|summary"),
                        "help": _TEXT,
                        "samples": [
                            {
                                "step": str,
                                "labels": Needed(Each(str), {}),
                                "value": _NUMBER,
                                "at": _COUNT,
                                "buckets": Maybe(Each(int)),
                                "quantiles": Maybe(Each(float)),
                                "rank_error": _NUMBER,
                                "window_seconds": _NUMBER,
                                "count": _COUNT,
                                "sum": _NUMBER,
                            }
                        ],
                    }
                ],
                [],
            ),
            "values_refused": _COUNT,
            "values_not_kept": _COUNT,
            "series_beyond": _COUNT,
            "problems": Needed([str], []),
        }
    ),
    "waiting": Needed([{"step": str, "oldest": Needed(_NUMBER, None), "window_seconds": _NUMBER}], []),
    "workers": Maybe([WORKER_FORM]),
    "was_removed": Maybe(bool),
    FILES: Maybe(Each(str)),
    ERASED_AT_END: Maybe(int),
}

_AT_END_ALONE = ("status", "finished", FILES, ERASED_AT_END)

LIVE_FORM: dict[str, Any] = {
    **{name: form for name, form in END_FORM.items() if name not in _AT_END_ALONE},
    "at": Time(),
    "history": Needed([{"seconds": Needed(float, 0.0), "in": int, "dead": Needed(int, 0)}], []),
}

MANIFESTS_FORM: dict[str, Any] = {
    "manifests": [
        {
            "kind": str,
            "stage": str,
            "file": str,
            "count": int,
            "digest": Needed(Text(r"(?:[0-9a-f]{16})?"), ""),
            "details": Needed(
                {
                    "fingerprints": Each(_KIND_TOLD),
                    "others": _COUNT,
                    "assumptions": Each({"count": int, "example": Needed(str, "")}),
                    "partition": Maybe(Text(r"[0-9a-f]{1,8}")),
                    "name": _TEXT,
                    "version": _TEXT,
                    "path": _TEXT,
                    "pattern": _TEXT,
                    "format": _TEXT,
                    "positions": _TEXT,
                    "size": _COUNT,
                    "dead": _COUNT,
                    "windows": Each([object]),
                    "sums": Each(str),
                    "sums_by_window": Each(str),
                },
                {},
            ),
        }
    ],
    "commit": {"run": _TEXT, "step": _TEXT, "at": int},
}

PARTITIONS_FORM: dict[str, Any] = {
    "partitions": [
        {
            "code": Text(r"[0-9a-f]{1,8}"),
            "name": str,
            "version": Needed(str, ""),
            "located": Needed(bool, True),
            "wide": Needed(bool, False),
            "positions": Needed(_TEXT, None),
            "uri": Needed(_TEXT, None),
            "size": Needed(_COUNT, None),
            "source": Needed(_TEXT, None),
            "kind": Needed(_TEXT, None),
            "records": Needed(_COUNT, None),
            "dead": Needed(_COUNT, None),
        }
    ]
}

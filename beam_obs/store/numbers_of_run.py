"""The numbers of a run as exporters send them, from what a store knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import COUNTER, NO_BOUND, Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.run_record import RunRecord, now_text, parse_time, seconds_between
from beam_obs.store.timeliness import UNDER_WAY

ERROR_TYPE = "error"
"""Label of refused records: the type of the error."""

_OF_ALL_STEPS = (
    (own.RECORDS_IN, "in"),
    (own.RECORDS_OUT, "out"),
    (own.RECORDS_DROPPED, "dropped"),
    (own.RECORDS_LATE, "late"),
)

_OF_STAGES = (
    (own.RECORDS_FILTERED, "filtered"),
    (own.RECORDS_RETRIED, "retried"),
    (own.INTERNAL_ERRORS, "internal_errors"),
)

WORKER = "worker"
"""Label of the numbers of worker processes: host, pid, and the runner's id where it has given one."""

WORKER_SILENCE_SECONDS = 60.0
"""A worker that has not told of itself for so long has no memory any more."""

STATUSES = ("running", "submitted", "lost", "damaged", "done", "failed", "cancelled")


def numbers_of_run(record: RunRecord) -> RunNumbers:
    """Returns the numbers of a run, as they are at its end or were when somebody last looked."""
    known = record.last_known
    at = (record.end or {}).get("finished") or record.as_of or now_text()
    of_steps = _of_steps(record, known)
    families = [
        *of_steps,
        _waiting(known, at),
        *_of_run(record, at),
        *_of_workers(record),
        *_of_instruments(known),
    ]
    return RunNumbers(
        record.pipeline,
        record.id,
        int(parse_time(at).timestamp() * 1_000_000),
        tuple(family for family in families if family.samples),
        record.end is not None,
        _attributes(record),
    )


def _waiting(known: Mapping[str, Any], at: str) -> Family:
    """Returns how old the oldest of what waits in windows is, by step; 0 where nothing does."""
    now = parse_time(at).timestamp()
    return own.own_family(
        own.OLDEST_UNPROCESSED,
        [
            Sample(one["step"], value=0.0 if one["oldest"] is None else max(0.0, now - one["oldest"]))
            for one in known.get("waiting") or ()
        ],
    )


def _of_steps(record: RunRecord, known: Mapping[str, Any]) -> Iterator[Family]:
    if known.get("counts_from") is None:
        return
    stages = {stage["label"]: stage for stage in known.get("stages") or ()}
    others = [step for step in known.get("steps") or () if step["label"] not in stages]
    for name, field in _OF_ALL_STEPS:
        counted = [*stages.values(), *others]
        yield own.own_family(name, [_count(step, field) for step in counted if step.get(field) is not None])
    lags = [_lag(step) for step in (*stages.values(), *others) if step.get("event_lag_seconds")]
    yield own.own_family(own.EVENT_LAG, lags)
    for name, field in _OF_STAGES:
        yield own.own_family(name, [_count(stage, field) for stage in stages.values()])
    yield own.own_family(own.RECORDS_DEAD, _dead(known, stages, record.end is not None))
    yield own.own_family(own.LATENCY, filter(None, map(_latency, stages.values())))


def _lag(step: Mapping[str, Any]) -> Sample:
    lag = step["event_lag_seconds"]
    ends = {"0.0": lag["min"], "1.0": lag["max"]}
    return Sample(step["label"], quantiles=ends, count=lag["count"], sum=lag["sum"])


def _count(step: Mapping[str, Any], field: str) -> Sample:
    return Sample(step["label"], value=step[field])


def _dead(
    known: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]], has_ended: bool
) -> Iterator[Sample]:
    """Yields how many records each stage refused; what no kind tells, without a type of error.

    While a run lives kinds come later than counts: to tell them apart would let what is not told yet fall.
    """
    by_type: dict[tuple[str, str], int] = {}
    examples: dict[tuple[str, str], str | None] = {}
    for kind in (known.get("dead_letters") or {}).get("by_fingerprint") or ():
        key = kind["stage"], kind["error_type"] if has_ended else ""
        by_type[key] = by_type.get(key, 0) + kind["count"]
        examples[key] = examples.get(key) or kind.get("origin")
    for label, stage in stages.items():
        of_types = {error: count for (of, error), count in by_type.items() if of == label and error}
        untold = stage["dead"] - sum(of_types.values())
        if untold > 0 or not of_types:
            example = examples.get((label, "")) if untold > 0 else None
            yield Sample(label, {ERROR_TYPE: ""}, value=max(0, untold), example=example)
        for error, count in sorted(of_types.items()):
            yield Sample(label, {ERROR_TYPE: error}, value=count, example=examples[label, error])


def _latency(stage: Mapping[str, Any]) -> Sample | None:
    """Returns the times of a stage; None where nothing was timed. Nobody has their sum."""
    cumulative = stage.get("latency_us_le") or {}
    if not cumulative.get("inf"):
        return None
    buckets = {
        NO_BOUND if bound == "inf" else repr(int(bound) / 1_000_000): count
        for bound, count in cumulative.items()
    }
    return Sample(stage["label"], buckets=buckets, count=buckets[NO_BOUND])


def _of_run(record: RunRecord, at: str) -> Iterator[Family]:
    started = record.start["started"]
    yield own.own_family(own.RUN_INFO, [Sample("", {"run": record.id, **_attributes(record)}, value=1)])
    yield own.own_family(
        own.RUN_STATUS,
        [Sample("", {"status": status}, value=int(status == record.status)) for status in STATUSES],
    )
    yield own.own_family(own.RUN_START, [Sample("", value=parse_time(started).timestamp())])
    # A run that hangs has been looked at long ago.
    until = now_text() if record.status in UNDER_WAY else at
    yield own.own_family(own.RUN_DURATION, [Sample("", value=seconds_between(started, until))])
    if record.status == "done":
        yield own.own_family(own.RUN_LAST_SUCCESS, [Sample("", value=parse_time(at).timestamp())])
    # While a run lives, what is known of windows that are over.
    told = record.end.get("balance") if record.end is not None else record.last_known.get("ledger")
    holds = (told or {}).get("holds")
    if holds is not None:
        yield own.own_family(own.RUN_BALANCED, [Sample("", value=int(holds))])


def _of_workers(record: RunRecord) -> Iterator[Family]:
    workers = record.last_known.get("workers") or ()
    seen = [worker for worker in workers if _was_seen(worker, record.as_of)]
    for name, field, told in (
        (own.WORKER_MEMORY, "memory_bytes", seen),
        (own.WORKER_MEMORY_LIMIT, "memory_limit_bytes", seen),
        (own.WORKER_CPU, "cpu_seconds", workers),
        (own.BUNDLES_FAILED, "bundles_failed", workers),
    ):
        known = [worker for worker in told if worker[field] is not None]
        yield own.own_family(
            name, [Sample("", {WORKER: worker["worker"]}, value=worker[field]) for worker in known]
        )


def _was_seen(worker: Mapping[str, Any], as_of: str | None) -> bool:
    """Returns whether a worker still told of itself when its run was looked at; at the end all did."""
    return as_of is None or parse_time(as_of).timestamp() - worker["at"] / 1e6 < WORKER_SILENCE_SECONDS


def _of_instruments(known: Mapping[str, Any]) -> Iterator[Family]:
    for told in (known.get("instruments") or {}).get("families") or ():
        samples = tuple(Sample(**sample) for sample in told["samples"])
        yield Family(told["name"], told.get("kind", COUNTER), samples, told.get("help", ""))


def _attributes(record: RunRecord) -> dict[str, str]:
    """Returns what is known of a run beside its numbers."""
    start = record.start
    options = start.get("options") or {}
    found = {
        "runner": start.get("runner"),
        "job_id": record.job_id,
        "code_version": (start.get("code") or {}).get("version"),
        "beam_version": start.get("beam_version"),
        "region": options.get("region"),
        "job_name": options.get("job_name"),
    }
    return {name: str(value) for name, value in found.items() if value}

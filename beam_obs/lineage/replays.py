"""What became of a record in other runs: in the one that it was replayed from, and in its replays."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from beam_obs.lineage.answers import Fate, Into
from beam_obs.lineage.certainty import not_recorded
from beam_obs.lineage.future import Future
from beam_obs.lineage.run_choice import no_lineage, notes_on, run_of
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import RunNotFound, Store

_LOOKED_AT = 200
"""Runs that are looked at, whether they are replays."""


def with_other_runs(store: Store, answer: Fate, everything: bool = False) -> Fate:
    """Returns an answer with what became of the record in the runs before, and in those that replayed it.

    Args:
      store: where the runs are kept.
      answer: about one run.
      everything: whether all aggregates are followed.
    """
    if answer.run is None or answer.into is None:
        return answer
    record = store.find(answer.run.id)
    origin = answer.into.origin
    before: list[Fate] = []
    evidence = RunEvidence(store, record)
    with contextlib.suppress(RunNotFound):
        while evidence.taken is not None and evidence.taken.has(origin):
            parent = store.find(str(evidence.record.start.get("parent_run")))
            evidence = RunEvidence(store, parent)
            before.insert(0, _in_run(evidence, origin, everything))
    replays = tuple(_replays(store, record, answer.into, everything))
    return dataclasses.replace(answer, before=tuple(before), replays=replays) if before or replays else answer


def _replays(store: Store, record: RunRecord, into: Into, everything: bool) -> Iterator[Fate]:
    """Gives what became of a record, and of aggregates of it that were refused, in replays of a run, and in
    replays of these."""
    newer = [one for one in store.ids(record.pipeline) if one[0] > record.id][-_LOOKED_AT:]
    later = sorted(store.read(newer), key=lambda one: one.id)
    known = {record.id: _may_be_replayed(into)}
    for one in later:
        origins = known.get(str(one.start.get("parent_run")), ())
        if not origins:
            continue
        evidence = RunEvidence(store, one)
        assert evidence.taken is not None
        for origin in origins:
            if evidence.taken.has(origin):
                found = _in_run(evidence, origin, everything)
                known[one.id] = (*known.get(one.id, ()), *_may_be_replayed(found.into))
                yield found


def _may_be_replayed(into: Into | None) -> tuple[bytes, ...]:
    """Returns the origin, and those of aggregates that were refused."""
    if into is None:
        return ()
    below = (origin for one in into.aggregates for origin in _refused(one))
    return tuple(dict.fromkeys((into.origin, *below)))


def _refused(into: Into) -> Iterator[bytes]:
    if into.dead_letters:
        yield into.origin
    for one in into.aggregates:
        yield from _refused(one)


def _in_run(evidence: RunEvidence, origin: bytes, everything: bool) -> Fate:
    run, reason = run_of(evidence.record), no_lineage(evidence)
    if reason:
        return Fate(run, not_recorded(reason), Into(origin))
    future = Future(evidence, everything)
    start = evidence.taken.given_by(origin) if evidence.taken is not None else None
    found = evidence.partition_of(origin)
    if start is None and found is not None and found[0] in evidence.partitions:
        start = found[0].source
    into = future.of(origin, start)
    sure = evidence.sure(future.certainty(into))
    return Fate(run, sure, into, notes=(*notes_on(evidence), *future.notes))

"""Kinds of refusal: dead letters by stage and fingerprint, of one run and over the runs of a pipeline.

Read from what each run's end says, without a look at the letters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from beam_obs.records.message_shape import message_shape
from beam_obs.records.public_names import public_type
from beam_obs.store.evidence import read_evidence, summarize_dead_letters
from beam_obs.store.run_record import RunRecord
from beam_obs.store.run_summary import is_finished
from beam_obs.store.source_places import place_examples
from beam_obs.store.store import Store

NEW, RECURRING, GONE = "new", "recurring", "gone"

_READ_AT_ONCE = 64

Kinds = Sequence[dict[str, Any]]
"""Kinds of refusal of a run, as in ``by_fingerprint`` of its end; examples may be left out."""

KindsOf = Callable[[Sequence[tuple[str, str]]], Iterable[tuple[str, Kinds]]]
"""Gives id and kinds of runs, each asked for by id and name of its pipeline."""

Key = tuple[str, ...]
"""Stage and fingerprint; between runs of different releases stage, type and the shape of the message."""


@dataclasses.dataclass(frozen=True)
class KindChange:
    """One kind of refusal in two runs.

    Args:
      state: ``new``, ``recurring`` or ``gone``.
      kind: the kind with an example, as in ``end.json``: of the later run, where it has it.
      before: number of letters in the earlier run.
      after: number of letters in the later run.
      since_run: the first run of the store in which it was seen; None where that was not looked for.
      since: when it was seen there first, in microseconds since the epoch.
      reached: of a kind that is gone, whether its stage took any record; None where nobody knows.
    """

    state: str
    kind: dict[str, Any]
    before: int
    after: int
    since_run: str | None = None
    since: int | None = None
    reached: bool | None = None

    @property
    def came_back(self) -> bool:
        """Whether it is new against the earlier run, but was seen in one before that."""
        return self.state == NEW and self.since is not None and self.since < self.kind["first"]

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        return {
            "state": self.state,
            "stage": self.kind["stage"],
            "fingerprint": self.kind["fingerprint"],
            "before": self.before,
            "after": self.after,
            "since_run": self.since_run,
            "since": self.since,
            "came_back": self.came_back,
            "reached": self.reached,
            "example": {name: self.kind.get(name) for name in _EXAMPLE},
        }


_EXAMPLE = ("id", "error_type", "error_message", "payload_text", "source_uri", "position", "first", "last")


@dataclasses.dataclass(frozen=True)
class PipelineKinds:
    """Kinds of refusal of a pipeline's newest finished run against those of the one before.

    Args:
      newest: the newest finished run; None where there is none.
      previous: the finished run before it; None where there is none.
      changes: new, recurring and gone kinds, in this order, each with the commonest first.
      left_out: newer runs than `previous` that were not looked at: not ended, cancelled or without counts.
    """

    newest: RunRecord | None
    previous: RunRecord | None
    changes: tuple[KindChange, ...]
    left_out: tuple[RunRecord, ...] = ()


def dead_letters_of(store: Store, record: RunRecord) -> dict[str, Any]:
    """Returns the ``dead_letters`` of a run as in ``end.json``; those so far of a run that has not ended."""
    if record.end is not None and record.end.get("dead_letters"):
        return dict(record.end["dead_letters"])
    evidence = read_evidence(store, record.folder, record.end)
    return place_examples(summarize_dead_letters(store, record.folder, evidence), evidence)


def compare_kinds(earlier: dict[str, Any], later: dict[str, Any], stages: Any = None) -> list[KindChange]:
    """Returns how the kinds of two runs differ.

    Args:
      earlier: ``dead_letters`` of the one run.
      later: ``dead_letters`` of the other.
      stages: ``stages`` of the other run's end, to tell what was not reached.
    """
    key_of = _key_of((*_kinds_of(earlier), *_kinds_of(later)))
    before, after = _by_key(earlier, key_of), _by_key(later, key_of)
    taken = {stage["label"]: stage["in"] for stage in stages or ()}
    changes = []
    for key, kind in {**before, **after}.items():
        state = RECURRING if key in before and key in after else NEW if key in after else GONE
        counts = (before[key]["count"] if key in before else 0, after[key]["count"] if key in after else 0)
        reached = (taken.get(key[0], 0) > 0 if stages else None) if state == GONE else None
        changes.append(KindChange(state, kind, *counts, reached=reached))
    order = (NEW, RECURRING, GONE)
    return sorted(
        changes, key=lambda one: (order.index(one.state), -one.after, -one.before, _fingerprint_of(one.kind))
    )


def kinds_not_among(known: Kinds, runs: Iterable[Kinds]) -> list[dict[str, Any]]:
    """Returns the kinds of some runs that are none of those that are known, each once.

    Args:
      known: kinds.
      runs: the kinds of each run; of what several have the first is given.
    """
    found: list[dict[str, Any]] = []
    for kinds in runs:
        key_of = _key_of((*known, *found, *kinds))
        told = {key_of(kind) for kind in (*known, *found)}
        found.extend({key_of(kind): kind for kind in reversed(kinds) if key_of(kind) not in told}.values())
    return found


def counts_by_run(wanted: Kinds, runs: Sequence[Kinds]) -> list[list[int]]:
    """Returns of each kind how many dead letters each run has of it.

    Args:
      wanted: the kinds.
      runs: the kinds of each run.

    >>> kind = {"stage": "parse", "fingerprint": "ab", "first": 1, "last": 2}
    >>> counts_by_run([kind], [[], [{**kind, "count": 3}]])
    [[0, 3]]
    """
    counts: list[list[int]] = [[] for _ in wanted]
    for kinds in runs:
        key_of = _key_of((*wanted, *kinds))
        seen = _by_key({"by_fingerprint": kinds}, key_of)
        for kind, of_kind in zip(wanted, counts, strict=True):
            found = seen.get(key_of(kind))
            of_kind.append(found["count"] if found is not None else 0)
    return counts


def pipeline_kinds(store: Store, pipeline: str, kinds_of: KindsOf | None = None) -> PipelineKinds:
    """Returns the kinds of a pipeline's newest finished run against the finished run before it.

    A run is finished when it is done, or failed with counts: one that was cancelled, or could not be
    built, says nothing about what is gone.

    Args:
      store: the store.
      pipeline: name of the pipeline.
      kinds_of: gives the kinds of runs where they are known already; by default they are read.
    """
    finished: list[RunRecord] = []
    left_out: list[RunRecord] = []
    ids = store.ids(pipeline)
    for record in _newest_first(store, ids):
        (finished if is_finished(record) else left_out).append(record)
        if len(finished) == 2:
            break
    newest = finished[0] if finished else None
    previous = finished[1] if len(finished) > 1 else None
    if newest is None or newest.end is None:
        return PipelineKinds(None, None, (), tuple(left_out))
    earlier = dead_letters_of(store, previous) if previous is not None else {}
    changes = compare_kinds(earlier, dead_letters_of(store, newest), newest.end.get("stages"))
    oldest_first = [one for one in reversed(ids) if one[0] <= newest.id]
    since = _first_seen(oldest_first, kinds_of or _reads_kinds(store), [change.kind for change in changes])
    dated = []
    for change in changes:
        run, first = since.get(_fingerprint_of(change.kind), (newest.id, change.kind["first"]))
        dated.append(dataclasses.replace(change, since_run=run, since=first))
    return PipelineKinds(newest, previous, tuple(dated), tuple(left_out))


def _newest_first(store: Store, ids: list[tuple[str, str]]) -> Iterator[RunRecord]:
    for start in range(0, len(ids), _READ_AT_ONCE):
        yield from store.read(ids[start : start + _READ_AT_ONCE])


def _first_seen(
    ids: Sequence[tuple[str, str]], kinds_of: KindsOf, wanted: list[dict[str, Any]]
) -> dict[Key, tuple[str, int]]:
    """Returns the first run that has each kind, and when; looks at no more runs than it must."""
    found: dict[Key, tuple[str, int]] = {}
    own = [_fingerprint_of(kind) for kind in wanted]
    asked: dict[Callable[[dict[str, Any]], Key], list[Key]] = {
        _fingerprint_of: own,
        _likeness_of: [_likeness_of(kind) for kind in wanted],
    }
    for start in range(0, len(ids), _READ_AT_ONCE):
        for run, kinds in kinds_of(ids[start : start + _READ_AT_ONCE]):
            key_of = _key_of((*wanted, *kinds))
            seen = _by_key({"by_fingerprint": kinds}, key_of)
            for mine, key in zip(own, asked[key_of], strict=True):
                if key in seen:
                    found.setdefault(mine, (run, seen[key]["first"]))
            if len(found) == len(wanted):
                return found
    return found


def _reads_kinds(store: Store) -> KindsOf:
    def kinds_of(ids: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Kinds]]:
        for record in store.read([*ids]):
            yield record.id, _kinds_of((record.end or {}).get("dead_letters") or {})

    return kinds_of


def _kinds_of(refused: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return refused.get("by_fingerprint") or ()


def _by_key(refused: dict[str, Any], key_of: Callable[[dict[str, Any]], Key]) -> dict[Key, dict[str, Any]]:
    found: dict[Key, dict[str, Any]] = {}
    for kind in _kinds_of(refused):
        same = found.setdefault(key_of(kind), kind)
        if same is not kind:
            found[key_of(kind)] = {
                **same,
                "count": same["count"] + kind["count"],
                "first": min(same["first"], kind["first"]),
                "last": max(same["last"], kind["last"]),
            }
    return found


def _key_of(kinds: Iterable[dict[str, Any]]) -> Callable[[dict[str, Any]], Key]:
    """Returns what tells these kinds apart: their fingerprints, where all of them are made of the same."""
    versions = {kind.get("fingerprint_version", 1) for kind in kinds}
    return _fingerprint_of if len(versions) <= 1 and None not in versions else _likeness_of


def _fingerprint_of(kind: dict[str, Any]) -> Key:
    return kind["stage"], kind["fingerprint"]


def _likeness_of(kind: dict[str, Any]) -> Key:
    """Returns what kinds of any release can be compared by."""
    return kind["stage"], public_type(kind["error_type"]), message_shape(kind["error_message"])

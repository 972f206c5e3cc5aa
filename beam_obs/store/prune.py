"""Removing old runs from a store, and files that were never finished: which may go, and why the others stay.

A run that may still be written to is never removed, and neither is the newest of its pipeline, unless that is
asked for: what comes next is compared with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from beam_obs.store.folder import folder_at
from beam_obs.store.leftovers import Leftover, find_leftovers
from beam_obs.store.run_record import END, START, RunRecord, now_text, seconds_between
from beam_obs.store.store import Store

YOUNG, RUNNING, OPEN, NEWEST, FAILED, LINK = "young", "running", "open", "newest", "failed", "link"
"""Why a run stays: too young, alive, its job may go on, newest of its pipeline, failed, a link elsewhere."""

UNFINISHED = "unfinished"
"""Why a file stays that is not finished: someone may be writing it."""


@dataclasses.dataclass(frozen=True)
class PrunePlan:
    """What to remove from a store.

    Args:
      remove: the runs that may go, oldest first, each with the bytes of its folder.
      kept: number of runs that stay, by reason; and of files, `UNFINISHED`.
      leftovers: files that were never finished, in the store and in the folders that were named.
    """

    remove: tuple[tuple[RunRecord, int], ...]
    kept: dict[str, int]
    leftovers: tuple[Leftover, ...] = ()


def plan_prune(
    store: Store,
    older_than_seconds: int,
    *,
    pipeline: str | None = None,
    keep_failed: bool = False,
    keep_newest: int = 1,
    include_open: bool = False,
    folders: Iterable[str] = (),
) -> PrunePlan:
    """Returns which runs may be removed. Nothing is removed yet.

    Args:
      store: the store.
      older_than_seconds: how long ago a run must have ended, or given its last sign of life.
      pipeline: name of the pipeline; None for all.
      keep_failed: whether runs that failed or were lost stay.
      keep_newest: how many of the newest runs of each pipeline stay whatever their age; those that are
        running or open do not count.
      include_open: whether runs may go whose job was left to its runner, and templates.
      folders: where to look for files that were never finished beside the store, e.g. of dead letters.
    """
    now = now_text()
    settled: dict[str, int] = {}
    remove: list[RunRecord] = []
    kept = dict.fromkeys((YOUNG, RUNNING, OPEN, NEWEST, FAILED, LINK, UNFINISHED), 0)
    ended: dict[str, bool] = {}
    for record in store.runs(pipeline):
        status = record.status
        ended[record.folder] = status not in ("running", "submitted", "template")
        is_open = status in ("submitted", "template")
        is_newest = False
        if status != "running" and not is_open:
            settled[record.pipeline] = settled.get(record.pipeline, 0) + 1
            is_newest = settled[record.pipeline] <= keep_newest
        if status == "running":
            kept[RUNNING] += 1
        elif seconds_between(_last_sign(record), now) < older_than_seconds:
            kept[YOUNG] += 1
        elif is_open and not include_open:
            kept[OPEN] += 1
        elif is_newest:
            kept[NEWEST] += 1
        elif keep_failed and status in ("failed", "lost"):
            kept[FAILED] += 1
        else:
            remove.append(record)
    files = store.files.listed("" if pipeline is None else f"runs/{pipeline}")
    sizes: dict[str, int] = {}
    for file in files:
        run = "/".join(file.path.split("/", 3)[:3])
        sizes[run] = sizes.get(run, 0) + file.size
    # No link is gone through: a run of which there is no file is one.
    sized = [(record, sizes[record.folder]) for record in reversed(remove) if record.folder in sizes]
    kept[LINK] = len(remove) - len(sized)
    gone = {record.folder for record, _ in sized}
    found = [find_leftovers(store.files, older_than_seconds, ended, gone, files)]
    found += [find_leftovers(folder_at(folder), older_than_seconds) for folder in folders]
    kept[UNFINISHED] = sum(each.kept for each in found)
    return PrunePlan(
        tuple(sized),
        {reason: number for reason, number in kept.items() if number},
        tuple(leftover for each in found for leftover in each.remove),
    )


def prune(store: Store, runs: Iterable[RunRecord]) -> list[tuple[RunRecord, str]]:
    """Removes runs; returns those that could not be, each with what the filesystem said.

    What tells that there is a run goes last, so that one whose removal was interrupted is still seen.
    """
    records = list(runs)
    problems = store.files.delete_folders([record.folder for record in records], last=(END, START))
    return [(record, problem) for record, problem in zip(records, problems, strict=True) if problem]


def _last_sign(record: RunRecord) -> str:
    if record.end is not None and record.end.get("finished"):
        return str(record.end["finished"])
    return str((record.heartbeat or {}).get("at") or record.start["started"])

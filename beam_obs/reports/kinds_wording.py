"""What is said of kinds of refusal over the runs of a pipeline: the same on a terminal and on pages."""

from __future__ import annotations

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import moment_text
from beam_obs.store.kinds_of_refusal import KindChange, PipelineKinds
from beam_obs.store.run_record import RunRecord


def since_text(change: KindChange, found: PipelineKinds) -> str:
    """Returns since when there is a kind; empty where that is the newest run."""
    newest = found.newest.id if found.newest is not None else None
    if change.since_run is None or change.since is None or change.since_run == newest:
        return ""
    again = "came back: " if change.came_back else ""
    return f"{again}first seen {moment_text(change.since)} in run {change.since_run[:SHORT_ID]}"


def unreached_text(change: KindChange) -> str:
    """Returns why a kind may be gone only since nothing came; empty where something did."""
    return "its stage took no record in the newest run" if change.reached is False else ""


def may_be_there_text(record: RunRecord) -> str:
    """Returns why what a run does not have may be there still; empty where it is not."""
    failed = (record.end or {}).get("counts_from") == "live"
    return "it failed on its way: what is not in it may be there still" if failed else ""


def left_out_text(found: PipelineKinds) -> str:
    """Returns which runs were not looked at; empty where all were."""
    if not found.left_out:
        return ""
    return f"left out: {counted(len(found.left_out), 'run')} without an end, or cancelled"

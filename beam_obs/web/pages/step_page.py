"""One step of a run: its counts and times, what it refused and why, what was not checked, its code."""

from __future__ import annotations

import itertools

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.reports.marked_graph import NoStepsYet
from beam_obs.reports.run_so_far import with_refusals
from beam_obs.reports.step_detail import StepDetail, stage_of_kind, step_detail
from beam_obs.store.evidence import Standing
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.web.page import NotThere, Page
from beam_obs.web.pages.run_page import MOST_READ, is_live_run
from beam_obs.web.step_rows import share_bar
from beam_obs.web.stored_runs import StoredRuns

_SAMPLES = 5
_SHOWN_KINDS = 8


def step_page(runs: StoredRuns, selector: str, label: str | None) -> Page:
    """Returns the page of a step.

    Raises:
      NotThere: no steps of the run are known.
      RunNotFound: there is no such run.
      UnknownName: the run has no such step.
    """
    record = with_refusals(runs.find(selector), runs.store, MOST_READ)
    try:
        detail = step_detail(record, label or "")
    except NoStepsYet as error:
        raise NotThere(str(error)) from None
    values = {
        "run": record,
        "detail": detail,
        "step": detail.step,
        "bar": share_bar(detail.step),
        "most": max((bucket.count for bucket in detail.latency), default=0),
        "timed": sum(bucket.count for bucket in detail.latency),
        "kinds": [{**kind, "of_stage": stage_of_kind(kind)} for kind in detail.kinds[:_SHOWN_KINDS]],
        "more_kinds": max(0, len(detail.kinds) - _SHOWN_KINDS),
        "samples": _samples(runs, record, detail),
        "is_live": is_live_run(record),
    }
    return Page("step.html", f"{detail.step.label} of {record.pipeline}", values)


def _samples(runs: StoredRuns, record: RunRecord, detail: StepDetail) -> list[DeadLetter]:
    """Returns a few of the dead letters of a step, besides those that stand for their kinds."""
    shown = {kind.get("id") for kind in detail.kinds[:_SHOWN_KINDS]}
    letters = (
        letter
        for stage in detail.refusing_stages
        for letter, standing in placed_letters(runs.store, record, WantedLetters(stage))
        if standing is not Standing.SUPERSEDED and letter.id not in shown
    )
    return list(itertools.islice(letters, _SAMPLES))

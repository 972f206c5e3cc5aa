"""A pipeline over its runs: how many records came and went, what was refused, how long it took."""

from __future__ import annotations

from beam_obs.store.history import history_of_runs, history_of_step, steps_over_runs
from beam_obs.store.pipeline_state import pipeline_state
from beam_obs.store.run_record import now_text
from beam_obs.store.unknown_name import UnknownName
from beam_obs.web.page import Page
from beam_obs.web.run_bars import SHOWN_RUNS
from beam_obs.web.stored_runs import StoredRuns

SIZES = (30, 100, 300, 1_000)
"""Runs that one page may have."""
USUAL_SIZE = 100
_TELL_STEPS = 3


def history_page(
    runs: StoredRuns,
    name: str,
    step: str | None = None,
    size: int = USUAL_SIZE,
    number: int = 1,
    seen: str | None = None,
) -> Page:
    """Returns the page of a pipeline.

    Args:
      runs: the runs of the store.
      name: of the pipeline.
      step: label of the step that is shown; None for the whole.
      size: runs on a page, one of `SIZES`.
      number: of the page, from 1, which has the newest.
      seen: id and status of the newest run, where only what came since is asked for.

    Raises:
      RunNotFound: there is no such pipeline.
      UnknownName: none of these runs has such a step.
    """
    ids = runs.ids(name)
    if not ids:
        runs.store.check_pipeline(name)
    size = min(SIZES, key=lambda one: abs(one - size))
    pages = max(1, -(-len(ids) // size))
    number = min(max(number, 1), pages)
    first = (number - 1) * size
    shown = ids[first : first + size]
    # Which steps there are the newest of them tells, unless one is asked for.
    counts = runs.step_counts(shown if step is not None else shown[:_TELL_STEPS])
    # One more, which the last of the page is compared with.
    found = runs.summaries([*ids[:SHOWN_RUNS], *ids[first : first + size + 1]])
    newest = found[ids[0][0]]
    told = f"{newest.id} {newest.status}"
    on_page = [found[run] for run, _ in shown]
    labels = steps_over_runs([run.id for run in on_page], counts)
    if step is not None and step not in labels:
        raise UnknownName(f"no run of pipeline {name!r} that is shown has a step {step!r}", step, labels)
    points = history_of_runs(on_page) if step is None else history_of_step(on_page, counts, step)
    last, is_sure = runs.last_success(ids, runs.until())
    of_newest = [found[run] for run, _ in ids[:SHOWN_RUNS]]
    state = pipeline_state(name, of_newest, last, now_text(), runs.schedules.get(name))
    older = [run for run, _ in ids[first + 1 : first + size + 1]]
    values = {
        "name": name,
        "state": state,
        "is_sure": is_sure,
        "count": len(ids),
        "points": [(point, older[at] if at < len(older) else None) for at, point in enumerate(points)],
        "steps": labels,
        "step": step,
        "has_times": any(point.p50_us is not None for point in points),
        "size": size,
        "sizes": [one for one in SIZES if one == SIZES[0] or one < 2 * len(ids)],
        "number": number,
        "pages": pages,
        "first": first,
        "told": told,
        "is_news": seen is not None and seen != told,
    }
    status = 204 if seen == told else 200
    return Page("history.html", name, values, status)

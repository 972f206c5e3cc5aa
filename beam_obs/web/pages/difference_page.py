"""The difference of two runs: where it begins, and what else is not as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import bytes_text, clean
from beam_obs.reports.balance_text import balance_text
from beam_obs.reports.difference_wording import (
    changed_further,
    changed_pairs,
    counted_steps,
    digest_text,
    kind_counts_text,
    nothing_first_text,
    numbers_text,
    percent_text,
    reasons_text,
    shown_kinds,
    value_text,
)
from beam_obs.reports.store_argument import store_argument
from beam_obs.store.dataset_difference import SAME, UNKNOWN, DatasetChange
from beam_obs.store.difference import compare_runs
from beam_obs.store.kinds_of_refusal import GONE, NEW
from beam_obs.store.run_record import RunRecord
from beam_obs.store.step_difference import StepChange
from beam_obs.web.page import Elsewhere, NotThere, Page
from beam_obs.web.stored_runs import StoredRuns

ARROW = "→"
_SHOWN = 50
"""Files of an input, and kinds of refusal: of more the number is told."""


class DatasetRow(NamedTuple):
    """A dataset that is not as it was.

    Args:
      change: how it differs.
      records: its numbers of records.
      percent: their relative change.
      digests: what is known of its content.
      files: name, state and sizes of files that differ.
      more: how many files more do, and how many are the same.
    """

    change: DatasetChange
    records: str
    percent: str
    digests: str
    files: list[tuple[str, str, str]]
    more: str


def chosen_difference(before: str | None, after: str | None) -> Elsewhere:
    """Returns where the difference of two runs is that were chosen in a form.

    Raises:
      NotThere: two were not chosen.
    """
    if not before or not after:
        raise NotThere("Two runs are compared: choose one to compare from, and one to compare to.")
    return Elsewhere(lambda links: links.difference(before, after))


def difference_page(runs: StoredRuns, earlier: str, later: str) -> Page:
    """Returns the page of the difference of two runs.

    Raises:
      RunNotFound: there is no such run, or more than one.
    """
    before, after = runs.find(earlier), runs.find(later)
    difference = compare_runs(runs.store, before, after)
    changed = [step for step in difference.steps if step.state != SAME]
    names = counted_steps(changed)
    kinds = shown_kinds(difference.kinds)
    values = {
        "runs": (("before", before, _balance(before)), ("after", after, _balance(after))),
        "before": before,
        "after": after,
        "nothing": nothing_first_text(difference),
        "has_counts": bool(difference.steps),
        "first": _reasons(difference.first),
        "further": _reasons(changed_further(difference)),
        "pairs": [
            ("Code", _values(difference.code), value_text(difference.code["version"][1])),
            ("Options", _values(difference.options), ""),
        ],
        "datasets": [
            (title, [_dataset(one, title) for one in datasets if one.state != SAME], len(datasets))
            for title, datasets in (("Inputs", difference.inputs), ("Outputs", difference.outputs))
        ],
        "steps": [_step(step, names) for step in changed],
        "step_counts": names,
        "same_steps": len(difference.steps) - len(changed),
        "kinds": [(kind, numbers_text((kind.before, kind.after), ARROW)) for kind in kinds[:_SHOWN]],
        "kinds_text": kind_counts_text(difference.kinds),
        "more_kinds": max(0, len(kinds) - _SHOWN),
        "gone": GONE,
        "command": f"beam-obs diff {before.id} {after.id}{store_argument(runs.store)}",
    }
    return Page(
        "difference.html", f"{before.pipeline}: {before.id[:SHORT_ID]} {ARROW} {after.id[:SHORT_ID]}", values
    )


def _balance(record: RunRecord) -> tuple[str, bool]:
    balance = (record.end or {}).get("balance")
    return (balance_text(balance), balance.get("holds") is False) if balance else ("", False)


def _reasons(steps: Sequence[StepChange]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(step.label, step.state, reasons_text(step, ARROW)) for step in steps]


def _values(pairs: Any) -> list[tuple[str, str, str]]:
    changed = changed_pairs(pairs).items()
    return [(name, value_text(before), value_text(after)) for name, (before, after) in changed]


def _dataset(change: DatasetChange, title: str) -> DatasetRow:
    known = None not in change.records
    noun = "record" if change.records == (1, 1) else "records"
    digests = ""
    if any(change.digest):
        digests = f"digest {f' {ARROW} '.join(map(digest_text, change.digest))}"
    elif change.state == UNKNOWN:
        digests = "no versions" if title == "Inputs" else "no digests"
    files = [
        (
            file["name"],
            file["state"],
            f" {ARROW} ".join(dict.fromkeys(bytes_text(size) for size in file["bytes"] if size is not None)),
        )
        for file in change.files[:_SHOWN]
    ]
    more = len(change.files) - len(files)
    rest = f"and {more:,} more; " if more > 0 else ""
    return DatasetRow(
        change,
        f"{numbers_text(change.records, ARROW)} {noun}" if known else "",
        percent_text(change.records) if known else "",
        digests,
        files,
        f"{rest}{counted(change.same_files, 'file')} the same" if files else "",
    )


def _step(step: StepChange, names: Sequence[str]) -> dict[str, Any]:
    cells = []
    for name in names:
        pair = step.counts.get(name)
        differs = pair is not None and pair[0] != pair[1]
        cells.append(
            {
                "name": name,
                "text": numbers_text(pair, ARROW) if pair is not None else "",
                "percent": percent_text(pair) if pair is not None and name in ("in", "out") else None,
                "differs": differs,
            }
        )
    return {
        "label": clean(step.label),
        "state": step.state if step.state in (NEW, GONE) else "",
        "is_first": step.is_first,
        "cells": cells,
    }

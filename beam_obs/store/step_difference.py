"""How the steps of two runs differ, and at which of them a difference begins.

A step changed first where it changed and none upstream of it did. Its own change is told apart from what
follows from fewer or more records.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.store.dataset_difference import CHANGED, SAME, UNKNOWN, DatasetChange, Pair, pair_of
from beam_obs.store.kinds_of_refusal import GONE, NEW, KindChange
from beam_obs.store.run_record import RunRecord

GIVEN = "given"
_OWN_CODE = {
    CHANGED: "its code changed",
    GIVEN: "it was given other values: arguments, defaults, or what its code takes from around it",
}

_STAGE_COUNTS = ("in", "out", "dead", "filtered", "dropped")
_SHARES = {"out": "passes on", "dead": "refuses", "filtered": "filters", "dropped": "drops"}
_LINE_OF_LAMBDA = re.compile(r"(?<=<lambda at )[^<>]{1,300}(?=>)")
_LEAST_POINTS = 0.005
"""A step changed of its own where a share of its records moved by half a percentage point."""


@dataclasses.dataclass(frozen=True)
class StepChange:
    """A step in two runs.

    Args:
      label: full label.
      state: ``same``, ``changed``, ``new`` or ``gone``.
      is_stage: whether it is a stage in either run.
      counts: numbers of records by name: in, out, and of stages dead, filtered, dropped.
      after: labels of the steps that it takes from.
      is_first: whether it changed and no step upstream of it did.
      own: what changed at the step itself, in words; not what follows from fewer or more records.
      code: whether its code is the ``same``, ``changed``, or ``unknown``; or it was ``given`` other values.
    """

    label: str
    state: str
    is_stage: bool
    counts: Mapping[str, Pair]
    after: tuple[str, ...]
    is_first: bool = False
    own: tuple[str, ...] = ()
    code: str = UNKNOWN


def compare_steps(
    before: dict[str, dict[str, Any]],
    after: dict[str, dict[str, Any]],
    inputs: tuple[DatasetChange, ...],
    outputs: tuple[DatasetChange, ...],
    kinds: tuple[KindChange, ...],
) -> tuple[StepChange, ...]:
    """Returns how steps differ, going downstream; nothing where a run has no counts.

    Args:
      before: the steps of the one run, by label (`steps_of`).
      after: those of the other.
      inputs: how what was read differs.
      outputs: how what was written does.
      kinds: how the kinds of refusal do.
    """
    told = _renamed(before, _names_now(list(before), list(after))), after
    if not all(told):
        return ()
    upstream: dict[str, tuple[str, ...]] = {}
    changed: set[str] = set()
    """Labels of the steps that changed, or have one upstream that did."""
    found = []
    for label in _merged(list(told[0]), list(told[1])):
        steps = told[0].get(label), told[1].get(label)
        counts = _counts(*steps)
        code = _own_code(*steps)
        own = (*_own_data(label, inputs, outputs), *_own_shares(counts), *_own_kinds(label, kinds))
        if code in _OWN_CODE:
            own = (_OWN_CODE[code], *own)
        state = NEW if steps[0] is None else GONE if steps[1] is None else SAME
        if state == SAME and (own or any(pair[0] != pair[1] for pair in counts.values())):
            state = CHANGED
        upstream[label] = tuple((steps[1] or steps[0] or {}).get("after") or ())
        if state in (NEW, GONE):
            own = (f"the step is {state}", *own)
        follows = any(one in changed for one in upstream[label])
        if state != SAME or follows:
            changed.add(label)
        is_stage = any(step is not None and step.get("is_stage") for step in steps)
        is_first = state != SAME and not follows
        found.append(StepChange(label, state, bool(is_stage), counts, upstream[label], is_first, own, code))
    return tuple(found)


def steps_of(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Returns the steps of a run by label, in the order of the graph, with counts and code."""
    end, coded = record.end or {}, record.start.get("step_code") or {}
    stages = {stage["label"]: stage for stage in end.get("stages") or ()}
    if end.get("counts_from") is None:
        return {}
    steps = end.get("steps") or [{"label": label, "is_stage": True} for label in stages]
    told: dict[str, dict[str, Any]] = {}
    last: list[str] = []
    for step in steps:
        label = step["label"]
        code = {"made_by": coded.get("made_by"), "parts": _parts_of(label, coded.get("steps") or {})}
        # A run of an older release does not say what a step takes from: the one before it is taken.
        told[label] = {"after": last, **step, **stages.get(label, {}), "code": code}
        last = [label]
    return told


def _parts_of(label: str, steps: Mapping[str, Any]) -> list[Any]:
    """Returns the digests of the code of a step and of the steps in it, in the order of the graph."""
    return [code for part, code in steps.items() if part == label or part.startswith(f"{label}/")]


def _own_code(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    codes = [step["code"] for step in (before, after) if step is not None]
    parts = [code["parts"] for code in codes]
    makers = {code["made_by"] for code in codes}
    if (
        len(codes) < 2
        or len(makers) > 1
        or None in makers
        or any(len(code) != 2 for of_step in parts for code in of_step)
    ):
        return UNKNOWN
    if [code for code, _ in parts[0]] != [code for code, _ in parts[1]]:
        return CHANGED
    return SAME if parts[0] == parts[1] else GIVEN


def _names_now(before: list[str], after: list[str]) -> dict[str, str]:
    """Returns what steps that are named by the line of their lambda are called in the later run.

    >>> _names_now(["a", "Map(<lambda at job.py:7>)"], ["a", "Map(<lambda at job.py:9>)"])
    {'Map(<lambda at job.py:7>)': 'Map(<lambda at job.py:9>)'}
    """
    groups: tuple[dict[str, list[str]], ...] = ({}, {})
    for labels, by_name in zip((before, after), groups, strict=True):
        for label in labels:
            name = _LINE_OF_LAMBDA.sub("?", label)
            if name != label:
                by_name.setdefault(name, []).append(label)
    return {
        old: new
        for name, labels in groups[0].items()
        if len(labels) == len(groups[1].get(name, ()))
        for old, new in zip(labels, groups[1][name], strict=True)
    }


def _renamed(told: dict[str, dict[str, Any]], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {
        names.get(label, label): step | {"after": [names.get(one, one) for one in step["after"] or ()]}
        for label, step in told.items()
    }


def _merged(before: list[str], after: list[str]) -> list[str]:
    """Returns the steps of both runs: those of the later, each that is gone behind the one it followed."""
    merged = list(after)
    for position, label in enumerate(before):
        if label not in merged:
            merged.insert(merged.index(before[position - 1]) + 1 if position else 0, label)
    return merged


def _counts(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Pair]:
    """Returns the numbers that both runs have of a step; of a step of one run, those that it has."""
    counts = {}
    for name in _STAGE_COUNTS:
        pair = pair_of(step.get(name) if step is not None else None for step in (before, after))
        known = [value is not None for value in pair]
        if all(known) or (any(known) and None in (before, after)):
            counts[name] = pair
    return counts


def _own_data(
    label: str, inputs: tuple[DatasetChange, ...], outputs: tuple[DatasetChange, ...]
) -> Iterable[str]:
    for dataset in inputs:
        if dataset.label == label and dataset.files:
            states = [file["state"] for file in dataset.files]
            told = [f"{states.count(state):,} {state}" for state in (NEW, CHANGED, GONE) if state in states]
            yield f"files: {', '.join(told)}, {dataset.same_files:,} the same"
    for dataset in outputs:
        if dataset.label == label and dataset.state == CHANGED and dataset.records[0] == dataset.records[1]:
            yield "as many records, with another digest"


def _own_shares(counts: Mapping[str, Pair]) -> Iterable[str]:
    taken = counts.get("in")
    if taken is None or not all(taken):
        return
    for name, verb in _SHARES.items():
        if name in counts:
            shares = [value / of for value, of in zip(counts[name], taken, strict=True)]
            if abs(shares[1] - shares[0]) >= _LEAST_POINTS:
                yield f"{verb} {_share(shares[1])} of its records, before {_share(shares[0])}"


def _share(share: float) -> str:
    return f"{share:.2f} times as many" if share > 1 else f"{share:.1%}"


def _own_kinds(label: str, kinds: tuple[KindChange, ...]) -> Iterable[str]:
    for state in (NEW, GONE):
        number = sum(kind.state == state and kind.kind["stage"] == label for kind in kinds)
        if number:
            yield f"{number:,} kind{'s' if number > 1 else ''} of refusal {state}"

"""How two runs differ: code, options, inputs, counts of each step, kinds of refusal and outputs.

And where the difference begins: of the steps that changed, those with no changed step upstream. Made from
what the store has of the two runs; what neither run noted is never called the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.store.folding import folded_record
from beam_obs.store.kinds_of_refusal import GONE, NEW, KindChange, compare_kinds, dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store

SAME, CHANGED, UNKNOWN = "same", "changed", "unknown"
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

Pair = tuple[Any, Any]
"""A value in the earlier run and in the later one; None where it is not there."""


@dataclasses.dataclass(frozen=True)
class DatasetChange:
    """An input or output in two runs.

    Args:
      label: full label of its step.
      name: what the pipeline calls it.
      state: ``same``, ``changed``, ``new``, ``gone`` or ``unknown``: of inputs by the versions of their
        files, of outputs by digest.
      uri: pattern or prefix.
      records: numbers of records.
      digest: order-free digests of the records, of outputs.
      files: of inputs the files that are new, gone or changed: name, state, versions and bytes.
      same_files: of inputs the number of files with the same version.
    """

    label: str
    name: str
    state: str
    uri: Pair
    records: Pair
    digest: Pair
    files: tuple[dict[str, Any], ...] = ()
    same_files: int = 0


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


@dataclasses.dataclass(frozen=True)
class RunDifference:
    """How two runs differ.

    Args:
      before: the one run.
      after: the other.
      code: what differs of code, runner and Beam, by name; the code's version in any case.
      options: the options that differ, by name.
      inputs: what was read.
      steps: the steps in the order of the graph, going downstream; none where a run has no counts.
      kinds: kinds of refusal.
      outputs: what was written.
    """

    before: RunRecord
    after: RunRecord
    code: Mapping[str, Pair]
    options: Mapping[str, Pair]
    inputs: tuple[DatasetChange, ...]
    steps: tuple[StepChange, ...]
    kinds: tuple[KindChange, ...]
    outputs: tuple[DatasetChange, ...]

    @property
    def first(self) -> tuple[StepChange, ...]:
        """The steps that changed first."""
        return tuple(step for step in self.steps if step.is_first)

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values; pairs as lists of the value before and after."""
        return {
            "before": _run_json(self.before),
            "after": _run_json(self.after),
            "first": [step.label for step in self.first],
            "code": dict(self.code),
            "options": dict(self.options),
            "inputs": [dataclasses.asdict(dataset) for dataset in self.inputs],
            "steps": [dataclasses.asdict(step) for step in self.steps],
            "dead_letters": [kind.to_json() for kind in self.kinds],
            "outputs": [dataclasses.asdict(dataset) for dataset in self.outputs],
        }


def compare_runs(store: Store, before: RunRecord, after: RunRecord) -> RunDifference:
    """Returns how two runs differ.

    Args:
      store: where both are kept.
      before: the one run.
      after: the other.
    """
    rows = folded_record(before), folded_record(after)
    ends = rows[0].end or {}, rows[1].end or {}
    inputs = _datasets(
        *(end.get("inputs") or run.start.get("inputs") or [] for end, run in _with(ends, *rows)),
        by_files=True,
    )
    outputs = _datasets(*(end.get("outputs") or [] for end in ends), by_files=False)
    letters = dead_letters_of(store, rows[0]), dead_letters_of(store, rows[1])
    kinds = tuple(compare_kinds(*letters, ends[1].get("stages")))
    steps = _steps(_told(rows[0]), _told(rows[1]), inputs, outputs, kinds)
    return RunDifference(
        before, after, _code(before, after), _options(before, after), inputs, steps, kinds, outputs
    )


def relative_change(pair: Pair) -> float | None:
    """Returns the change as a share of the value before; None where there is none to compare with.

    >>> relative_change((200, 150)), relative_change((0, 3))
    (-0.25, None)
    """
    before, after = pair
    return (after - before) / before if before and after is not None else None


def _with(
    ends: tuple[dict[str, Any], dict[str, Any]], *runs: RunRecord
) -> Iterable[tuple[dict[str, Any], RunRecord]]:
    return zip(ends, runs, strict=True)


def _run_json(record: RunRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "pipeline": record.pipeline,
        "status": record.status,
        "started": record.start["started"],
        "seconds": record.seconds,
        "dead": record.refused,
        "balance": (record.end or {}).get("balance"),
    }


def _code(before: RunRecord, after: RunRecord) -> dict[str, Pair]:
    starts = before.start, after.start
    pairs: dict[str, Pair] = {
        name: _pair((start.get("code") or {}).get(name) for start in starts)
        for name in ("version", "package", "program")
    }
    pairs |= {
        name: _pair(start.get(name) for start in starts)
        for name in ("beam_version", "python_version", "runner")
    }
    return {name: pair for name, pair in pairs.items() if name == "version" or pair[0] != pair[1]}


def _options(before: RunRecord, after: RunRecord) -> dict[str, Pair]:
    given = before.start.get("options") or {}, after.start.get("options") or {}
    pairs = {name: _pair(options.get(name) for options in given) for name in sorted({*given[0], *given[1]})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _pair(values: Iterable[Any]) -> Pair:
    first, second = values
    return first, second


def _datasets(
    before: list[dict[str, Any]], after: list[dict[str, Any]], *, by_files: bool
) -> tuple[DatasetChange, ...]:
    found = [{dataset["label"]: dataset for dataset in datasets} for datasets in (before, after)]
    labels = list(dict.fromkeys((*found[1], *found[0])))
    return tuple(_dataset(label, found[0].get(label), found[1].get(label), by_files) for label in labels)


def _dataset(
    label: str, before: dict[str, Any] | None, after: dict[str, Any] | None, by_files: bool
) -> DatasetChange:
    both = before or {}, after or {}
    records, digest = _pair(one.get("records") for one in both), _pair(one.get("digest") for one in both)
    files, same = _files(*(_versions(one) for one in both)) if by_files else ([], 0)
    if before is None or after is None:
        state = NEW if before is None else GONE
    elif by_files:
        known = bool(files or same) and all(
            version is not None for one in both for version, _ in _versions(one).values()
        )
        state = CHANGED if files or records[0] != records[1] else SAME if known else UNKNOWN
    elif None in digest:
        state = CHANGED if records[0] != records[1] else UNKNOWN
    else:
        state = SAME if digest[0] == digest[1] else CHANGED
    name = (after or before or {}).get("name") or label
    return DatasetChange(
        label, name, state, _pair(one.get("uri") for one in both), records, digest, tuple(files), same
    )


def _versions(dataset: dict[str, Any]) -> dict[str, tuple[str | None, int]]:
    """Returns version and bytes of each file, whichever ranges of it were read."""
    found: dict[str, tuple[str | None, int]] = {}
    for file in dataset.get("files") or ():
        found[file.get("name") or file["uri"]] = file.get("version"), file.get("size") or 0
    return found


def _files(
    before: dict[str, tuple[str | None, int]], after: dict[str, tuple[str | None, int]]
) -> tuple[list[dict[str, Any]], int]:
    changes, same = [], 0
    for name in sorted({*before, *after}):
        versions = _pair(files[name][0] if name in files else None for files in (before, after))
        if name in before and name in after and versions[0] == versions[1]:
            same += 1
            continue
        state = NEW if name not in before else GONE if name not in after else CHANGED
        sizes = _pair(files[name][1] if name in files else None for files in (before, after))
        changes.append({"name": name, "state": state, "version": versions, "bytes": sizes})
    return changes, same


def _steps(
    before: dict[str, dict[str, Any]],
    after: dict[str, dict[str, Any]],
    inputs: tuple[DatasetChange, ...],
    outputs: tuple[DatasetChange, ...],
    kinds: tuple[KindChange, ...],
) -> tuple[StepChange, ...]:
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


def _told(record: RunRecord) -> dict[str, dict[str, Any]]:
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
        pair = _pair(step.get(name) if step is not None else None for step in (before, after))
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

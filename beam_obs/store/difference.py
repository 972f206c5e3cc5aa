"""How two runs differ: code, options, inputs, counts of each step, kinds of refusal and outputs.

And where the difference begins: of the steps that changed, those with no changed step upstream. Made from
what the store has of the two runs; what neither run noted is never called the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.store.dataset_difference import DatasetChange, Pair, compare_datasets, pair_of
from beam_obs.store.folding import folded_record
from beam_obs.store.kinds_of_refusal import KindChange, compare_kinds, dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.step_difference import StepChange, compare_steps, steps_of
from beam_obs.store.store import Store


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
    inputs = compare_datasets(
        *(end.get("inputs") or run.start.get("inputs") or [] for end, run in _with(ends, *rows)),
        by_files=True,
    )
    outputs = compare_datasets(*(end.get("outputs") or [] for end in ends), by_files=False)
    letters = dead_letters_of(store, rows[0]), dead_letters_of(store, rows[1])
    kinds = tuple(compare_kinds(*letters, ends[1].get("stages")))
    steps = compare_steps(steps_of(rows[0]), steps_of(rows[1]), inputs, outputs, kinds)
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
        name: pair_of((start.get("code") or {}).get(name) for start in starts)
        for name in ("version", "package", "program")
    }
    pairs |= {
        name: pair_of(start.get(name) for start in starts)
        for name in ("beam_version", "python_version", "runner")
    }
    return {name: pair for name, pair in pairs.items() if name == "version" or pair[0] != pair[1]}


def _options(before: RunRecord, after: RunRecord) -> dict[str, Pair]:
    given = before.start.get("options") or {}, after.start.get("options") or {}
    pairs = {name: pair_of(options.get(name) for options in given) for name in sorted({*given[0], *given[1]})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

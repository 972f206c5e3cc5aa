"""The steps of a run as people see them: a composite of Beam's own library, or of ours, is one row.

What is a row is settled when the run ends (`beam_obs.runs.one_row`) and kept beside the steps, of which none
is left out. Runs of before that are folded too, as far as their datasets and names tell.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_obs.store.acyclic import drop_circles
from beam_obs.store.run_record import RunRecord

WITHIN = "within"
"""Field of a kind of dead letters: the part of its row that refused the records; empty where it has none."""

_INFERENCE = re.compile(r"(.*?)(?:/RunInference)?/BeamML_RunInference")
_SUMS = ("dead", "filtered", "dropped", "late", "internal_errors", "broken", "retried")


def folded_record(record: RunRecord, all_steps: bool = False) -> RunRecord:
    """Returns a run as people see it.

    Args:
      record: the run.
      all_steps: whether steps within a composite are to have rows of their own.
    """
    end = None if record.end is None else folded(record.end, all_steps)
    live = None if record.live is None else folded(record.live, all_steps)
    inputs = record.start.get("inputs")
    start = {**record.start, "inputs": _inputs(inputs)} if inputs else record.start
    return dataclasses.replace(record, start=start, end=end, live=live)


def folded(end: Mapping[str, Any], all_steps: bool = False) -> dict[str, Any]:
    """Returns ``end.json`` with steps, edges, stages and kinds of refusal by row; what was checked, and how
    often, stays as it is.

    A write's row gives what it wrote, not the names of its files; where that is not known it gives nothing.

    Args:
      end: content of ``end.json``, of any release, or of ``live.json``.
      all_steps: whether steps within a composite are to have rows of their own.

    >>> steps = [{"label": "w/Observed", "in": 3, "out": 3}, {"label": "w/Write", "in": 3, "out": 1}]
    >>> row = {"label": "w", "in": 3, "writes": True, "failed": 0, "files": 1}
    >>> [(row["label"], row["in"], row["out"]) for row in folded(
    ...     {"status": "done", "steps": steps, "composites": [row]})["steps"]]
    [('w', 3, 3)]
    """
    return _Folding(end, all_steps).end()


def kinds_by_row(end: Mapping[str, Any] | None, kinds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns kinds of refusal with the row that they are of as ``stage``, and `WITHIN` for the part of it.

    Args:
      end: content of ``end.json`` of their run; None before it has ended.
      kinds: as in its ``dead_letters``.
    """
    folding = _Folding(end or {}, False)
    return [folding.kind(kind) for kind in kinds]


class _Folding:
    """An end while it is folded."""

    def __init__(self, end: Mapping[str, Any], all_steps: bool) -> None:
        self._told = end
        self._all_steps = all_steps
        self._steps: dict[str, Mapping[str, Any]] = {step["label"]: step for step in end.get("steps") or ()}
        self._stages = {stage["label"]: stage for stage in end.get("stages") or ()}
        known = end.get("composites")
        composites = _composites_of_old(end) if known is None else known
        if all_steps:
            composites = [one for one in composites if one["label"] in self._steps]
        self._composites = {one["label"]: one for one in composites}
        self._rows: dict[str, list[str]] = {}
        for label in self._steps:
            self._rows.setdefault(self.row_of(label), []).append(label)

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - lives as long as one folding
    def row_of(self, label: str) -> str:
        """Returns the row that a step, or a part of one, is in; the label itself where it is in none."""
        parts = label.split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        return next((one for one in above if one in self._composites), label)

    def end(self) -> dict[str, Any]:
        """Returns the end."""
        told = self._told
        rows = {label: self._row(label, parts) for label, parts in self._rows.items()}
        end = {
            **told,
            "stages": self._stages_by_row(rows),
            "inputs": _inputs(told.get("inputs") or []),
            "outputs": self._outputs(rows),
            "dead_letters": self._refusals(),
            "balance": self._balance(),
            "checks": [{**one, "stage": self.row_of(one["stage"])} for one in told.get("checks") or ()],
        }
        if told.get("steps"):
            end["steps"] = list(rows.values())
        if told.get("edges") is not None:
            end["edges"] = list(self._edges(rows))
        if any(label not in self._steps for label in rows):
            drop_circles(end, [])
        return end

    # Rows.

    def _row(self, label: str, parts: list[str]) -> dict[str, Any]:
        steps = [self._steps[part] for part in parts]
        of_whole = self._composites.get(label)
        row = {
            **steps[0],
            "label": label,
            "is_stage": any(step.get("is_stage") for step in steps),
            "dropped": sum(step.get("dropped") or 0 for step in steps),
            "keeps_state": any(step.get("keeps_state") for step in steps),
            "after": self._sources(label, steps),
        }
        if of_whole is None:
            return row
        row["in"] = of_whole.get("in") if of_whole.get("in") is not None else self._taken(parts)
        if of_whole["writes"]:
            row["out"] = self._written(label, of_whole, row)
        else:
            row["out"] = of_whole.get("out") if of_whole.get("out") is not None else self._given(parts)
        return row

    def _sources(self, label: str, steps: Iterable[Mapping[str, Any]]) -> list[str]:
        sources = (self.row_of(source) for step in steps for source in step.get("after") or ())
        return [source for source in dict.fromkeys(sources) if source != label]

    def _taken(self, parts: list[str]) -> int | None:
        """Returns what the only step of a row that takes from outside took."""
        first = [part for part in parts if not {*(self._steps[part].get("after") or ())} & {*parts}]
        return self._count(first, "in")

    def _given(self, parts: list[str]) -> int | None:
        """Returns what the only step of a row that no other of it takes from gave."""
        within = {source for part in parts for source in self._steps[part].get("after") or ()}
        return self._count([part for part in parts if part not in within], "out")

    def _count(self, labels: list[str], name: str) -> int | None:
        if len(labels) != 1:
            return None
        count = self._stages.get(labels[0], self._steps[labels[0]]).get(name)
        return None if count is None else int(count)

    def _written(self, label: str, composite: Mapping[str, Any], row: Mapping[str, Any]) -> int | None:
        """Returns how many records a write has written: of one that did not end well nobody knows."""
        failed = composite.get("failed")
        if self._told.get("status") != "done" or row["in"] is None or failed is None:
            return None
        refused = sum(stage.get("dead") or 0 for stage in self._stages_in(label))
        written = int(row["in"]) - refused - int(row["dropped"]) - int(failed)
        return written if written >= 0 else None

    def _stages_in(self, label: str) -> list[Mapping[str, Any]]:
        return [stage for name, stage in self._stages.items() if self.row_of(name) == label]

    def _stages_by_row(self, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, stage in self._stages.items():
            label = self.row_of(name)
            if label not in found:
                found[label] = {**stage, "label": label}
            if label == name or label not in rows:
                continue
            within = self._stages_in(label)
            sums = {field: sum(one.get(field) or 0 for one in within) for field in _SUMS}
            of_row = {"in": rows[label]["in"], "out": rows[label]["out"]}
            found[label].update(sums, **of_row)
            if len(within) > 1:
                found[label].update(p50_us=None, p99_us=None, latency_us_le=None)
        return list(found.values())

    def _edges(self, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for edge in self._told.get("edges") or ():
            source, target = self.row_of(edge["from"]), self.row_of(edge["to"])
            if source != target:
                found.setdefault((source, target), []).append(edge)
        for (source, target), edges in found.items():
            if source in self._steps and target in self._steps:
                yield from map(dict, edges)
                continue
            mains = [edge for edge in edges if not edge.get("side")]
            count = (mains or edges)[0].get("count")
            if len(mains) > 1:
                # Whether the steps of a row take the same elements or others, their counts do not tell.
                others = {one for one, to in found if to == target} - {source}
                count = rows[target].get("in") if target in rows and not others else None
            yield {"from": source, "to": target, "count": count, "side": not mains}

    # What is told beside the steps.

    def _outputs(self, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        if self._all_steps:
            written: list[dict[str, Any]] = folded(self._told)["outputs"]
            return written
        outputs = [dict(one) for one in self._told.get("outputs") or ()]
        of_rows = [self.row_of(one["label"]) for one in outputs]
        sinks = {
            sink["label"]: sink.get("uri") for sink in (self._told.get("lineage") or {}).get("sinks") or ()
        }
        for output, label in zip(outputs, of_rows, strict=True):
            if output.get("uri") == output.get("name"):
                output["uri"] = sinks.get(output["label"]) or output.get("uri")
            composite = self._composites.get(label)
            if composite is None or not composite["writes"] or of_rows.count(label) > 1 or label not in rows:
                continue
            if output.get("name") == output["label"]:
                output["name"] = label
            output["label"] = label
            if output.get("records") is None and self._told.get("status") == "done":
                output["records"] = self._stages.get(label, rows[label]).get("out")
            output["file_count"] = len(output.get("files") or ()) or composite.get("files")
        return outputs

    def _refusals(self) -> dict[str, Any]:
        refused = dict(self._told.get("dead_letters") or {})
        if "by_fingerprint" in refused:
            refused["by_fingerprint"] = [self.kind(kind) for kind in refused["by_fingerprint"]]
        return refused

    def kind(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a kind of refusal by row."""
        row = self.row_of(kind["stage"])
        return {**kind, "stage": row, WITHIN: kind["stage"][len(row) :].strip("/")}

    def _balance(self) -> dict[str, Any]:
        balance = copy.copy(dict(self._told.get("balance") or {}))
        for name, fields in (("unchecked_edges", ("from", "to")), ("unchecked_steps", ("step",))):
            found: dict[tuple[str, ...], dict[str, Any]] = {}
            for one in balance.get(name) or ():
                places = tuple(self.row_of(one[field]) for field in fields)
                if len({*places}) < len(fields):  # within a row
                    places = tuple(one[field] for field in fields)
                found.setdefault(places, {**one, **dict(zip(fields, places, strict=True))})
            if name in balance:
                balance[name] = list(found.values())
        return balance


def _inputs(inputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns datasets that were read, without those of reads within another: an `obs.Source` around them.

    A dataset that has no other place than its name is told where its read found it.
    """
    told = [dict(one) for one in inputs]
    labels = {one["label"] for one in told}
    outer = [one for one in told if not any(label in labels for label in _above(one["label"]))]
    for one in outer:
        if one.get("uri") in (None, one.get("name")):
            within = [inner["uri"] for inner in told if one["label"] in _above(inner["label"])]
            patterns = [file["pattern"] for file in one.get("files") or () if file.get("pattern")]
            places = {*within, *patterns} - {None}
            one["uri"] = places.pop() if len(places) == 1 else one.get("uri")
    return outer


def _above(label: str) -> list[str]:
    parts = label.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _composites_of_old(end: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the composites of a run that did not note them: its reads and writes, and RunInference."""
    labels = [step["label"] for step in end.get("steps") or ()]
    sinks = [one["label"] for one in (end.get("lineage") or {}).get("sinks") or ()]
    writes = {*(one["label"] for one in end.get("outputs") or ()), *sinks}
    reads = {one["label"] for one in end.get("inputs") or ()}
    inferences = {found[1] for found in map(_INFERENCE.fullmatch, labels) if found is not None}
    told = {one for label in labels for one in (label, *_above(label))}
    # What gives something gives the names of its files; a service may have refused what nobody counted.
    of_files = {
        one
        for step in end.get("steps") or ()
        for one in (step["label"], *_above(step["label"]))
        if step.get("out") is not None
    }
    return [
        {"label": label, "writes": label in writes, "failed": 0 if label in of_files else None}
        for label in sorted((writes | reads | inferences) & told)
    ]

"""What its launcher knows of a pipeline that runs, as far as the end of its run needs it.

Where a job outlives its launcher this is kept as ``pipeline.json``, so that whoever watches the job can count
its steps and write the end. It is plain data: nothing of the pipeline's code is in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from beam_obs.metrics.run_snapshot import labels_by_id
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import DatasetDescription, Observation, RunContext, StageDescription
from beam_obs.records.secrets import redact_text
from beam_obs.records.weave_report import (
    Gathering,
    LedgerEdge,
    LedgerStep,
    WeaveReport,
    WovenSink,
    WovenSource,
)
from beam_obs.runs.dead_rate import limits_told
from beam_obs.runs.graph import Composite, Edge, Graph, Step
from beam_obs.runs.one_row import Row
from beam_obs.store.form import Each, Maybe, Needed, fit, parse_object

_COUNT, _TEXT = Maybe(int), Maybe(str)
_DATASET = {
    "name": str,
    "uri": str,
    "label": str,
    "notes_files": Needed(bool, False),
    "may_drop": Needed(bool, False),
}
_OF_WEAVE = {
    "woven": Needed([str], []),
    "opaque": Needed(Each(str), {}),
    "sources": Needed(
        [
            {
                "label": str,
                "kind": Needed(str, ""),
                "partition": Needed(
                    Maybe(
                        {
                            "name": str,
                            "version": str,
                            "located": Needed(bool, True),
                            "wide": Needed(bool, False),
                        }
                    ),
                    None,
                ),
            }
        ],
        [],
    ),
    "sinks": Needed([{"label": str, "uri": Needed(_TEXT, None), "stamped": Needed(bool, False)}], []),
    "ends": Needed([str], []),
    "limit": Needed(_COUNT, None),
    "output_share": Needed(float, 0.0),
    "filtered_share": Needed(float, 0.0),
    "single_ways": Needed(Each([str]), {}),
    "side_reads": Needed(Each([str]), {}),
    "gatherings": Needed(
        [
            {
                "label": str,
                "taken": Needed([str], []),
                "counted_by": Needed([str], []),
                "obstacle": Needed(str, ""),
                "may_drop": Needed(bool, False),
                "gives_at_end": Needed(bool, False),
            }
        ],
        [],
    ),
    "ledger_edges": Needed(
        [
            {
                "producers": Needed([str], []),
                "consumer": str,
                "given": Needed([int], []),
                "taken": Needed([int], []),
                "obstacle": Needed(str, ""),
                "may_drop": Needed(bool, False),
                "passed": Needed([str], []),
                "by_window": Needed(bool, False),
                "whole": Needed(str, ""),
                "lateness_micros": Needed(int, 0),
            }
        ],
        [],
    ),
    "ledger_steps": Needed(
        [
            {
                "label": str,
                "taken": Needed([int], []),
                "filtered": Needed([int], []),
                "refused": Needed([int], []),
                "given": Needed(Each([int]), {}),
                "role": Needed(str, ""),
                "over": Needed([int], []),
            }
        ],
        [],
    ),
}
_ROW = {"is_write": Needed(bool, False), "gives_files": Needed(bool, False), "is_counted": Needed(bool, True)}
_OF_GRAPH = {
    "steps": Needed(
        [
            {
                "label": str,
                "is_stage": Needed(bool, False),
                "inputs": Needed([str], []),
                "outputs": Needed(Each(str), {}),
                "dead": Needed(_TEXT, None),
                "all_outputs_known": Needed(bool, True),
                "after": Needed([str], []),
                "keeps_state": Needed([str], []),
                "may_drop": Needed([str], []),
                "gives_each_once": Needed(bool, False),
                "holds_back": Needed([str], []),
            }
        ],
        [],
    ),
    "edges": Needed([{"id": str, "producer": str, "consumers": Needed([str], [])}], []),
    "composites": Needed(
        [
            {
                "label": str,
                "inputs": Needed([str], []),
                "outputs": Needed([str], []),
                "row": Needed(_ROW, {"is_write": False}),
                "failed": Needed(_TEXT, None),
            }
        ],
        [],
    ),
}
_FORM: dict[str, Any] = {
    "stages": Needed(Each(str), {}),
    "inputs": Needed([_DATASET], []),
    "outputs": Needed([_DATASET], []),
    "dead_rates": Needed(Each({"share": Needed(Maybe(float), None), "minimum": Needed(_COUNT, None)}), {}),
    "max_dead_rate": Needed(float, 1.0),
    "max_dead_minimum": Needed(int, 0),
    "hides_values": Needed(bool, True),
    "graph": Needed(Maybe(_OF_GRAPH), None),
    "woven": Needed(Maybe(_OF_WEAVE), None),
    "labels": Needed(Each(str), {}),
}


@dataclasses.dataclass(frozen=True)
class KnownPipeline:
    """What is known of a pipeline that runs.

    Args:
      observation: its stages, inputs and outputs.
      graph: its graph, under the ids that the runner counts by; None where it cannot be told.
      woven: what the weave did; None where there was none.
      max_dead_rate: share that a stage may refuse, where it has none of its own.
      max_dead_minimum: fewest records a stage must have taken for its share to be judged.
      hides_values: whether values of records stay out of the store.
      labels: full labels of its steps by their ids in its portable form.
    """

    observation: Observation
    graph: Graph | None
    woven: WeaveReport | None
    max_dead_rate: float
    max_dead_minimum: int
    hides_values: bool
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, str]:
        """Label of each stage -> the Beam transform inside."""
        return {label: stage.kind for label, stage in self.observation.stages.items()}

    def with_labels(self, pipeline: Any) -> KnownPipeline:
        """Returns it with the labels that a ``beam.Pipeline`` which was run tells."""
        return dataclasses.replace(self, labels=labels_by_id(pipeline))

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        seen = self.observation
        return {
            "stages": self.kinds,
            "inputs": [_without_secrets(dataset) for dataset in seen.inputs],
            "outputs": [_without_secrets(dataset) for dataset in seen.outputs],
            **limits_told(self.max_dead_rate, self.max_dead_minimum, seen.dead_rates),
            "hides_values": self.hides_values,
            "graph": None if self.graph is None else _graph_json(self.graph),
            "woven": None if self.woven is None else _weave_json(self.woven),
            "labels": dict(self.labels),
        }


def read_known_pipeline(content: bytes) -> KnownPipeline:
    """Returns what ``pipeline.json`` says; what does not fit is left out.

    Raises:
      ValueError: it is no JSON object, or one that cannot be walked or computed with.
    """
    told = fit(parse_object(content), _FORM, "", [])
    observation = Observation(
        RunContext("", ""),
        stages={label: StageDescription(label, kind, "") for label, kind in told["stages"].items()},
        inputs=[_of(DatasetDescription, dataset) for dataset in told["inputs"]],
        outputs=[_of(DatasetDescription, dataset) for dataset in told["outputs"]],
        dead_rates={label: (rate["share"], rate["minimum"]) for label, rate in told["dead_rates"].items()},
    )
    graph, woven = told["graph"], told["woven"]
    return KnownPipeline(
        observation,
        None if graph is None else _graph(graph),
        None if woven is None else _weave_report(woven),
        told["max_dead_rate"],
        told["max_dead_minimum"],
        told["hides_values"],
        told["labels"],
    )


def _graph_json(graph: Graph) -> dict[str, Any]:
    return {
        "steps": [vars(step) for step in graph.steps],
        "edges": [vars(edge) for edge in graph.edges],
        "composites": [{**vars(one), "row": one.row._asdict()} for one in graph.composites],
    }


def _graph(told: Mapping[str, Any]) -> Graph:
    return Graph(
        tuple(_of(Step, step) for step in told["steps"]),
        tuple(_of(Edge, edge) for edge in told["edges"]),
        tuple(_of(Composite, {**one, "row": Row(**one["row"])}) for one in told["composites"]),
    )


def _weave_json(report: WeaveReport) -> dict[str, Any]:
    return {
        **vars(report),
        "sources": [
            {**vars(one), "partition": one.partition._asdict() if one.partition is not None else None}
            for one in report.sources
        ],
        "sinks": [_without_secrets(one) for one in report.sinks],
        "gatherings": [vars(one) for one in report.gatherings],
        "ledger_edges": [vars(one) for one in report.ledger_edges],
        "ledger_steps": [vars(one) for one in report.ledger_steps],
    }


def _weave_report(told: Mapping[str, Any]) -> WeaveReport:
    sources = [
        WovenSource(
            one["label"], Partition(**one["partition"]) if one["partition"] is not None else None, one["kind"]
        )
        for one in told["sources"]
    ]
    sinks = [_of(WovenSink, one) for one in told["sinks"]]
    gatherings = [_of(Gathering, one) for one in told["gatherings"]]
    lists = {
        "sources": sources,
        "sinks": sinks,
        "gatherings": gatherings,
        "ledger_edges": [_of(LedgerEdge, one) for one in told["ledger_edges"]],
        "ledger_steps": [_of(LedgerStep, one) for one in told["ledger_steps"]],
    }
    report: WeaveReport = _of(WeaveReport, {**told, **lists})
    return report


def _without_secrets(told: DatasetDescription | WovenSink) -> dict[str, Any]:
    return {**vars(told), "uri": redact_text(told.uri) if told.uri is not None else None}


def _of(kind: Any, told: Mapping[str, Any]) -> Any:
    """Returns an object of a class by the fields that it has, lists as the tuples that it takes them for."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) and "tuple" in str(fields[name].type) else value
            for name, value in told.items()
            if name in fields
        }
    )

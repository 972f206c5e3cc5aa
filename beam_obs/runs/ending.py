"""What is known of a run when it has ended, put together for ``end.json``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.metrics.names import is_within
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.records.errors import DeadRateExceeded
from beam_obs.records.run_context import DatasetDescription, Observation
from beam_obs.records.secrets import redact_text
from beam_obs.records.weave_report import WeaveReport
from beam_obs.runs.balance import balance
from beam_obs.runs.counts_told import counts_told, waiting_told, windowed_steps
from beam_obs.runs.graph import Graph
from beam_obs.runs.instruments_told import instruments_told
from beam_obs.runs.ledger import Ledger, ledger_of
from beam_obs.runs.noted_files import noted_file_lines
from beam_obs.store.evidence import (
    Evidence,
    letters_of_further_windows,
    summarize_checks,
    summarize_dead_letters,
    summarize_ledger,
    summarize_lost,
    summarize_windows,
)
from beam_obs.store.instrument_values import kept_families
from beam_obs.store.source_places import place_examples
from beam_obs.store.store import Store
from beam_obs.weaving.settings import WEAVE_VERSION
from beam_obs.wrapper.hidden_texts import REDACTED

_WHILE_RUNNING = re.compile(r"\[while running '[^'\n]{1,500}'\]")


def describe_end(
    store: Store,
    folder: str,
    evidence: Evidence,
    observation: Observation,
    graph: Graph | None,
    snapshot: Snapshot,
    counted_alike: bool,
    woven: WeaveReport | None = None,
    has_ended_well: bool = True,
) -> dict[str, Any]:
    """Returns ``end.json`` but for status, time, error and lineage.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      evidence: what the folder holds.
      observation: what was known of the pipeline when it was built.
      graph: its graph; None where it cannot be told.
      snapshot: its last numbers.
      counted_alike: whether the runner counted under the graph's ids.
      woven: what the weave did; None where there was none.
      has_ended_well: whether the job ran to its end.
    """
    refused = place_examples(summarize_dead_letters(store, folder, evidence), evidence)
    elements = snapshot.elements if counted_alike else None
    counted = bool(snapshot.stages or snapshot.elements)
    # A stage that no record reached has no counters: Beam tells none that are zero.
    stages = (
        {label: snapshot.stages.get(label, StageCounts()) for label in observation.stages} if counted else {}
    )
    told = dataclasses.replace(snapshot, stages=stages, elements=elements)
    keeping = [step.label for step in graph.steps if step.dead is not None] if graph is not None else []
    further = letters_of_further_windows(evidence)
    kept = {label: refused["by_stage"].get(label, 0) - further.get(label, 0) for label in keeping}
    in_files = {label: count - further.get(label, 0) for label, count in refused["in_files"].items()}
    # Attempts may refuse a record more often than it was kept.
    refused["not_kept"] = {} if snapshot.attempted else _not_kept(keeping, told.stages, in_files)
    gatherings = woven.gatherings if woven is not None else []
    noted = noted_file_lines(
        observation.outputs, evidence.of_kind("outputs"), told.stages, snapshot.attempted
    )
    windows = summarize_windows(evidence)
    ledger = _ledger(
        evidence, graph, woven, _gave_any(snapshot, graph), has_ended_well, snapshot.commits_lost
    )
    balanced = balance(graph, told, kept, gatherings, windows, noted, has_ended_well, ledger)
    problems: list[str] = []
    return {
        **counts_told(
            {label: stage.kind for label, stage in observation.stages.items()},
            graph,
            snapshot,
            elements,
            windowed_steps(graph, snapshot, gatherings, balanced),
        ),
        "waiting": waiting_told(graph, gatherings, windows, has_ended_well),
        "balance": balanced.to_json(),
        "ledger": balanced.ledger.to_json(),
        "lineage_lost": summarize_lost(evidence, snapshot.commits_lost),
        "checks": summarize_checks(evidence),
        "dead_letters": refused,
        "inputs": _datasets(
            [*observation.inputs, *_inputs_of_beam(observation, evidence)], evidence.of_kind("inputs")
        ),
        "outputs": _datasets(
            [*observation.outputs, *_outputs_of_beam(observation, woven)], evidence.of_kind("outputs")
        ),
        "instruments": instruments_told(
            # What was counted in this process was counted at each attempt.
            dataclasses.replace(snapshot, attempted=snapshot.attempted or snapshot.live),
            kept_families(store, folder, evidence, problems),
            problems,
        ),
        "lineage": describe_lineage(woven, observation.outputs) if woven is not None else None,
    }


def _ledger(
    evidence: Evidence,
    graph: Graph | None,
    woven: WeaveReport | None,
    has_counts: bool,
    has_ended_well: bool,
    commits_lost: int,
) -> Ledger:
    """Returns the ledger, unless a manifest of the run is gone or damaged."""
    labels = [step.label for step in graph.steps] if graph is not None else []

    def step_of(label: str) -> str:
        return max((found for found in labels if is_within(label, found)), key=len, default=label)

    try:
        sums = summarize_ledger(evidence)
    except ValueError as error:
        return Ledger(unchecked=str(error))
    if evidence.problems:
        return Ledger(unchecked=evidence.problems[0])
    windows = summarize_windows(evidence)
    return ledger_of(woven, sums, step_of, has_counts, has_ended_well, commits_lost, windows)


def _gave_any(snapshot: Snapshot, graph: Graph | None) -> bool:
    """Returns whether the runner counted anything that a step gave: where its input is empty it did not."""
    elements = snapshot.elements or {}
    of_edges = [elements[edge.id] for edge in graph.edges if edge.id in elements] if graph is not None else []
    taken = (counts.in_ for counts in snapshot.stages.values())
    return any(taken) or any(of_edges or elements.values())


def _not_kept(
    keeping: Iterable[str], stages: Mapping[str, StageCounts], in_files: Mapping[str, int]
) -> dict[str, int]:
    """Returns of each stage how many refusals are in no file: they waited for it, or their bundle failed."""
    missing = {label: stages[label].dead - in_files.get(label, 0) for label in keeping if label in stages}
    return {label: count for label, count in missing.items() if count > 0}


def describe_lineage(woven: WeaveReport, outputs: list[DatasetDescription]) -> dict[str, Any]:
    """Returns the ``lineage`` of ``end.json``: what carried it, where it began and where it ended.

    Args:
      woven: what became of each step.
      outputs: datasets that the pipeline writes.
    """
    datasets = {dataset.label: dataset.uri for dataset in outputs}
    sinks = {
        sink.label: {
            "label": sink.label,
            "uri": redact_text(uri) if (uri := sink.uri or datasets.get(sink.label)) else None,
            "stamped": sink.stamped,
        }
        for sink in reversed(woven.sinks)
    }
    return {
        "weave_version": WEAVE_VERSION,
        "woven": len(woven.woven),
        "opaque": woven.opaque,
        "text": str(woven),
        "limit": woven.limit,
        "output_share": woven.output_share,
        "filtered_share": woven.filtered_share,
        "sinks": list(reversed(sinks.values())),
        "ends": sorted(set(woven.ends)),
        "sources": sorted({source.label for source in woven.sources}),
        "single_ways": woven.single_ways,
        "side_reads": woven.side_reads,
    }


def describe_error(error: BaseException, values_are_hidden: bool = False) -> dict[str, Any]:
    """Returns an exception as ``end.json`` keeps it; what looks like a secret is hidden.

    Args:
      error: the exception.
      values_are_hidden: whether values of records stay out of the store: of a message that is not our own
        only the step is kept then, since nobody knows what else it says.
    """
    cause = error.__cause__ or error
    message = _first_lines(str(error))
    if values_are_hidden and not isinstance(error, DeadRateExceeded):
        steps = _WHILE_RUNNING.findall(message)
        message = f"{REDACTED} {steps[-1]}" if steps else REDACTED
    return {
        "type": type(error).__name__,
        "message": redact_text(message),
        "cause": type(cause).__name__ if cause is not error else None,
    }


def _first_lines(text: str, limit: int = 4000) -> str:
    return text if len(text) <= limit else text[: limit // 2] + "\n...\n" + text[-limit // 2 :]


def _inputs_of_beam(observation: Observation, evidence: Evidence) -> list[DatasetDescription]:
    """Returns the files that reads of Beam's own found, which only the weave told of."""
    told = {dataset.label for dataset in observation.inputs}
    patterns = {
        manifest.stage: manifest.details["pattern"]
        for manifest in evidence.of_kind("inputs")
        if not _is_within(manifest.stage, told) and "pattern" in manifest.details
    }
    return [DatasetDescription(label, patterns[label], label) for label in sorted(patterns)]


def _outputs_of_beam(observation: Observation, woven: WeaveReport | None) -> list[DatasetDescription]:
    """Returns what writes of Beam's own write, where they tell it."""
    told = {dataset.label for dataset in observation.outputs}
    sinks = woven.sinks if woven is not None else []
    return [
        DatasetDescription(sink.label, sink.uri, sink.label)
        for sink in dict.fromkeys(sinks)
        if sink.uri and not _is_within(sink.label, told)
    ]


def _is_within(label: str, told: set[str]) -> bool:
    """Returns whether a step is one of those told, or in one of them: a read in an `obs.Source`."""
    parts = label.split("/")
    return any("/".join(parts[:end]) in told for end in range(1, len(parts) + 1))


def _datasets(described: list[Any], manifests: list[Any]) -> list[dict[str, Any]]:
    """Returns inputs or outputs: each dataset as the pipeline names it, with the files of its manifests."""
    result: list[dict[str, Any]] = []
    for dataset in described:
        of_step = [manifest for manifest in manifests if _is_within(manifest.stage, {dataset.label})]
        result.append(
            {
                "name": dataset.name,
                "uri": redact_text(dataset.uri),
                "label": dataset.label,
                "records": sum(manifest.count for manifest in of_step) if of_step else None,
                "digest": _sum_of_digests([manifest.digest for manifest in of_step]),
                "files": [
                    {"uri": redact_text(manifest.file), "records": manifest.count, "digest": manifest.digest}
                    | manifest.details
                    for manifest in of_step
                ],
            }
        )
    return result


def _sum_of_digests(digests: list[str]) -> str | None:
    """Returns the digest of records in several files: the sum of theirs, modulo 2^64.

    >>> _sum_of_digests(["ffffffffffffffff", "0000000000000002"])
    '0000000000000001'
    """
    if not digests or not all(digests):
        return None
    return f"{sum(int(digest, 16) for digest in digests) % 2**64:016x}"

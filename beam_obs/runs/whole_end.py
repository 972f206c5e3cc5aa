"""The end of a run as ``end.json`` has it, put together from its evidence, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.metrics.run_snapshot import Snapshot
from beam_obs.metrics.workers import numbers_here
from beam_obs.records.errors import DeadRateExceeded
from beam_obs.records.worker_numbers import merged_workers
from beam_obs.runs.dead_rate import judge_dead_rate
from beam_obs.runs.ending import describe_end
from beam_obs.runs.known_pipeline import KnownPipeline
from beam_obs.store.evidence import Evidence, read_evidence
from beam_obs.store.partitions_file import PARTITIONS, StampedSource, describe_partitions, write_partitions
from beam_obs.store.run_record_forms import FILES
from beam_obs.store.store import Store
from beam_obs.store.worker_files import read_workers


def whole_end(
    store: Store,
    folder: str,
    known: KnownPipeline,
    snapshot: Snapshot,
    counted_alike: bool,
    status: str,
    failing: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], DeadRateExceeded | None]:
    """Returns ``end.json`` but for its time and error, and the error of a stage that refused too much.

    The file of partitions is written on the way.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      known: what its launcher knew of the pipeline.
      snapshot: its last numbers.
      counted_alike: whether the runner counted under the ids of the graph.
      status: how the job ended.
      failing: of the record that the run failed at the partition, as a row of partitions; None where it is
        not known.
    """
    evidence = read_evidence(store, folder)
    end = describe_end(
        store,
        folder,
        evidence,
        known.observation,
        known.graph,
        snapshot,
        counted_alike=counted_alike,
        woven=known.woven,
        has_ended_well=status == "done",
    )
    here = [worker.to_json() for worker in numbers_here(known.observation.context.run)]
    end["workers"] = merged_workers([*here, *read_workers(store, folder)])
    end[FILES] = dict(evidence.digests)
    try:
        end[FILES] |= _write_partitions(store, folder, known, evidence, failing)
    except OSError:  # the end cannot be written either, as a rule, and that is said
        lost = end["lineage_lost"] or {"files": 0, "rows": 0, "reason": "", "commits": 0}
        end["lineage_lost"] = {**lost, "commits": lost["commits"] + 1}
    verdict = None
    if status == "done":
        verdict = judge_dead_rate(
            snapshot.stages,
            known.max_dead_rate,
            known.max_dead_minimum,
            end["dead_letters"]["by_fingerprint"],
            known.observation.dead_rates,
        )
    end["status"] = "failed" if verdict is not None else status
    return end, verdict


def _write_partitions(
    store: Store,
    folder: str,
    known: KnownPipeline,
    evidence: Evidence,
    failing: Mapping[str, Any] | None,
) -> dict[str, str]:
    """Returns the file that was written, with the hash of its content."""
    stamped = [
        StampedSource(source.label, source.kind, source.partition)
        for source in (known.woven.sources if known.woven is not None else ())
        if source.partition is not None
    ]
    partitions = describe_partitions(evidence.of_kind("inputs"), known.kinds, stamped)
    told = {(row["code"], row["name"], row["version"]) for row in partitions}
    if failing is not None and (failing["code"], failing["name"], failing["version"]) not in told:
        # Nothing that a failed bundle read is committed.
        source = failing["source"]
        partitions = [row for row in partitions if row["located"] or row["source"] != source]
        partitions.append(dict(failing))
    return {PARTITIONS: write_partitions(store, folder, partitions)} if partitions else {}

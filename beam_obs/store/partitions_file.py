"""``partitions.json``, the partitions of a run: they turn an origin into source, version and position.

It is written when the run ends, from the manifests of its inputs and from the sources
that the weave gave origins itself. Needs no Apache Beam on a local store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from beam_obs.records.manifest import Manifest, content_hash
from beam_obs.records.origin import Partition
from beam_obs.records.secrets import redact_text
from beam_obs.store.evidence import Evidence, files_at_end, read_evidence
from beam_obs.store.form import fit, parse_object
from beam_obs.store.run_record import RunRecord
from beam_obs.store.run_record_forms import PARTITIONS_FORM
from beam_obs.store.source_partition import SourcePartition, partition_of
from beam_obs.store.store import Store

PARTITIONS = "partitions.json"
_CHANGED = "changed_while_read"
_TOLD = ("format", "pattern", "multiline", "header", "first")


class StampedSource(NamedTuple):
    """A source whose records got their origins from the weave.

    Args:
      label: of the step.
      kind: name of the step's class, e.g. ``Create``.
      partition: that its records are of.
    """

    label: str
    kind: str
    partition: Partition


def describe_partitions(
    manifests: Iterable[Manifest], kinds: Mapping[str, str], stamped: Iterable[StampedSource] = ()
) -> list[dict[str, Any]]:
    """Returns the partitions of a run, as ``partitions.json`` has them.

    Each is a dict: code (8 hex digits), name, version, located, wide, positions (``bytes``, ``blocks``,
    ``files``, ``index``, ``messages`` by their ids, or empty where there are none), uri and size (or None),
    source (label of the step), kind (name of its class), records (or None), dead; format, pattern,
    multiline, header and first, where the manifests tell them; changed_while_read, where the file was.

    Args:
      manifests: of inputs.
      kinds: label of a step -> name of its class.
      stamped: sources that leave no manifests.
    """
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for manifest in manifests:
        details = manifest.details
        code = details.get("partition")
        if code is None or details.get("name") is None or details.get("version") is None:
            continue
        row = found.setdefault(
            (manifest.stage, code, details["name"], details["version"]), _row(manifest, kinds)
        )
        row["records"] += manifest.count
        row["dead"] += int(details.get("dead") or 0)
        if details.get(_CHANGED):
            row[_CHANGED] = True
    rows = list(found.values())
    with_manifests = {row["source"] for row in rows}
    for source in dict.fromkeys(stamped):
        partition = source.partition
        if not partition.located and source.label in with_manifests:
            continue
        rows.append(
            {
                "code": f"{partition.code:08x}",
                "name": partition.name,
                "version": partition.version,
                "located": partition.located,
                "wide": partition.wide,
                "positions": _positions(partition),
                "uri": None,
                "size": None,
                "source": source.label,
                "kind": source.kind,
                "records": None,
                "dead": 0,
            }
        )
    return sorted(rows, key=lambda row: (row["source"], row["name"], row["version"]))


def write_partitions(store: Store, folder: str, partitions: list[dict[str, Any]]) -> str:
    """Writes ``partitions.json``; returns `content_hash` of it.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      partitions: of the run.
    """
    text = json.dumps({"partitions": partitions}, indent=1, ensure_ascii=False)
    content = text.encode("utf-8", "backslashreplace")
    store.files.write(f"{folder}/{PARTITIONS}", content)
    return content_hash(content).hexdigest()


class KeptPartitions(NamedTuple):
    """The partitions of a run.

    Args:
      rows: each as `describe_partitions` gives it.
      problem: why they are not all, or not for sure, as a sentence; empty where they are.
    """

    rows: list[dict[str, Any]]
    problem: str = ""


def read_partitions(
    store: Store,
    folder: str,
    evidence: Evidence | None = None,
    kinds: Mapping[str, str] | None = None,
    end: Mapping[str, Any] | None = None,
) -> KeptPartitions:
    """Returns the partitions of a run as they were when it ended, else as its manifests tell them.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      evidence: of the run, where it was read already.
      kinds: label of a step -> name of its class.
      end: content of ``end.json``; None before the run has ended.
    """
    (found,) = store.files.look([f"{folder}/{PARTITIONS}"])
    evidence = evidence or read_evidence(store, folder, end)
    inputs = evidence.of_kind("inputs")
    problems: list[str] = []
    if found.content is not None:
        written = files_at_end(end).get(PARTITIONS)
        if written is not None and written != content_hash(found.content).hexdigest():
            problems.append("its bytes are not those that were written")
        try:
            kept = fit(parse_object(found.content), PARTITIONS_FORM, "", problems)["partitions"]
            return KeptPartitions(kept, f"{PARTITIONS} is damaged: {problems[0]}" if problems else "")
        except (ValueError, KeyError) as error:
            problems.append(str(error))
        problem = f"{PARTITIONS} is damaged: {problems[0]}"
    elif found.problem:
        problem = f"{PARTITIONS} cannot be read: {found.problem}"
    else:
        was_there = PARTITIONS in files_at_end(end) or (end is not None and inputs)
        problem = f"{PARTITIONS} is missing" if was_there else ""
    return KeptPartitions(describe_partitions(inputs, kinds or {}), problem)


def partitions_of(
    store: Store, record: RunRecord, evidence: Evidence
) -> tuple[tuple[SourcePartition, ...], str]:
    """Returns what a run read: as it was written when the run ended, else as its manifests tell it.

    Returns:
      the partitions, and why they are not all; empty where they are.
    """
    kept = read_partitions(store, record.folder, evidence, end=record.end)
    return tuple(map(partition_of, kept.rows)), kept.problem


def _positions(partition: Partition) -> str:
    if not partition.located:
        return ""
    return "messages" if partition.wide else "index"


def _row(manifest: Manifest, kinds: Mapping[str, str]) -> dict[str, Any]:
    details = manifest.details
    positions = details.get("positions", "bytes")
    row: dict[str, Any] = {
        "code": details["partition"],
        "name": details["name"],
        "version": details["version"],
        "located": True,
        "wide": bool(details.get("wide", positions == "blocks")),
        "positions": positions,
        "uri": redact_text(details.get("path") or ""),
        "size": details.get("size"),
        "source": manifest.stage,
        "kind": kinds.get(manifest.stage) or details.get("format") or "",
        "records": 0,
        "dead": 0,
    }
    return row | {name: details[name] for name in _TOLD if name in details}

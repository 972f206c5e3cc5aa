"""Which run a question is about, and what is to be said of a run before it answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from beam_obs.lineage.answers import RunOf
from beam_obs.lineage.certainty import Certainty, damaged, not_recorded
from beam_obs.lineage.derivation_rows import DamagedRows
from beam_obs.lineage.opened_files import FileGone, FileNotShown, below_prefix, present_version, same_file
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.records.origin import is_derived
from beam_obs.records.weave_report import NO_ORIGIN
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_partition import SourcePartition
from beam_obs.store.store import RunNotFound, Store
from beam_obs.store.taken_records import is_replay
from beam_obs.store.unknown_name import nearest_text

_LOOKED_AT = 200
"""Runs whose lists are looked through at most, from the newest back."""

_SERVICE = re.compile(r"(?:bigquery|pubsub|kafka|spanner|bigtable|mongodb|jdbc):(?!//)")
_SEARCHED = 10
"""Runs whose evidence is searched at most."""


def run_of(record: RunRecord) -> RunOf:
    """Returns what an answer says of its run."""
    code = (record.start.get("code") or {}).get("version")
    started, replay_of = record.start["started"], record.start.get("parent_run")
    return RunOf(record.id, record.pipeline, record.status_text, started, code, replay_of)


def of_output(store: Store, file: str, run: str | None) -> Iterator[RunEvidence]:
    """Gives the runs that may have written a file, the likeliest first; at least one.

    Raises:
      RunNotFound: there is no such run.
    """
    if run is not None:
        yield RunEvidence(store, store.find(run))
        return
    given = 0
    fallback: list[RunRecord] = []
    overlooked: list[str] = []
    for record in newest(store):
        if sinks_of(record, file):
            given += 1
            yield RunEvidence(store, record, overlooked)
        elif _may_have_other_sinks(record):
            fallback.append(record)
        elif record.problems:
            overlooked.append(_overlooked(record, record.problems))
        if given == _SEARCHED:
            return
    for record in fallback[: _SEARCHED - given]:
        given += 1
        yield RunEvidence(store, record, overlooked)
    if not given:
        raise RunNotFound(
            f"no run in the store {store.shown_uri} says that it wrote {file}; name one with --run"
            f"{overlooked_text(overlooked)}{nearest_text(file, known_outputs(store))}",
            [],
        )


def of_origin(store: Store, origin: bytes, run: str | None, overlooked: list[str]) -> RunEvidence | None:
    """Returns the run that is meant, else the newest that knows an origin; None where none does.

    Args:
      store: where the runs are kept.
      origin: the origin.
      run: as `Store.find` takes it; None for the newest.
      overlooked: where it is noted which runs may know it, and cannot be read.
    """
    if run is not None:
        return RunEvidence(store, store.find(run))
    searched = 0
    for record in newest(store) if is_derived(origin) else _replays_last(store):
        evidence = RunEvidence(store, record, overlooked)
        if evidence.failed_at(origin) is not None:
            return evidence
        if is_derived(origin):
            searched += 1
            try:
                if evidence.derivations.of(origin) is not None:
                    return evidence
            except DamagedRows as error:
                overlooked.append(_overlooked(record, [str(error)]))
        elif evidence.partition_of(origin) is not None and (
            evidence.taken is None or evidence.taken.has(origin)
        ):
            return evidence
        if evidence.own_problems:
            overlooked.append(_overlooked(record, evidence.own_problems))
        if searched == _SEARCHED:
            return None
    return None


def unknown_origin(store: Store, origin: bytes, overlooked: list[str]) -> Certainty:
    """Returns how sure it is that no run knows an origin."""
    told = f"no run of the store {store.shown_uri} knows the origin {origin.hex()}"
    return damaged([told, *overlooked]) if overlooked else not_recorded(told)


def overlooked_text(overlooked: list[str]) -> str:
    """Returns which runs cannot be read, as the end of a sentence; nothing where there are none."""
    return f"; {damaged(overlooked).reason}" if overlooked else ""


def _overlooked(record: RunRecord, problems: Sequence[str]) -> str:
    return f"run {record.id} cannot be read ({problems[0]})"


def of_source(
    store: Store, file: str, run: str | None, overlooked: list[str]
) -> tuple[RunEvidence, list[SourcePartition]] | None:
    """Returns the run that is meant, else the newest that read a file as it is now, else that read it.

    Args:
      store: where the runs are kept.
      file: as a person names it.
      run: as `Store.find` takes it; None for the newest.
      overlooked: where it is noted which runs may have read it, and cannot be read.

    Returns:
      the run, and the file as it read it: once for each read of it; None where no run did.
    """
    older: tuple[RunEvidence, list[SourcePartition]] | None = None
    for record in [store.find(run)] if run is not None else _replays_last(store):
        evidence = RunEvidence(store, record, overlooked)
        read = evidence.partitions if run is None else evidence.all_partitions
        found = [one for one in read if one.uri is not None and same_file(one.uri, file)]
        if found:
            if run is not None or is_as_read(found[0]):
                return evidence, found
            older = older or (evidence, found)
        elif evidence.own_problems:
            overlooked.append(_overlooked(record, evidence.own_problems))
    return older


def is_as_read(partition: SourcePartition) -> bool:
    """Returns whether a file is the one that was read, as far as can be told."""
    if partition.uri is None:
        return False
    try:
        return present_version(partition.uri, partition.version) in (None, partition.version)
    except FileGone:
        return False


def is_known_to_differ(partition: SourcePartition) -> bool:
    """Returns whether a file is known not to be the one that was read."""
    try:
        return partition.uri is None or present_version(partition.uri, partition.version) not in (
            None,
            partition.version,
        )
    except FileNotShown:
        return False
    except FileGone:
        return True


def newest(store: Store) -> Iterator[RunRecord]:
    """Gives the runs of a store from the newest back, one by one."""
    for one in store.ids()[:_LOOKED_AT]:
        yield store.read([one])[0]


def _replays_last(store: Store) -> Iterator[RunRecord]:
    """Gives the runs of a store from the newest back, replays after all others."""
    replays = []
    for record in newest(store):
        if is_replay(record):
            replays.append(record)
        else:
            yield record
    yield from replays


def newer_without_lineage(store: Store, record: RunRecord) -> list[str]:
    """Returns the ids of newer runs of the same pipeline that do not tell all that they wrote."""
    ids = [one for one in store.ids(record.pipeline) if one[0] > record.id][:_SEARCHED]
    return [one.id for one in store.read(ids) if "sinks" not in ((one.end or {}).get("lineage") or {})]


# Names that a store has.


def known_sources(store: Store) -> list[str]:
    """Returns the files and topics that the runs of a store have read, those of the newest first."""
    found = (RunEvidence(store, record).partitions for record in newest(store))
    return list(dict.fromkeys(one.uri for partitions in found for one in partitions if one.uri))


def known_outputs(store: Store) -> list[str]:
    """Returns what the runs of a store wrote, of files the prefix; those of the newest run first."""
    return list(dict.fromkeys(uri for record in newest(store) for _, uri in _sinks(record) if uri))


def known_codes(store: Store) -> list[str]:
    """Returns the versions of code that the runs of a store had, the newest first."""
    versions = ((record.start.get("code") or {}).get("version") for record in newest(store))
    return list(dict.fromkeys(str(version) for version in versions if version))


# Sinks.


def sinks_of(record: RunRecord, file: str) -> tuple[str, ...]:
    """Returns the labels of a run's sinks that wrote a file, else of those whose prefix the file has."""
    exact = [
        output["label"]
        for output in (record.end or {}).get("outputs") or ()
        for one in output.get("files") or ()
        if same_file(one["uri"], file)
    ]
    if not exact:
        exact = [label for label, uri in _sinks(record) if uri and is_same_service(uri, file)]
    if not exact:
        exact = [label for label, uri in _sinks(record) if uri and below_prefix(uri, file)]
    return tuple(dict.fromkeys(exact))


def is_service(name: str) -> bool:
    """Returns whether a name is of a table or topic, not of files.

    >>> is_service("bigquery:project.dataset.table"), is_service("gs://bucket/file"), is_service("file.csv")
    (True, False, False)
    """
    return _SERVICE.match(name) is not None


def is_same_service(uri: str, name: str) -> bool:
    """Returns whether a table or topic that a run kept is the one that a person names.

    >>> is_same_service("project:dataset.table", "bigquery:project.dataset.table")
    True
    """
    return is_service(name) and _plain_name(uri) == _plain_name(name)


def _plain_name(name: str) -> str:
    return _SERVICE.sub("", name).replace(":", ".")


def stamped_sinks(evidence: RunEvidence) -> list[str]:
    """Returns the labels of the sinks whose records leave with their lineage attributes."""
    sinks = evidence.lineage.get("sinks") or ()
    return [sink["label"] for sink in sinks if isinstance(sink, dict) and sink.get("stamped")]


def check_sink(store: Store, name: str, run: str | None) -> None:
    """Looks whether a run has written to a sink.

    Raises:
      RunNotFound: there is no such run, or none that has.
    """
    records = newest(store) if run is None else [store.find(run)]
    if any(sinks_of(record, name) for record in records):
        return
    whose = f"no run in the store {store.shown_uri} says that it" if run is None else f"run {run} did not say"
    raise RunNotFound(f"{whose} wrote to {name}{nearest_text(name, known_outputs(store))}", [])


def all_sinks(record: RunRecord) -> tuple[str, ...]:
    """Returns the labels of a run's sinks, as far as they are known."""
    return tuple(dict.fromkeys(label for label, _ in _sinks(record)))


def uri_of_sink(record: RunRecord, label: str) -> str | None:
    """Returns where a sink writes; None where that is not known."""
    for sink, uri in _sinks(record):
        if uri and (label == sink or label.startswith(f"{sink}/")):
            return uri
    return None


def files_of_sink(record: RunRecord, label: str) -> list[str]:
    """Returns the files that a sink of ours wrote."""
    return [
        one["uri"]
        for output in (record.end or {}).get("outputs") or ()
        if label == output["label"] or label.startswith(f"{output['label']}/")
        for one in output.get("files") or ()
    ]


def _sinks(record: RunRecord) -> list[tuple[str, str | None]]:
    end = record.end or {}
    found: list[tuple[str, str | None]] = [
        (output["label"], output.get("uri")) for output in end.get("outputs") or ()
    ]
    for sink in (end.get("lineage") or {}).get("sinks") or ():
        if isinstance(sink, str):
            sink = {"label": sink}
        place = (sink["label"], sink.get("uri"))
        # A dataset that the user named tells not where it is; the write itself may.
        if sink["label"] not in dict(found) or (place[1] and place not in found):
            found.append(place)
    return found


def _may_have_other_sinks(record: RunRecord) -> bool:
    lineage = (record.end or {}).get("lineage") or {}
    return bool(lineage) and ("sinks" not in lineage or any(uri is None for _, uri in _sinks(record)))


# What is to be said of a run.


def no_lineage(evidence: RunEvidence) -> str:
    """Returns why a run has no lineage; nothing where it has some."""
    record, lineage = evidence.record, evidence.lineage
    if record.end is not None and not lineage:
        return "the run was not woven (--obs_lineage=off)"
    if lineage and not lineage.get("woven"):
        return str(lineage.get("text") or "the run was not woven")
    return ""


def notes_on(evidence: RunEvidence) -> tuple[str, ...]:
    """Returns what is to be known of a run's answers."""
    record = evidence.record
    notes = []
    if record.status != "done":
        notes.append(f"the run is {record.status}: it may have left less than it did")
    if not evidence.is_committed and record.status != "done":
        notes.append("nothing of the run is committed: what is shown may be of bundles that failed")
    return tuple(notes)


def opaque_steps(evidence: RunEvidence) -> dict[str, Any]:
    """Returns the steps that carry no lineage, each with the reason."""
    return dict(evidence.lineage.get("opaque") or {})


def without_origins(evidence: RunEvidence, sinks: tuple[str, ...]) -> str:
    """Returns why what enters these sinks has no origin, with the opaque steps before them; nothing where
    records of one of them at least are noted."""
    opaque = opaque_steps(evidence)
    themselves = {
        sink: f"{label} - {reason}"
        for sink in sinks
        for label, reason in opaque.items()
        if reason != NO_ORIGIN and (label == sink or label.startswith(f"{sink}/"))
    }
    if sinks and len(themselves) == len(set(sinks)):
        return f"the sink is opaque: {'; '.join(themselves.values())}"
    blind = [
        sink
        for sink in sinks
        if any(
            reason == NO_ORIGIN and (label == sink or label.startswith(f"{sink}/"))
            for label, reason in opaque.items()
        )
    ]
    if not sinks or len(blind) < len(sinks):
        return ""
    graph = StepGraph(evidence.record.end)
    before = {step for sink in blind for step in graph.before_step(sink)}
    causes = {label: reason for label, reason in opaque.items() if reason != NO_ORIGIN}
    upstream = {label: reason for label, reason in causes.items() if graph.step_of(label) in before}
    told = "; ".join(f"{label} - {reason}" for label, reason in (upstream or causes).items())
    return (
        f"what enters {', '.join(blind)} has no origin{f': opaque steps before it: {told}' if told else ''}"
    )

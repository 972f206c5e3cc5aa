"""What an origin was made of, as a tree: through aggregates down to the source records, read again."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from beam_obs.lineage.answers import FromAggregate, FromSource, SourceShare
from beam_obs.lineage.certainty import COMPLETELY, Certainty, least, not_recorded, sampled
from beam_obs.lineage.derivation_search import kept_share
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.source_records import UNVERIFIED, SourceRecord, read_source_record
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.records.lineage_rows import BUNDLE, STATE, Derivation
from beam_obs.records.number_text import counted
from beam_obs.records.origin import is_derived
from beam_obs.store.source_partition import code_of

SHOWN_CONTRIBUTORS = 10
DEPTH = 8
_MOST_SHOWN = 200


class Ancestry:
    """What origins of a run were made of, down to their sources.

    Args:
      evidence: of the run.
      all_contributors: whether all that were kept are read.
      first: of the contributors of what is asked for, the one that is shown first, from 0.
    """

    def __init__(self, evidence: RunEvidence, all_contributors: bool = False, first: int = 0) -> None:
        self._first = first
        self._evidence = evidence
        self._graph = StepGraph(evidence.record.end)
        self._all = all_contributors
        self._left = _MOST_SHOWN

    def of(self, origin: bytes, end: str | None) -> FromSource | FromAggregate:
        """Returns what an origin was made of.

        Args:
          origin: of a record or aggregate.
          end: label of the step that it was taken by; None where it is not known.
        """
        derivations = self._evidence.derivations_of([origin]) if is_derived(origin) else {}
        return self._node(origin, end, derivations, 0)

    def _node(
        self, origin: bytes, end: str | None, derivations: Mapping[bytes, Derivation], depth: int
    ) -> FromSource | FromAggregate:
        if not is_derived(origin):
            return self._source(origin, end)
        derivation = derivations.get(origin)
        if derivation is None:
            erased = self._evidence.erased
            reason = f"no committed derivation names it{f'; {erased}' if erased else ''}"
            return FromAggregate(
                origin, "", "aggregate", "", "", 0, 0, 0, 0, (), False, (), not_recorded(reason)
            )
        return self._aggregate(derivation, end, depth)

    def _source(self, origin: bytes, end: str | None) -> FromSource:
        found = self._evidence.partition_of(origin)
        if found is None:
            note = "the run's list of partitions has none that this origin is of"
            return FromSource(origin, None, None, SourceRecord(UNVERIFIED, note))
        partition, position = found
        record = read_source_record(partition, position)
        copies = self._evidence.copies_of(partition)
        if copies:
            told = f"or the same record of {', '.join(copies)}: these files are copies of one another"
            record = dataclasses.replace(record, note=f"{record.note}; {told}" if record.note else told)
        path = self._graph.between(partition.source, end) if end else ()
        return FromSource(origin, partition, position, record, path)

    def _aggregate(self, derivation: Derivation, end: str | None, depth: int) -> FromAggregate:
        kept = derivation.contributors[self._first if depth == 0 else 0 :]
        shown = kept if self._all else kept[: min(SHOWN_CONTRIBUTORS, max(0, self._left))]
        note = ""
        if depth >= DEPTH:
            shown, note = (
                (),
                f"what it was made of is not shown: {DEPTH} aggregates deep; ask `why` of its origin",
            )
        elif not shown and kept:
            note = "its contributors are not shown: there are too many above; ask `why` of its origin"
        self._left -= len(shown)
        below = self._evidence.derivations_of([one for one in shown if is_derived(one)])
        if derivation.kind in (STATE, BUNDLE):
            what = "the key's state" if derivation.kind == STATE else "its bundle"
            note = (
                f"names all that {what} had seen: some may not have contributed{'; ' + note if note else ''}"
            )
        return FromAggregate(
            *derivation.aggregate,
            derivation.unknown,
            len(derivation.contributors) + len(derivation.unresolved),
            self._sources(derivation),
            derivation.more_sources,
            tuple(self._node(one, derivation.step, below, depth + 1) for one in shown),
            self._certainty(derivation),
            self._graph.between(derivation.step, end) if end else (),
            note,
        )

    def _sources(self, derivation: Derivation) -> tuple[SourceShare, ...]:
        counts = collections.Counter(map(code_of, derivation.contributors))
        counts.update(code for code, _ in derivation.unresolved)
        names: dict[int, list[str]] = {0: ["aggregates"]}
        for partition in self._evidence.all_partitions:
            names.setdefault(partition.code, []).append(partition.uri or partition.source or partition.name)
        return tuple(
            SourceShare(
                " or ".join(dict.fromkeys(names.get(code, ["a source that is not known"]))),
                f"{code:08x}",
                counts.get(code, 0),
            )
            for code in derivation.sources
        )

    def _certainty(self, derivation: Derivation) -> Certainty:
        if derivation.complete:
            return COMPLETELY
        found = []
        erased = f"; {self._evidence.erased}" if self._evidence.erased else ""
        if derivation.unknown:
            found.append(
                not_recorded(
                    f"the origins of {derivation.unknown:,} of its {counted(derivation.count, 'element')} "
                    f"are not known{opaque_text(self._evidence)}{erased}"
                )
            )
        if self._evidence.derivations.is_truncated(derivation):
            kept = len(derivation.contributors) + len(derivation.unresolved)
            told = f"{counted(kept, 'contributor')} {'is' if kept == 1 else 'are'} kept of "
            reason = f"{told}{counted(derivation.count, 'element')}, a uniform sample"
            found.append(sampled(kept_share(derivation), reason))
        return least(found) if found else not_recorded(f"not all of its contributors were kept{erased}")


def certainty_of(tree: FromSource | FromAggregate) -> Certainty:
    if isinstance(tree, FromSource):
        if tree.partition is None:
            return not_recorded(tree.record.note)
        return COMPLETELY
    return least([tree.certainty, *(certainty_of(one) for one in tree.contributors)])


def opaque_text(evidence: RunEvidence) -> str:
    """Returns the steps that carry no lineage, as the end of a sentence; nothing where there are none."""
    opaque = evidence.lineage.get("opaque") or {}
    if not opaque:
        return ""
    return f": opaque steps: {'; '.join(f'{label} - {reason}' for label, reason in opaque.items())}"

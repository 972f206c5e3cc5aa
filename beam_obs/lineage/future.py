"""What became of origins within a run: followed from step to step, to its sinks, or to where they ended."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import Into, Refused, Written
from beam_obs.lineage.certainty import Certainty, damaged, least, not_recorded, sampled
from beam_obs.lineage.placed_outputs import places_of
from beam_obs.lineage.ruled_out import SingleWays
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.lineage.unaccounted import Unaccounted
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.lineage_rows import Derivation
from beam_obs.records.origin import RANDOM_BITS, is_derived, randomness
from beam_obs.store.evidence import Standing
from beam_obs.store.source_partition import code_of, identity_of

DEPTH = 8
_MOST_AGGREGATES = 200


class Future:
    """What became of origins of a run, up to its sinks.

    Args:
      evidence: of the run.
      everything: whether all aggregates are followed.
    """

    def __init__(self, evidence: RunEvidence, everything: bool = False) -> None:
        self._evidence = evidence
        self._graph = StepGraph(evidence.record.end)
        self._unaccounted = Unaccounted(evidence.record.end, self._graph)
        self._left = 1 << 40 if everything else _MOST_AGGREGATES
        self._known: dict[bytes, Into] = {}
        self._ends = frozenset(evidence.lineage.get("ends") or ())
        self._single: SingleWays | None = None
        self.notes: list[str] = []

    def of(self, origin: bytes, start: str | None) -> Into:
        """Returns what became of an origin.

        Args:
          origin: of a record or aggregate.
          start: label of the step that gave it; None where it is not known.
        """
        made_of = self._evidence.derivations.of(origin) if is_derived(origin) else None
        self._single = self._single_ways_of(origin)
        return self._follow(origin, made_of, start or (made_of.step if made_of else None), 0)

    def _follow(self, origin: bytes, made_of: Derivation | None, start: str | None, depth: int) -> Into:
        if origin in self._known:
            return self._known[origin]
        evidence = self._evidence
        aggregates = evidence.derivations.naming(origin)
        followed: list[Into] = []
        for one in aggregates:
            if depth >= DEPTH or self._left <= 0:
                note = "not all aggregates were followed: ask `fate` of their origins"
                if note not in self.notes:
                    self.notes.append(note)
                followed.append(Into(*one.aggregate))
                continue
            self._left -= 1
            followed.append(self._follow(one.child, one, one.step, depth + 1))
        may_be_in = tuple(evidence.derivations.samples_for(origin, self._reached_from(start, made_of)))
        refused, filtered = refused_by(evidence, origin), tuple(evidence.filtered_of(origin))
        if may_be_in and depth == 0 and self._single is not None:
            may_be_in = self._single.remaining(may_be_in, followed, refused, filtered)
        base = Into(*made_of.aggregate) if made_of is not None else Into(origin)
        found = dataclasses.replace(
            base,
            written=self._written(origin, refused),
            aggregates=tuple(followed),
            may_be_in=may_be_in,
            dead_letters=refused,
            filtered=filtered,
            dropped=tuple(evidence.dropped_of(origin)),
        )
        self._known[origin] = found = self._failed(self._ended(found, start))
        return found

    def _failed(self, found: Into) -> Into:
        """Says where an origin failed the run; it may have gone other ways too, which are not committed."""
        failed = self._evidence.failed_at(found.origin)
        return found if failed is None else dataclasses.replace(found, end=failed)

    def _single_ways_of(self, origin: bytes) -> SingleWays | None:
        """Returns what the place of a source record rules out; None where nothing is known of it."""
        code = code_of(origin)
        # Copies of a file share their origins, and so do two reads of one.
        read = [one for one in self._evidence.partitions if identity_of(one).code == code]
        if len(read) != 1 or is_derived(origin):
            return None
        return SingleWays(self._evidence.lineage.get("single_ways") or {}, read[0].source, self._graph)

    def _reached_from(self, start: str | None, made_of: Derivation | None) -> Callable[[str], bool]:
        """Returns whether the origins that a step gave may get to another that makes aggregates."""
        first = None if start is None else self._graph.step_of(start)
        behind = frozenset(() if first is None else self._graph.behind(first))

        def may_reach(label: str) -> bool:
            if made_of is not None and label == made_of.step:
                return False  # no step takes what it gave
            step = self._graph.step_of(label)
            return first is None or step is None or step == first or step in behind

        return may_reach

    def _written(self, origin: bytes, refused: tuple[Refused, ...]) -> tuple[Written, ...]:
        """Returns what entered sinks and ends, by label, but for those that refused all of it."""
        by_sink: dict[str, list[bytes]] = {}
        for label, digest in self._evidence.outputs_of(origin):
            by_sink.setdefault(label, []).append(digest)
        record = self._evidence.record
        kept = (letter for letter in refused if letter.committed and not letter.superseded)
        letters = collections.Counter(letter.stage for letter in kept)
        return tuple(
            Written(
                label,
                run_choice.uri_of_sink(record, label),
                tuple(dict.fromkeys(digests)),
                any(label == end or label.startswith(f"{end}/") for end in self._ends),
                places_of(run_choice.files_of_sink(record, label), origin, digests),
            )
            for label, digests in sorted(by_sink.items())
            if len(digests) > letters[label]
        )

    # Where it ended.

    def _ended(self, found: Into, start: str | None) -> Into:
        """Says where an origin ended of which nothing is known to have gone on."""
        if found.may_be_in:
            rate = min(one.rate for one in found.may_be_in)
            more = len(found.may_be_in)
            which = "an aggregate that keeps" if more == 1 else f"{more:,} aggregates that keep"
            reason = f"it may be in {which} a sample of the contributors, among those that were not kept"
            return dataclasses.replace(found, certainty=sampled(rate, reason))
        gaps = self._gaps(found.origin, start)
        open_at = self._unaccounted.may_have(start, found)
        if open_at:
            gaps = least([*([gaps] if gaps else []), not_recorded(self._unaccounted.why(open_at))])
        readers = self._graph.readers_beside(start) if start else ()
        if found.written or found.aggregates or found.dead_letters:
            if gaps and gaps.kind != "complete":
                return dataclasses.replace(found, certainty=gaps)
            return found
        if found.filtered:
            sure = gaps if gaps is not None and open_at else found.certainty
            return dataclasses.replace(found, ended_at=found.filtered, end="filtered", certainty=sure)
        if found.dropped:
            steps = tuple(dict.fromkeys(one.step for one in found.dropped))
            sure = gaps if gaps is not None and open_at else found.certainty
            return dataclasses.replace(found, ended_at=steps, end="dropped as late", certainty=sure)
        if gaps is not None:
            return dataclasses.replace(found, end="no trace of it", ended_at=open_at, certainty=gaps)
        if readers:
            told = ", ".join(readers)
            reason = f"a side input keeps no origins: it may have been read as one by {told}"
            return dataclasses.replace(
                found,
                end=f"it left no trace of its own: it was filtered, or read as a side input by {told}",
                ended_at=readers,
                certainty=not_recorded(reason),
            )
        if self._evidence.erased:
            certainty = not_recorded(self._evidence.erased)
            return dataclasses.replace(found, end="no trace of it", certainty=certainty)
        return self._by_elimination(found, start)

    def _gaps(self, origin: bytes, start: str | None) -> Certainty | None:
        """Returns what keeps an origin from being followed all the way; None where nothing does."""
        evidence, record = self._evidence, self._evidence.record
        if evidence.problems:
            return damaged(evidence.problems)
        if record.end is None or record.status != "done":
            return not_recorded(f"the run is {record.status}: what it did is not all committed")
        opaque = run_choice.opaque_steps(evidence)
        if opaque and start is not None and self._graph.step_of(start) is not None:
            reached = {self._graph.step_of(start), *self._graph.behind(start)}
            opaque = {
                label: reason for label, reason in opaque.items() if self._graph.step_of(label) in reached
            }
        if opaque:
            told = "; ".join(f"{label} - {reason}" for label, reason in opaque.items())
            return not_recorded(f"opaque steps behind it keep no origins: {told}")
        if evidence.output_share <= 0:
            return not_recorded("the run kept no output index (--obs_output_index=off)")
        if randomness(origin) < int((1.0 - evidence.output_share) * 2**RANDOM_BITS):
            return sampled(evidence.output_share, "the output index has a share of the records")
        return None

    def _by_elimination(self, found: Into, start: str | None) -> Into:
        """All that leaves is recorded, and this did not: it was filtered, or a window was late for it."""
        graph = self._graph
        behind = graph.behind(start) if start else tuple(graph.steps)
        counts = {stage["label"]: stage for stage in (self._evidence.record.end or {}).get("stages") or ()}
        # Aggregates give fewer than they take, and sinks nothing: that filters nothing.
        labels = {*run_choice.all_sinks(self._evidence.record), *self._evidence.derivations.steps}
        labels.update(label for label, _ in self._evidence.output_blocks())
        known = {graph.step_of(label) for label in labels}
        late = self._unaccounted.late_at(self._windowed(), behind)
        filtering, fanning, unclear = [], [], []
        for label in behind:
            stage = counts.get(label)
            if stage is not None and stage.get("dropped"):
                late.setdefault(label, label)
            if label in known:
                continue
            if stage is not None:
                came, went = stage.get("in"), stage.get("out")
                if stage.get("filtered"):
                    filtering.append(label)
                continue
            came, went = graph.steps[label].get("in"), graph.steps[label].get("out")
            if came is None or went is None:
                unclear.append(label)
            elif went < came:
                filtering.append(label)
            elif went > came:
                fanning.append(label)
        elsewhere = self._letters_elsewhere(behind)
        only_late = late and not (filtering or fanning or unclear or elsewhere)
        what = "dropped as late" if only_late else "filtered"
        end = f"{what}, by elimination: all that leaves is recorded, and it did not leave"
        if filtering:
            one = (
                "the only step behind it that gave"
                if len(filtering) == 1
                else "the steps behind it that gave"
            )
            end += f"; {one} less than it took: {', '.join(filtering)}"
        if fanning:
            end += f"; a step that gives several for one may have given none: {', '.join(fanning)}"
        if unclear:
            end += f"; steps whose counts are not known: {', '.join(unclear)}"
        if elsewhere:
            end += f"; or refused by {', '.join(elsewhere)}, not all of whose dead letters are in the store"
        if late:
            or_it = "" if only_late else "or it was dropped as late "
            end += f"; {or_it}at {'; '.join(late.values())}"
        return dataclasses.replace(
            found, end=end, ended_at=(*filtering, *fanning, *unclear, *elsewhere, *late)
        )

    def _letters_elsewhere(self, steps: tuple[str, ...]) -> list[str]:
        """Returns the stages that refused elements of which the store has no letter that names the origin."""
        end = self._evidence.record.end or {}
        kept = (end.get("dead_letters") or {}).get("by_stage") or {}
        nameless = self._evidence.stages_of_letters_without_origin()
        return [
            stage["label"]
            for stage in end.get("stages") or ()
            if stage["label"] in steps
            and ((stage.get("dead") or 0) > kept.get(stage["label"], 0) or stage["label"] in nameless)
        ]

    def _windowed(self) -> list[str]:
        """Returns the steps that make aggregates of windows: what comes late for one is dropped there."""
        found = [self._graph.step_of(label) for label in self._evidence.derivations.windowed_steps()]
        return [step for step in dict.fromkeys(found) if step is not None]

    def certainty(self, into: Into) -> Certainty:
        """Returns how sure all of it is."""
        return least([into.certainty, *(self.certainty(one) for one in into.aggregates)])


def refused_by(evidence: RunEvidence, origin: bytes) -> tuple[Refused, ...]:
    """Returns the dead letters of an origin."""
    return tuple(named_letter(letter, standing) for letter, standing in evidence.dead_letters_of(origin))


def named_letter(letter: DeadLetter, standing: Standing) -> Refused:
    """Returns a dead letter as answers name it."""
    return Refused(
        letter.id,
        letter.stage,
        letter.error_type,
        letter.error_message,
        standing is Standing.COMMITTED,
        standing is Standing.SUPERSEDED,
    )

"""What a run left of its lineage, searched: derivations, output index, dead letters, filtered elements.

Files are read and inflated once and searched as bytes; only the rows that are hit are parsed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from beam_obs.lineage.answers import DroppedLate
from beam_obs.lineage.certainty import Certainty, damaged, least
from beam_obs.lineage.derivation_search import DerivationSearch
from beam_obs.lineage.digest_search import found_digests
from beam_obs.lineage.whole_blocks import DERIVATIONS, FILTERED, OUTPUTS, filtered_rows, whole_blocks
from beam_obs.metrics.names import is_within
from beam_obs.records.contributors import DEFAULT_LIMIT
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.lineage_rows import (
    NOT_KNOWN,
    OUTPUT_BYTES,
    Derivation,
    partitions_by_code,
)
from beam_obs.records.number_text import counted
from beam_obs.records.origin import Partition
from beam_obs.records.record_content import DIGEST_BYTES
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.records.window_counts import dropped_origins
from beam_obs.store.erased_rows import erased_so_far
from beam_obs.store.evidence import Evidence, Standing, read_evidence, summarize_windows
from beam_obs.store.file_problem import problem_of_file
from beam_obs.store.kept_letters import KeptLetters, kept_letters
from beam_obs.store.parent_runs import parents_of
from beam_obs.store.partitions_file import partitions_of
from beam_obs.store.row_files import Block, RowFile, find_all, read_row_file
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_partition import (
    SourcePartition,
    code_of,
    has_code,
    identity_of,
    position_in,
)
from beam_obs.store.store import RunNotFound, Store
from beam_obs.store.taken_records import TakenRecords, is_replay

_MANIFEST_KINDS = {DERIVATIONS: "derivations", OUTPUTS: "output_index", FILTERED: "filtered"}
_SEARCHED_ONE_BY_ONE = 24
"""Of more origins than that, every row is looked at once, in place of a search for each."""

_MOST_LETTERS = 20_000
_MANY_SAMPLES = 64
"""For more of them numpy is worth its import."""

_POSITION_BYTES = 5
_LARGEST = b"\xff" * 17


class RunEvidence:
    """The lineage of one run.

    Args:
      store: the store.
      record: the run.
      overlooked: why runs that may be the one that is asked for could not be looked at.
    """

    def __init__(self, store: Store, record: RunRecord, overlooked: Sequence[str] = ()) -> None:
        self.store = store
        self.record = record
        self.lineage: dict[str, Any] = (record.end or {}).get("lineage") or {}
        self.limit: int | None = self.lineage.get("limit", DEFAULT_LIMIT)
        self._files: dict[str, list[RowFile]] = {}
        self._problems: dict[str, None] = dict.fromkeys(record.problems)
        self._overlooked = tuple(overlooked)
        self._erased: dict[str, int] = {}
        if store.is_being_erased:
            self._note(
                "an erasure of the store was begun and has not ended: ask `beam-obs prune` for it again"
            )

    @functools.cached_property
    def evidence(self) -> Evidence:
        """The manifests of the run."""
        found = read_evidence(self.store, self.record.folder, self.record.end)
        self._note(*found.problems)
        return found

    def _note(self, *problems: str) -> None:
        self._problems.update((problem, None) for problem in problems if problem)

    def sure(self, certainty: Certainty) -> Certainty:
        """Returns how sure an answer is of the files that were read for it: not, where any is not whole.

        Args:
          certainty: that of the answer if they are.
        """
        return least([certainty, damaged(self.problems)]) if self.problems else certainty

    @property
    def erased(self) -> str:
        """What was erased from the files that were read so far, as a sentence; empty where nothing was."""
        total = sum(self._erased.values())
        rows = f"{counted(total, 'row')} of evidence"
        return f"erased: {rows} went from this run, by `beam-obs prune`" if total else ""

    @property
    def own_problems(self) -> tuple[str, ...]:
        """What was found missing or damaged in the files of the run that were read so far."""
        return tuple(self._problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """That, and which runs could not be looked at."""
        return (*self._problems, *self._overlooked)

    @property
    def is_committed(self) -> bool:
        """Whether what is read is of finished bundles only; a run without manifests shows all it has."""
        return bool(self.evidence.manifests)

    @property
    def output_share(self) -> float:
        """Of the records that entered sinks, how many the output index has."""
        share = self.lineage.get("output_share")
        return 1.0 if share is None else float(share)

    @functools.cached_property
    def partitions(self) -> tuple[SourcePartition, ...]:
        """What the run read."""
        kinds = {stage["label"]: stage["kind"] for stage in (self.record.end or {}).get("stages") or ()}
        found, problem = partitions_of(self.store, self.record, self.evidence)
        self._note(problem)
        return tuple(
            one if one.kind else dataclasses.replace(one, kind=kinds.get(one.source, "")) for one in found
        )

    @functools.cached_property
    def taken(self) -> TakenRecords | None:
        """The records that the run took of another, where it was a replay."""
        if not is_replay(self.record):
            return None
        found = TakenRecords(self.store, self.record)
        self._note(found.problem)
        return found

    @functools.cached_property
    def parent(self) -> RunEvidence | None:
        """The lineage of the run whose dead letters this one replays; None where it replays none, or that is
        not in the store any more."""
        above = next(_parents(self.store, self.record), None)
        return None if above is None else RunEvidence(self.store, above)

    @functools.cached_property
    def all_partitions(self) -> tuple[SourcePartition, ...]:
        """What the run read, and what the runs read whose dead letters it replays."""
        above = self.parent.all_partitions if self.parent is not None else ()
        if self.parent is not None:
            self._note(*self.parent.own_problems)
        return tuple(dict.fromkeys((*self.partitions, *above)))

    @functools.cached_property
    def by_code(self) -> dict[int, Partition]:
        """The partitions by code, without those that share one."""
        return partitions_by_code(identity_of(one) for one in self.all_partitions)

    def partition_of(self, origin: bytes) -> tuple[SourcePartition, int | None] | None:
        """Returns the partition of a source record and the position in it; None where it is not known.

        The position is None where the source has none.
        """
        code = code_of(origin)
        same = [one for one in self.all_partitions if has_code(one, code)]
        for one in same:
            position = position_in(one, origin)
            if position is not None:
                return one, position
        # Of a message the origin holds a hash of its id, which nothing leads back from.
        unlocated = [one for one in same if not one.located or one.positions == "messages"]
        return (unlocated[0], None) if len(unlocated) == 1 else None

    def copies_of(self, partition: SourcePartition) -> tuple[str, ...]:
        """Returns the other files that hold the very same: their records have the same origins."""
        same = (one.uri for one in self.all_partitions if identity_of(one) == identity_of(partition))
        return tuple(uri for uri in dict.fromkeys(same) if uri is not None and uri != partition.uri)

    @functools.cached_property
    def derivations(self) -> DerivationSearch:
        """What aggregates were made of."""
        files = self.files(DERIVATIONS)
        # An aggregate of which contributors were erased still keeps a sample only.
        erased = sum(erased_so_far(file.metadata) for file in files)
        limit = None if self.limit is None else self.limit - erased
        return DerivationSearch(files, self.by_code, limit, len(self.all_partitions))

    def derivations_of(self, origins: Collection[bytes]) -> dict[bytes, Derivation]:
        """Returns what aggregates were made of, by origin: in this run, else in the one whose dead letters it
        replays, where an aggregate was refused that had come about there."""
        found = self.derivations.of_all(origins)
        missing = [origin for origin in origins if origin not in found]
        return found | self.parent.derivations_of(missing) if missing and self.parent is not None else found

    # Outputs.

    def outputs_of(self, origin: bytes) -> list[tuple[str, bytes]]:
        """Returns the records of this origin that entered sinks: the label of each sink, and the digest."""
        return [
            (file.step, block.data[at - DIGEST_BYTES : at])
            for file, block in self._blocks(OUTPUTS)
            for at in find_all(block.data, origin)
            if at % OUTPUT_BYTES == DIGEST_BYTES
        ]

    def origins_of(
        self, digests: Iterable[bytes], is_wanted: Callable[[str], bool] | None
    ) -> list[tuple[str, bytes]]:
        """Returns the origins of the records that have one of these digests, each with its sink.

        Args:
          digests: of the forms that the record may have had as it entered the sink.
          is_wanted: of the label of a sink, whether to look at it; None for all.

        Returns:
          (label, origin), the origin empty where it was not known.
        """
        found = []
        asked = list(dict.fromkeys(digests))
        if len(asked) > _SEARCHED_ONE_BY_ONE:
            rows = self.output_rows(is_wanted or (lambda label: True))
            asked = [asked[number] for number in found_digests(b"".join(asked), rows, OUTPUT_BYTES)]
        for digest in asked:
            for file, block in self._blocks(OUTPUTS):
                if is_wanted is not None and not is_wanted(file.step):
                    continue
                for at in find_all(block.data, digest):
                    if at % OUTPUT_BYTES == 0:
                        origin = block.data[at + DIGEST_BYTES : at + OUTPUT_BYTES]
                        found.append((file.step, b"" if origin == NOT_KNOWN else origin))
            if found:
                break
        return found

    def output_rows(self, is_wanted: Callable[[str], bool]) -> bytes:
        """Returns the output index of the sinks whose labels are wanted: rows of `OUTPUT_BYTES`."""
        return b"".join(data for label, data in self.output_blocks() if is_wanted(label))

    def output_blocks(self) -> Iterator[tuple[str, bytes]]:
        """Gives the output index: labels of sinks, and rows of 24 bytes."""
        for file, block in self._blocks(OUTPUTS):
            yield file.step, block.data

    # Where elements end.

    def dead_letters_of(self, origin: bytes) -> list[tuple[DeadLetter, Standing]]:
        """Returns the dead letters of an origin, each with whether it counts; of one that a later attempt at
        the job refused again only the last."""
        found = list(self._letters(WantedLetters(origin=origin.hex())))
        kept = {letter.key for letter, standing in found if standing is Standing.COMMITTED}
        return [
            (letter, standing)
            for letter, standing in found
            if standing is not Standing.SUPERSEDED or letter.key not in kept
        ]

    def dead_letters_of_types(
        self, stage: str, error_types: Iterable[str]
    ) -> Iterator[tuple[DeadLetter, Standing]]:
        """Gives the dead letters of a stage with any of these types of error, those that count first."""
        return self._letters(WantedLetters(stage, error_types=tuple(error_types)))

    def stages_of_letters_without_origin(self) -> frozenset[str]:
        """Returns the stages that have a dead letter without an origin: as indexes tell it, and of files that
        have none as far as there are few letters."""
        found: set[str] = set()
        read = 0
        for file in self._letter_files((*self.evidence.committed, *self.evidence.uncommitted)):
            if file.index is not None:
                found.update(kind.stage for kind in file.index.kinds if not kind.has_origin)
                continue
            read += file.letters.rows
            if read > _MOST_LETTERS:
                return frozenset()
            found.update(letter.stage for letter in file.letters if letter.origin is None)
        return frozenset(found)

    def _letters(self, wanted: WantedLetters) -> Iterator[tuple[DeadLetter, Standing]]:
        standings = dict(self.evidence.dead_letter_files)
        for file in self._letter_files(standings):
            yield from ((letter, standings[file.name]) for letter in file.wanted(wanted))
            self._note_problem(file.name, file.problem_so_far)

    def _letter_files(self, names: Iterable[str]) -> Iterator[KeptLetters]:
        for file in kept_letters(self.store, self.record.folder, names, self.evidence.by_file):
            self._note_problem(file.name, file.problem)
            self._erased[file.name] = erased_so_far(file.letters.metadata)
            yield file

    def _note_problem(self, name: str, problem: str) -> None:
        if not any(told.startswith(name) for told in self._problems):
            self._note(problem)

    def failed_at(self, origin: bytes) -> str | None:
        """Returns how an origin failed the run, in words; None where it did not, or that is not known."""
        error = (self.record.end or {}).get("error") or {}
        at = error.get("at") or {}
        if at.get("origin") != origin.hex():
            return None
        return f"failed the run at step {at['step']}: {_first_line(error)}"

    def filtered_of(self, origin: bytes) -> list[str]:
        """Returns the labels of the steps that gave nothing of an element of this origin, where noted."""
        found = []
        for _, block in self._blocks(FILTERED):
            if origin not in block.data:
                continue
            for step, filtered in filtered_rows(block):
                if filtered == origin:
                    found.append(step)
        return list(dict.fromkeys(found))

    def dropped_of(self, origin: bytes) -> list[DroppedLate]:
        """Returns the steps that dropped all that came of an origin for a window, where noted."""
        return [
            DroppedLate(step, window)
            for step, origins in self._dropped.items()
            for window in (origins[origin] or ("",) if origin in origins else ())
        ]

    @functools.cached_property
    def _dropped(self) -> dict[str, dict[bytes, tuple[str, ...]]]:
        """By step of the graph the sampled origins that it dropped, where its counts are all committed."""
        balance = (self.record.end or {}).get("balance") or {}
        counts = {dropped["step"]: dropped["count"] for dropped in balance.get("dropped") or ()}
        found: dict[str, dict[bytes, tuple[str, ...]]] = {step: {} for step in counts}
        for label, windows in summarize_windows(self.evidence).items() if counts else ():
            step = max((one for one in counts if is_within(label, one)), key=len, default=None)
            if step is not None:
                found[step].update(dropped_origins(windows, counts[step]))
        return found

    # Files.

    def _blocks(self, kind: str) -> Iterator[tuple[RowFile, Block]]:
        return ((file, block) for file in self.files(kind) for block in file.blocks)

    def files(self, kind: str) -> list[RowFile]:
        """Returns the evidence files of a kind, each with the label of its step."""
        if kind not in self._files:
            self._files[kind] = self._read(kind)
        return self._files[kind]

    def _read(self, kind: str) -> list[RowFile]:
        committed = {
            manifest.file: manifest.stage for manifest in self.evidence.of_kind(_MANIFEST_KINDS[kind])
        }
        names: Iterable[str] = committed
        if not self.is_committed:
            names = [
                name
                for name in self.store.files.names(self.record.folder)
                if name.startswith(f"{kind}-") and name.endswith(".avro")
            ]
        files = []
        for name, content in self._contents(names):
            file = whole_blocks(kind, self._row_file(name, content))
            if name in committed:
                self._note(file.problem)
            files.append(file if file.step else file._replace(step=committed.get(file.name, "")))
        return files

    def _row_file(self, name: str, content: bytes) -> RowFile:
        file, manifest = read_row_file(name, content), self.evidence.by_file.get(name)
        self._erased[name] = erased_so_far(file.metadata)
        if manifest is not None and not any(told.startswith(name) for told in self._problems):
            lost = f"{name} is damaged: {file.rows:,} of {counted(manifest.count, 'row')} can be read"
            self._note(file.problem or (lost if file.rows != manifest.count else ""))
        return file

    def _contents(self, names: Iterable[str]) -> list[tuple[str, bytes]]:
        listed = list(dict.fromkeys(names))
        contents = []
        found = self.store.files.look([f"{self.record.folder}/{name}" for name in listed])
        for name, one in zip(listed, found, strict=True):
            manifest = self.evidence.by_file.get(name)
            if manifest is not None:
                self._note(problem_of_file(manifest, one))
            if one.content is not None:
                contents.append((name, one.content))
        return contents


def _parents(store: Store, record: RunRecord) -> Iterator[RunRecord]:
    with contextlib.suppress(RunNotFound):
        yield from parents_of(store, record)


def _first_line(error: Mapping[str, Any]) -> str:
    """Returns an exception of ``end.json`` in a line; of one that came as a traceback, its last line."""
    lines = [line for line in str(error.get("message") or "").splitlines() if line.strip()]
    if not lines:
        return str(error.get("type"))
    return f"{error.get('type')}: {lines[0]}" if len(lines) == 1 else lines[-1].strip()

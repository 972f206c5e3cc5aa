"""What a run left of its lineage, searched: derivations, output index, dead letters, filtered elements.

Files are read and inflated once and searched as bytes; only the rows that are hit are parsed.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from beam_obs.lineage.derivation_search import DerivationSearch
from beam_obs.lineage.partitions import SourcePartition, code_of, partitions_of
from beam_obs.records.avro_number import avro_long, read_avro_long
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.origin import Partition
from beam_obs.records.record_content import DIGEST_BYTES
from beam_obs.runs.evidence import Evidence, Standing, read_evidence, read_file
from beam_obs.runs.record import RunRecord
from beam_obs.runs.row_files import Block, RowFile, find_all, read_row_files
from beam_obs.runs.store import Store
from beam_obs.wrapper.traced_contributors import DEFAULT_LIMIT
from beam_obs.wrapper.traced_rows import (
    NOT_KNOWN,
    OUTPUT_BYTES,
    partitions_by_code,
)

DERIVATIONS = "derivations"
OUTPUTS = "outputs"
FILTERED = "filtered"
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
    """

    def __init__(self, store: Store, record: RunRecord) -> None:
        self.store = store
        self.record = record
        self.lineage: dict[str, Any] = (record.end or {}).get("lineage") or {}
        self.limit: int | None = self.lineage.get("limit", DEFAULT_LIMIT)
        self._files: dict[str, list[RowFile]] = {}

    @functools.cached_property
    def evidence(self) -> Evidence:
        """The manifests of the run."""
        return read_evidence(self.store, self.record.folder)

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
        return tuple(
            one if one.kind else dataclasses.replace(one, kind=kinds.get(one.source, ""))
            for one in partitions_of(self.store, self.record.folder, self.evidence)
        )

    @functools.cached_property
    def by_code(self) -> dict[int, Partition]:
        """The partitions by code, without those that share one."""
        return partitions_by_code(one.partition for one in self.partitions)

    def partition_of(self, origin: bytes) -> tuple[SourcePartition, int | None] | None:
        """Returns the partition of a source record and the position in it; None where it is not known.

        The position is None where the source has none.
        """
        code = code_of(origin)
        same = [one for one in self.partitions if one.has_code(code)]
        for one in same:
            position = one.position_of(origin)
            if position is not None:
                return one, position
        unlocated = [one for one in same if not one.located]
        return (unlocated[0], None) if len(unlocated) == 1 else None

    def copies_of(self, partition: SourcePartition) -> tuple[str, ...]:
        """Returns the other files that hold the very same: their records have the same origins."""
        same = (one.uri for one in self.partitions if one.partition == partition.partition)
        return tuple(uri for uri in dict.fromkeys(same) if uri is not None and uri != partition.uri)

    @functools.cached_property
    def derivations(self) -> DerivationSearch:
        """What aggregates were made of."""
        return DerivationSearch(self.files(DERIVATIONS), self.by_code, self.limit, len(self.partitions))

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
        for digest in dict.fromkeys(digests):
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

    def output_blocks(self) -> Iterator[tuple[str, bytes]]:
        """Gives the output index: labels of sinks, and rows of 24 bytes."""
        for file, block in self._blocks(OUTPUTS):
            yield file.step, block.data

    # Where elements end.

    def dead_letters_of(self, origin: bytes) -> list[tuple[DeadLetter, Standing]]:
        """Returns the dead letters of an origin, each with whether it counts; of one that a later attempt at
        the job refused again only the last."""
        printed = origin.hex().encode()
        standings = dict(self.evidence.dead_letter_files)
        found = [
            (letter, standings[file])
            for file, letters in self._dead_letter_blocks(printed)
            for letter in letters
            if letter.origin == origin.hex()
        ]
        kept = {letter.key for letter, standing in found if standing is Standing.COMMITTED}
        return [
            (letter, standing)
            for letter, standing in found
            if standing is not Standing.SUPERSEDED or letter.key not in kept
        ]

    def stages_of_letters_without_origin(self) -> frozenset[str]:
        """Returns the stages that have a dead letter without an origin, as far as there are few letters."""
        names = (*self.evidence.committed, *self.evidence.uncommitted)
        if sum(manifest.count for manifest in self.evidence.of_kind("dead_letters")) > _MOST_LETTERS:
            return frozenset()
        letters = (
            letter for name in names for letter in read_file(self.store, f"{self.record.folder}/{name}")
        )
        return frozenset(letter.stage for letter in letters if letter.origin is None)

    def _dead_letter_blocks(self, wanted: bytes) -> Iterator[tuple[str, list[DeadLetter]]]:
        names = [name for name, _ in self.evidence.dead_letter_files]
        contents = self._contents(names)
        for name, content in contents:
            if name.endswith(".jsonl") and wanted in content:
                lines = (line for line in content.splitlines() if wanted in line)
                yield name, [DeadLetter.from_json(line.decode()) for line in lines]
        for file in read_row_files([one for one in contents if one[0].endswith(".avro")]):
            for block in file.blocks:
                if wanted in block.data:
                    yield file.name, _letters(file, block)

    def filtered_of(self, origin: bytes) -> list[str]:
        """Returns the labels of the steps that gave nothing of an element of this origin, where noted."""
        found = []
        for _, block in self._blocks(FILTERED):
            if origin not in block.data:
                continue
            at = 0
            for _ in range(block.count):
                size, at = read_avro_long(block.data, at)
                if block.data.startswith(origin, at + size):
                    found.append(block.data[at : at + size].decode())
                at += size + 16
        return list(dict.fromkeys(found))

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
        return [
            file if file.step else file._replace(step=committed.get(file.name, ""))
            for file in read_row_files(self._contents(names))
            if _is_known(kind, file)
        ]

    def _contents(self, names: Iterable[str]) -> list[tuple[str, bytes]]:
        listed = list(dict.fromkeys(names))
        contents = self.store.files.read_many([f"{self.record.folder}/{name}" for name in listed])
        return [
            (name, content) for name, content in zip(listed, contents, strict=True) if content is not None
        ]


def _is_known(kind: str, file: RowFile) -> bool:
    """Whether a file's rows are of the form that is read here."""
    schema = file.metadata.get("avro.schema", b"")
    if kind == DERIVATIONS:
        return b'"positions"' in schema
    return kind != OUTPUTS or b'"step"' not in schema


def _letters(file: RowFile, block: Block) -> list[DeadLetter]:
    import fastavro

    schema = fastavro.parse_schema(
        {"type": "array", "items": json.loads(file.metadata.get("avro.schema", b"null"))}
    )
    data = io.BytesIO(avro_long(block.count) + block.data + b"\0")
    rows: Any = fastavro.schemaless_reader(data, schema, None)
    return [DeadLetter(**row) for row in rows]

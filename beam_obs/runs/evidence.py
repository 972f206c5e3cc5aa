"""The evidence of a run as its folder has it: manifests, and the dead letters that they name.

Needs no Apache Beam on a local store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.manifest import Manifest, split_superseded

if TYPE_CHECKING:
    from beam_obs.runs.record import RunRecord
    from beam_obs.runs.store import Store


class Standing(enum.Enum):
    """Whether what a file of evidence says counts, and if not, why."""

    COMMITTED = "committed"
    UNCOMMITTED = "uncommitted"
    """No manifest names it: its bundle failed or was tried again, or the run ended before its commit."""
    SUPERSEDED = "superseded"
    """It was committed by an attempt at the whole job, which the engine then started again."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the folder of a run holds.

    Args:
      manifests: those of committed bundles, of the last attempt at the job.
      committed: names of the files of dead letters that manifests name.
      uncommitted: names of the files of dead letters that none does: of bundles that failed or were tried
        again, or of a run that ended before they could be committed.
      superseded: names of the files of dead letters of earlier attempts, which the engine started again.
    """

    manifests: tuple[Manifest, ...]
    committed: tuple[str, ...]
    uncommitted: tuple[str, ...]
    superseded: tuple[str, ...] = ()

    @property
    def dead_letter_files(self) -> Iterator[tuple[str, Standing]]:
        """All files of dead letters, those that count first."""
        for standing, names in (
            (Standing.COMMITTED, self.committed),
            (Standing.UNCOMMITTED, self.uncommitted),
            (Standing.SUPERSEDED, self.superseded),
        ):
            yield from ((name, standing) for name in names)

    def of_kind(self, kind: str) -> list[Manifest]:
        """Returns the manifests of one kind."""
        return [manifest for manifest in self.manifests if manifest.kind == kind]


def read_evidence(store: Store, folder: str) -> Evidence:
    """Returns what a run's folder holds.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """
    names = store.files.names(folder)
    listed = [name for name in names if name.startswith("manifest-") and name.endswith(".json")]
    contents = store.files.read_many([f"{folder}/{name}" for name in listed])
    counting, earlier = split_superseded(json.loads(content or b"{}") for content in contents)
    manifests = _manifests_of(counting)
    named = _dead_letter_files_of(manifests)
    superseded = _dead_letter_files_of(_manifests_of(earlier)) - named
    files = [
        name for name in names if name.startswith("dead_letters-") and name.endswith((".avro", ".jsonl"))
    ]
    return Evidence(
        tuple(manifests),
        tuple(name for name in files if name in named),
        tuple(name for name in files if name not in named and name not in superseded),
        tuple(name for name in files if name in superseded),
    )


def _manifests_of(contents: Iterable[Mapping[str, Any]]) -> list[Manifest]:
    manifests: dict[tuple[str, str, str], Manifest] = {}
    for content in contents:
        for fields in content.get("manifests", ()):
            manifest = Manifest(**fields)
            manifests[manifest.kind, manifest.stage, manifest.file] = manifest
    return list(manifests.values())


def _dead_letter_files_of(manifests: Iterable[Manifest]) -> set[str]:
    return {manifest.file for manifest in manifests if manifest.kind == "dead_letters"}


def summarize_dead_letters(store: Store, folder: str, evidence: Evidence) -> dict[str, Any]:
    """Returns the ``dead_letters`` of ``end.json``: counts in all, by stage and by fingerprint; and how many
    of each stage are in files, committed or not.

    Manifests tell them without a look at the letters. Where none was committed, the files are read.
    """
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    by_stage: dict[str, int] = {}
    others = 0
    for manifest in evidence.of_kind("dead_letters"):
        by_stage[manifest.stage] = by_stage.get(manifest.stage, 0) + manifest.count
        others += manifest.details.get("others", 0)
        for fingerprint, told in manifest.details.get("fingerprints", {}).items():
            _add(kinds, manifest.stage, fingerprint, told, told["count"])
    uncommitted: dict[str, int] = {}
    for name in evidence.uncommitted:
        for letter in read_file(store, f"{folder}/{name}"):
            uncommitted[letter.stage] = uncommitted.get(letter.stage, 0) + 1
            if not evidence.manifests:
                _add(kinds, letter.stage, letter.fingerprint, _told(letter), 1)
    if not evidence.manifests:
        for (stage, _), kind in kinds.items():
            by_stage[stage] = by_stage.get(stage, 0) + kind["count"]
    return {
        "count": sum(by_stage.values()),
        "committed": sum(manifest.count for manifest in evidence.of_kind("dead_letters")),
        "uncommitted": sum(uncommitted.values()),
        "in_files": {
            stage: sum(one.count for one in evidence.of_kind("dead_letters") if one.stage == stage)
            + uncommitted.get(stage, 0)
            for stage in sorted(by_stage.keys() | uncommitted.keys())
        },
        "superseded": sum(_count_file(store, f"{folder}/{name}") for name in evidence.superseded),
        "by_stage": by_stage,
        "by_fingerprint": sorted(kinds.values(), key=lambda kind: (-kind["count"], kind["stage"])),
        "other_fingerprints": others,
    }


def summarize_checks(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns the ``checks`` of ``end.json``: of each Check that only counts, its records by assumption."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in evidence.of_kind("checks"):
        for assumption, told in manifest.details.get("assumptions", {}).items():
            check = {
                "stage": manifest.stage,
                "assumption": assumption,
                "broken": 0,
                "example": told["example"],
            }
            found.setdefault((manifest.stage, assumption), check)["broken"] += told["count"]
    return sorted(found.values(), key=lambda check: (check["stage"], -check["broken"], check["assumption"]))


def count_dead_letters(store: Store, folder: str) -> int:
    """Returns how many dead letters a run that has not ended has left: the committed ones, if any are.

    Of Avro files only the headers of their blocks are looked at.
    """
    evidence = read_evidence(store, folder)
    if evidence.manifests:
        return sum(manifest.count for manifest in evidence.of_kind("dead_letters"))
    return sum(_count_file(store, f"{folder}/{name}") for name in evidence.uncommitted)


def _count_file(store: Store, path: str) -> int:
    if path.endswith(".jsonl"):
        return sum(1 for _ in read_file(store, path))
    import fastavro

    count = 0
    with store.files.open(path) as file, contextlib.suppress(EOFError, ValueError, StopIteration):
        for block in fastavro.block_reader(file):
            count += block.num_records
    return count


def dead_letters(
    store: Store, record: RunRecord, stage: str | None = None, fingerprint: str | None = None
) -> Iterator[tuple[DeadLetter, Standing]]:
    """Gives the dead letters of a run one by one, each with whether it counts.

    Args:
      store: the store.
      record: the run.
      stage: label of the stage; None for all.
      fingerprint: the fingerprint, or its beginning; None for all.
    """
    for name, standing in read_evidence(store, record.folder).dead_letter_files:
        for letter in read_file(store, f"{record.folder}/{name}"):
            if stage in (None, letter.stage) and letter.fingerprint.startswith(fingerprint or ""):
                yield letter, standing


def read_file(store: Store, path: str) -> Iterator[DeadLetter]:
    """Gives the dead letters of one file; of a file that is not whole those before the break."""
    with store.files.open(path) as file:
        if path.endswith(".jsonl"):
            for line in file:
                yield DeadLetter.from_json(line.decode("utf-8"))
            return
        import fastavro

        try:
            for row in fastavro.reader(file):
                yield DeadLetter(**row)  # type: ignore[arg-type]
        except (EOFError, ValueError, StopIteration):
            return


def _told(letter: DeadLetter) -> dict[str, Any]:
    return {
        "fingerprint_version": None,  # a letter does not tell it
        "error_type": letter.error_type,
        "error_message": letter.error_message[:500],
        "payload_text": letter.payload_text[:500],
        "source_uri": letter.source_uri,
        "position": letter.position,
        "id": letter.id,
        "first": letter.failed_at,
        "last": letter.failed_at,
    }


def _add(
    kinds: dict[tuple[str, str], dict[str, Any]],
    stage: str,
    fingerprint: str,
    told: dict[str, Any],
    count: int,
) -> None:
    kind = kinds.get((stage, fingerprint))
    if kind is None:
        kinds[stage, fingerprint] = {"stage": stage, "fingerprint": fingerprint, **told, "count": count}
        return
    kind["count"] += count
    kind["first"] = min(kind["first"], told["first"])
    kind["last"] = max(kind["last"], told["last"])

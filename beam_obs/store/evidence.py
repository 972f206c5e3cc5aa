"""The evidence of a run as its folder has it: manifests, and the dead letters that they name.

Needs no Apache Beam on a local store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from beam_obs.records.dead_letter import DeadLetter, example_of_kind
from beam_obs.records.instrument_rows import INSTRUMENTS
from beam_obs.records.ledger_rows import LEDGER, PointSums
from beam_obs.records.manifest import (
    FURTHER_WINDOWS,
    LOST,
    Manifest,
    content_hash,
    short_hash,
    split_superseded,
)
from beam_obs.records.wanted_letters import ALL_LETTERS, WantedLetters
from beam_obs.records.window_counts import WindowCounts
from beam_obs.store.folder import Found
from beam_obs.store.form import fit, parse_object
from beam_obs.store.kept_letters import kept_letters
from beam_obs.store.run_record_forms import FILES, MANIFESTS_FORM
from beam_obs.store.sealing import is_sealed

if TYPE_CHECKING:
    from beam_obs.store.run_record import RunRecord
    from beam_obs.store.store import Store


DEAD_LETTERS = "dead_letters"
_FILES_OF_RUN = {DEAD_LETTERS, "derivations", "output_index", "filtered", INSTRUMENTS}
"""Kinds whose manifests name a file of the run's folder."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Manifest))
_DIGEST_IN_NAME = re.compile(r"manifest-([0-9a-f]{16})\.json")


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
      problems: manifests that cannot be read, or not whole, each as a sentence.
      digests: `content_hash` of each file of manifests, by name.
    """

    manifests: tuple[Manifest, ...]
    committed: tuple[str, ...]
    uncommitted: tuple[str, ...]
    superseded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)

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

    @functools.cached_property
    def by_file(self) -> Mapping[str, Manifest]:
        """The manifests that name a file of the run's folder, by its name."""
        return {one.file: one for one in self.manifests if one.kind in _FILES_OF_RUN}


def read_evidence(store: Store, folder: str, end: Mapping[str, Any] | None = None) -> Evidence:
    """Returns what a run's folder holds.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      end: content of ``end.json``, which names the files of manifests that there were.
    """
    names = store.files.names(folder)
    gone = sorted({name for name in files_at_end(end) if _has_manifests(name)} - {*names})
    read = read_manifest_files(store, folder, names)
    problems = [*(f"{name} is missing" for name in gone), *(one.problem for one in read if one.problem)]
    contents = [one.content for one in read]
    digests = {one.name: one.digest for one in read}
    counting, earlier = split_superseded(contents)
    manifests = manifests_of(counting)
    named = _dead_letter_files_of(manifests)
    superseded = _dead_letter_files_of(manifests_of(earlier)) - named
    files = [
        name for name in names if name.startswith("dead_letters-") and name.endswith((".avro", ".jsonl"))
    ]
    return Evidence(
        tuple(manifests),
        tuple(sorted(named)),
        tuple(name for name in files if name not in named and name not in superseded),
        tuple(name for name in files if name in superseded),
        tuple(problems),
        digests,
    )


class ManifestFile(NamedTuple):
    """A file of manifests.

    Args:
      name: within the run's folder.
      content: what it says, as far as it fits.
      problem: what is wrong with it, as a sentence; empty where nothing is.
      digest: `content_hash` of it.
    """

    name: str
    content: dict[str, Any]
    problem: str
    digest: str

    @property
    def takes_place(self) -> bool:
        """Whether it may take the place of one that its step wrote before."""
        return "commit" in self.content


def read_manifest_files(store: Store, folder: str, names: Iterable[str]) -> list[ManifestFile]:
    """Returns the files of manifests among those of a run's folder.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      names: of files in it.
    """
    listed = list(filter(_has_manifests, names))
    looked = store.files.look([_below(folder, name) for name in listed])
    read: list[ManifestFile] = []
    for name, found in zip(listed, looked, strict=True):
        content, problem = _manifest_file(name, found)
        read.append(ManifestFile(name, content, problem, content_hash(found.content or b"").hexdigest()))
    return read


def _has_manifests(name: str) -> bool:
    return name.startswith("manifest-") and name.endswith(".json")


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def manifests_of(contents: Iterable[Mapping[str, Any]]) -> list[Manifest]:
    """Returns the manifests that files hold, each once."""
    manifests: dict[tuple[str, str, str], Manifest] = {}
    for content in contents:
        for fields in content.get("manifests", ()):
            manifest = Manifest(**{name: fields[name] for name in _FIELDS if name in fields})
            manifests[manifest.kind, manifest.stage, manifest.file] = manifest
    return list(manifests.values())


def _dead_letter_files_of(manifests: Iterable[Manifest]) -> set[str]:
    return {manifest.file for manifest in manifests if manifest.kind == DEAD_LETTERS}


def files_at_end(end: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the files that a run had when it ended, each with `content_hash` of it; of old runs none."""
    return dict((end or {}).get(FILES) or {})


def _manifest_file(name: str, found: Found) -> tuple[dict[str, Any], str]:
    """Returns what a file of manifests says, as far as it fits, and what is wrong with it."""
    if found.content is None:
        return {}, f"{name} cannot be read: {found.problem or 'it is gone'}"
    problems: list[str] = []
    digest = _DIGEST_IN_NAME.fullmatch(name)
    is_named_so = digest is None or digest[1] == short_hash(found.content)
    if not is_named_so and is_sealed(found.content) is not True:
        problems.append("its bytes are not those that were written")
    try:
        content = fit(parse_object(found.content), MANIFESTS_FORM, "", problems)
    except ValueError as error:
        return {}, f"{name} cannot be read: {error}"
    if "manifests" not in content:
        problems.append("it has no manifests")
    for row in list(content.get("manifests", ())):
        if row["kind"] in _FILES_OF_RUN and ("/" in row["file"] or row["file"] in ("", ".", "..")):
            problems.append(f"{row['file']!r} is no name of a file of the run")
            content["manifests"].remove(row)
    return content, f"{name} is damaged: {problems[0]}" if problems else ""


def summarize_dead_letters(store: Store, folder: str, evidence: Evidence) -> dict[str, Any]:
    """Returns the ``dead_letters`` of ``end.json``: counts in all, by stage and by fingerprint; and how many
    of each stage are in files, committed or not.

    Manifests tell them without a look at the letters. Where none was committed, the files are read.
    """
    kinds = _committed_kinds(evidence)
    by_stage: dict[str, int] = {}
    others = 0
    for manifest in evidence.of_kind("dead_letters"):
        by_stage[manifest.stage] = by_stage.get(manifest.stage, 0) + manifest.count
        others += manifest.details.get("others") or 0
    uncommitted: dict[str, int] = {}
    for file in kept_letters(store, folder, evidence.uncommitted, {}):
        for letter in file.letters:
            uncommitted[letter.stage] = uncommitted.get(letter.stage, 0) + 1
            if not evidence.manifests:
                # A letter does not tell the version of its fingerprint.
                told = {"fingerprint_version": None, **example_of_kind(letter)}
                _add(kinds, letter.stage, letter.fingerprint, told, 1)
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
        "superseded": sum(file.letters.rows for file in kept_letters(store, folder, evidence.superseded, {})),
        "by_stage": by_stage,
        "by_fingerprint": sorted(kinds.values(), key=lambda kind: (-kind["count"], kind["stage"])),
        "other_fingerprints": others,
    }


def letters_of_further_windows(evidence: Evidence) -> dict[str, int]:
    """Returns of each stage how many of its committed letters are of refusals that have an earlier one: a
    record that is in several windows has a letter in each, and was refused once."""
    found: dict[str, int] = {}
    for manifest in evidence.of_kind("dead_letters"):
        if further := manifest.details.get(FURTHER_WINDOWS):
            found[manifest.stage] = found.get(manifest.stage, 0) + int(further)
    return found


def committed_kinds(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns the kinds of refusal that manifests tell, as ``by_fingerprint`` of ``end.json`` has them."""
    return list(_committed_kinds(evidence).values())


def kinds_together(kinds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns kinds of refusal that were told apart, each once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for kind in kinds:
        _add(found, kind["stage"], kind["fingerprint"], kind, kind["count"])
    return list(found.values())


def _committed_kinds(evidence: Evidence) -> dict[tuple[str, str], dict[str, Any]]:
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in evidence.of_kind("dead_letters"):
        for fingerprint, told in manifest.details.get("fingerprints", {}).items():
            _add(kinds, manifest.stage, fingerprint, told, told["count"])
    return kinds


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


def summarize_lost(evidence: Evidence, commits_lost: int) -> dict[str, Any] | None:
    """Returns the ``lineage_lost`` of ``end.json``: what of it could not be written; None where nothing.

    Args:
      evidence: of the run.
      commits_lost: files of manifests that could not be written.
    """
    lost = [manifest for manifest in evidence.manifests if LOST in manifest.details]
    if not lost and not commits_lost:
        return None
    return {
        "files": len(lost),
        "rows": sum(manifest.count for manifest in lost),
        "reason": lost[0].details[LOST] if lost else "",
        "commits": commits_lost,
    }


def summarize_windows(evidence: Evidence) -> dict[str, dict[str, WindowCounts]]:
    """Returns by step and window how many elements went in, and how many are in what came out."""
    found: dict[str, dict[str, WindowCounts]] = {}
    for manifest in evidence.of_kind("windows"):
        windows = found.setdefault(manifest.stage, {})
        for window, told in manifest.details.get("windows", {}).items():
            with contextlib.suppress(ValueError, TypeError):  # of nobody's making
                counts = WindowCounts.from_json(told if len(told) > 2 else [*told, 0])
                windows[window] = windows.get(window, WindowCounts()).plus(counts)
    return found


def windows_together(*counts: Mapping[str, Mapping[str, WindowCounts]]) -> dict[str, dict[str, WindowCounts]]:
    """Returns what several `summarize_windows` gave as one."""
    found: dict[str, dict[str, WindowCounts]] = {}
    for one in counts:
        for step, windows in one.items():
            together = found.setdefault(step, {})
            for window, more in windows.items():
                together[window] = together.get(window, WindowCounts()).plus(more)
    return found


def summarize_ledger(evidence: Evidence) -> PointSums:
    """Returns what passed each point of the ledger.

    Raises:
      ValueError: a manifest is damaged.
    """
    sums = PointSums()
    for manifest in evidence.of_kind(LEDGER):
        sums.add_details(manifest.details)
    return sums


def count_dead_letters(store: Store, folder: str) -> int:
    """Returns how many dead letters a run that has not ended has left: the committed ones, if any are.

    Of Avro files only the headers of their blocks are looked at.
    """
    evidence = read_evidence(store, folder)
    if evidence.manifests:
        return sum(manifest.count for manifest in evidence.of_kind(DEAD_LETTERS))
    return sum(file.letters.rows for file in kept_letters(store, folder, evidence.uncommitted, {}))


def dead_letters(
    store: Store,
    record: RunRecord,
    wanted: WantedLetters = ALL_LETTERS,
    problems: list[str] | None = None,
) -> Iterator[tuple[DeadLetter, Standing]]:
    """Gives the dead letters of a run one by one, each with whether it counts.

    Args:
      store: the store.
      record: the run.
      wanted: which.
      problems: where it is noted what is missing or damaged.
    """
    problems = [] if problems is None else problems
    evidence = read_evidence(store, record.folder, record.end)
    problems.extend(evidence.problems)
    standings = dict(evidence.dead_letter_files)
    for file in kept_letters(store, record.folder, standings, evidence.by_file):
        yield from ((letter, standings[file.name]) for letter in file.wanted(wanted))
        problems.extend([file.problem_so_far] if file.problem_so_far else [])


def _add(
    kinds: dict[tuple[str, str], dict[str, Any]],
    stage: str,
    fingerprint: str,
    told: Mapping[str, Any],
    count: int,
) -> None:
    kind = kinds.get((stage, fingerprint))
    if kind is None:
        kinds[stage, fingerprint] = {"stage": stage, "fingerprint": fingerprint, **told, "count": count}
        return
    kind["count"] += count
    kind["first"] = min(kind["first"], told["first"])
    kind["last"] = max(kind["last"], told["last"])

"""One person's evidence, found in the runs of a store and erased from all of them.

First all that is to go is found and written down in the store (`PENDING`); then each file is written again,
manifests and end last. A second try after an interruption goes on from there, and ends the same.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

from beam_obs.records.errors import BeamObsError
from beam_obs.records.ledger_rows import LEDGER, SUMS, SUMS_BY_WINDOW
from beam_obs.records.letter_index import INDEX_DIGEST, index_name
from beam_obs.records.manifest import FILE_BYTES, FILE_DIGEST, content_hash
from beam_obs.records.origin import is_derived, parse_origin
from beam_obs.store.erased_rows import (
    ERASED_TEXT,
    erased_so_far,
    rewrite,
    without_contributors,
    without_filtered,
    without_letters,
    without_outputs,
)
from beam_obs.store.erased_spans import without_spans
from beam_obs.store.evidence import Evidence, read_evidence
from beam_obs.store.file_problem import problem_of_file
from beam_obs.store.form import parse_object
from beam_obs.store.kept_letters import kept_letters
from beam_obs.store.letter_files import LetterFile
from beam_obs.store.person import Person, origin_of
from beam_obs.store.row_files import RowFile, read_metadata, read_row_file
from beam_obs.store.run_record import END, RunRecord
from beam_obs.store.run_record_forms import ERASED_AT_END, FILES
from beam_obs.store.sealing import encode_record, is_sealed, seal
from beam_obs.store.store import PENDING, Store

_KINDS = {
    "dead_letters-": "dead letters",
    "replayed.": "dead letters that were replayed",
    "outputs-": "rows of output indexes",
    "filtered-": "notes of filtered elements",
    "derivations-": "contributors of aggregates",
}


@dataclasses.dataclass(frozen=True)
class Erased:
    """What was erased, or would be.

    Args:
      runs: ids of the runs that had any of it.
      counts: how many of what went, by what.
      left: runs and files that could not be searched or written, each with why.
    """

    runs: tuple[str, ...]
    counts: dict[str, int]
    left: tuple[str, ...]


def erase(store: Store, person: Person, *, pipeline: str | None = None, dry_run: bool = False) -> Erased:
    """Erases a person's evidence from the runs of a store; first what an interrupted erasure left.

    Args:
      store: the store.
      person: whose.
      pipeline: name of the pipeline; None for all.
      dry_run: whether it is only counted.
    """
    pending = pending_erasure(store)
    if pending is not None and not dry_run:
        _Erasing(store, pending, None).run()
        store.files.delete(PENDING)
    erasing = _Erasing(store, person, pipeline, dry_run)
    erasing.find()
    if not dry_run:
        content = json.dumps(erasing.person.to_json(), indent=1).encode("utf-8", "backslashreplace")
        store.files.write(PENDING, content)
    found = erasing.run()
    if not dry_run:
        store.files.delete(PENDING)
    return found


def pending_erasure(store: Store) -> Person | None:
    """Returns what an erasure that was begun, and not ended, has found; None where there is none.

    Raises:
      BeamObsError: it cannot be read.
    """
    (found,) = store.files.look([PENDING])
    if found.content is None and not found.problem:
        return None
    try:
        told = parse_object(found.content or b"")
        origins = frozenset(parse_origin(text) for text in told["origins"])
        return Person(str(told["field"]), str(told["value"]), origins, frozenset(map(str, told["letters"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = found.problem or f"{type(error).__name__}: {error}"
        raise BeamObsError(
            f"{PENDING} of the store, of an erasure that was begun, cannot be read: {reason}. "
            "Remove it, and ask for the erasure again"
        ) from None


class _Erasing:
    """An erasure under way.

    Args:
      store: the store.
      person: whose evidence.
      pipeline: name of the pipeline; None for all.
      dry_run: whether it is only counted.
    """

    def __init__(self, store: Store, person: Person, pipeline: str | None, dry_run: bool = False) -> None:
        self._store = store
        self.person = person
        self._dry_run = dry_run
        self._left: list[str] = []
        self._counts: dict[str, int] = {}
        self._records = []
        for record in store.runs(pipeline):
            if record.status == "running":
                self._left.append(f"run {record.id} is running: its evidence is still being written")
            else:
                self._records.append(record)

    def find(self) -> None:
        """Finds the person's dead letters in all runs, and by them the origins of the person's records."""
        origins, letters = set(self.person.origins), set()
        for record in self._records:
            evidence = read_evidence(self._store, record.folder, record.end)
            self._left.extend(f"run {record.id}: {problem}" for problem in evidence.problems)
            names = (name for name, _ in evidence.dead_letter_files)
            for file in kept_letters(self._store, record.folder, names, {}):
                for letter in file.letters:
                    if self.person.has_refused(letter):
                        letters.add(letter.id)
                        origin = origin_of(letter)
                        if origin is not None and not is_derived(origin):
                            origins.add(origin)
        self.person = dataclasses.replace(self.person, origins=frozenset(origins), letters=frozenset(letters))

    def run(self) -> Erased:
        """Erases; returns what went."""
        runs = [record.id for record in self._records if self._erase_from(record)]
        return Erased(tuple(runs), self._counts, tuple(dict.fromkeys(self._left)))

    def _erase_from(self, record: RunRecord) -> bool:
        before = dict(self._counts)
        evidence = read_evidence(self._store, record.folder, record.end)
        told: dict[str, dict[str, Any]] = {}
        so_far = 0
        for name in self._store.files.names(record.folder):
            kind = next((kind for kind in _KINDS if name.startswith(kind)), None)
            if name.startswith(".partial-"):
                self._remove(record, name)
            elif name.startswith("traces-"):
                self._erase_spans(record, name)
            elif kind is not None:
                so_far += self._erase_rows(record, evidence, name, kind, told)
        for name in told:
            self._remove_index(record, name)
        hashes = self._correct_manifests(record, told)
        self._correct_end(record, hashes, so_far)
        return self._counts != before

    def _count(self, what: str, number: int) -> None:
        if number:
            self._counts[what] = self._counts.get(what, 0) + number

    def _write(self, record: RunRecord, name: str, content: bytes) -> None:
        if not self._dry_run:
            self._store.files.write(f"{record.folder}/{name}", content)

    def _remove(self, record: RunRecord, name: str) -> None:
        """Removes a file that a bundle which failed was writing: whose rows it has cannot be told."""
        self._count("files that were not finished", 1)
        if not self._dry_run:
            self._store.files.delete(f"{record.folder}/{name}")

    def _remove_index(self, record: RunRecord, name: str) -> None:
        """Removes the index of a file that has other rows now: it has hashes of those that went."""
        if not self._dry_run:
            self._store.files.delete(f"{record.folder}/{index_name(name)}")

    def _erase_rows(
        self, record: RunRecord, evidence: Evidence, name: str, kind: str, told: dict[str, dict[str, Any]]
    ) -> int:
        """Erases rows of a file; returns how many it has lost by now.

        Args:
          record: the run.
          evidence: of the run.
          name: of the file.
          kind: how its name begins.
          told: what manifests are to say of files, by name; added to.
        """
        (found,) = self._store.files.look([f"{record.folder}/{name}"])
        if found.content is None:
            self._left.append(f"run {record.id}: {name} cannot be read: {found.problem or 'it is gone'}")
            return 0
        if name.endswith(".jsonl"):
            return self._erase_lines(record, name, found.content, told)
        file, manifest = read_row_file(name, found.content), evidence.by_file.get(name)
        is_whole = manifest is None or not problem_of_file(manifest, found) or erased_so_far(file.metadata)
        if (manifest is not None and file.problem) or not is_whole:
            self._left.append(
                f"run {record.id}: {name} is damaged: what cannot be read of it is not searched"
            )
        try:
            again = rewrite(file, self._filter(kind, file))
        except Exception as error:  # a decoder of what may be anything
            self._left.append(f"run {record.id}: {name} is damaged: {type(error).__name__}")
            return 0
        content, rows = found.content, file.rows
        if again is not None:
            self._count(_KINDS[kind], again.erased)
            self._write(record, name, again.content)
            content, rows = again.content, again.rows
        so_far = erased_so_far(read_metadata(content))
        if so_far:
            told[name] = _told(content, rows)
        return so_far

    def _filter(self, kind: str, file: RowFile) -> Callable[[Any], Any]:
        if kind in ("dead_letters-", "replayed."):
            return without_letters(file, self.person.has_refused)
        if kind == "outputs-":
            return without_outputs(self.person.origins)
        if kind == "filtered-":
            return without_filtered(self.person.origins)
        return without_contributors(self.person.origins, self.person.is_named)

    def _erase_lines(
        self, record: RunRecord, name: str, content: bytes, told: dict[str, dict[str, Any]]
    ) -> int:
        letters = list(LetterFile.of_content(name, content))
        kept = [letter for letter in letters if not self.person.has_refused(letter)]
        if len(kept) < len(letters):
            self._count(_KINDS["dead_letters-"], len(letters) - len(kept))
            lines = (letter.to_json().encode("utf-8", "backslashreplace") + b"\n" for letter in kept)
            content = b"".join(lines)
            self._write(record, name, content)
            told[name] = _told(content, len(kept))
        return len(letters) - len(kept)

    def _erase_spans(self, record: RunRecord, name: str) -> None:
        """Erases spans of a file; one with nothing left goes."""
        (found,) = self._store.files.look([f"{record.folder}/{name}"])
        if found.content is None:
            self._left.append(f"run {record.id}: {name} cannot be read: {found.problem or 'it is gone'}")
            return
        left = without_spans(found.content, self.person)
        if left is None:
            return
        self._count("spans", left.erased)
        self._count("spans that cannot be read", left.unread)
        if left.content:
            self._write(record, name, left.content)
        elif not self._dry_run:
            self._store.files.delete(f"{record.folder}/{name}")

    def _correct_manifests(self, record: RunRecord, told: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Lets manifests say what files have now, without examples of the person.

        Returns:
          the hash of each file of manifests that an erasure has written, by name.
        """
        hashes: dict[str, str] = {}
        folder = record.folder
        names = [name for name in self._store.files.names(folder) if name.startswith("manifest-")]
        for name, found in zip(
            names, self._store.files.look([f"{folder}/{name}" for name in names]), strict=True
        ):
            try:
                content = parse_object(found.content or b"")
            except ValueError:
                continue
            before = json.dumps(content, sort_keys=True)
            for row in _rows(content.get("manifests")):
                details = row.get("details")
                if isinstance(details, dict):
                    self._clear_examples(_rows((details.get("fingerprints") or {}).values()))
                    self._clear_examples(_rows((details.get("assumptions") or {}).values()))
                    if row.get("kind") == LEDGER and details.get(SUMS) and self.person.origins:
                        details[SUMS] = {}  # of few elements these are their origins; the end has the result
                        details.pop(SUMS_BY_WINDOW, None)
                    if row.get("file") in told:
                        now = told[row["file"]]
                        row["count"] = now["count"]
                        details.pop(INDEX_DIGEST, None)
                        details.update({key: now[key] for key in (FILE_BYTES, FILE_DIGEST) if key in details})
            if json.dumps(content, sort_keys=True) != before:
                content.pop("seal", None)
                written = seal(encode_record(content))
                self._write(record, name, written)
                hashes[name] = content_hash(written).hexdigest()
            elif found.content is not None and is_sealed(found.content):
                hashes[name] = content_hash(found.content).hexdigest()
        return hashes

    def _correct_end(self, record: RunRecord, hashes: dict[str, str], so_far: int) -> None:
        (found,) = self._store.files.look([f"{record.folder}/{END}"])
        try:
            end = parse_object(found.content or b"")
        except ValueError:
            return
        before = json.dumps(end, sort_keys=True)
        refused = end.get("dead_letters")
        if isinstance(refused, dict):
            self._clear_examples(_rows(refused.get("by_fingerprint")), counted=True)
        self._clear_examples(_rows(end.get("checks")), counted=True)
        self._clear_ledger(end.get("ledger"))
        error = end.get("error")
        if isinstance(error, dict) and self.person.is_named(str(error.get("message"))):
            error["message"] = ERASED_TEXT
            self._count("errors of runs", 1)
        if isinstance(end.get(FILES), dict):
            end[FILES].update({name: hashed for name, hashed in hashes.items() if name in end[FILES]})
        if so_far:
            end[ERASED_AT_END] = so_far
        if json.dumps(end, sort_keys=True) != before:
            end.pop("seal", None)
            self._write(record, END, seal(encode_record(end)))

    def _clear_ledger(self, ledger: Any) -> None:
        """Takes the person's records out of those that the ledger names."""
        origins = {origin.hex() for origin in self.person.origins}
        for edge in _rows((ledger or {}).get("edges")) if isinstance(ledger, dict) else ():
            examples = _rows(edge.get("examples"))
            kept = [example for example in examples if example.get("origin") not in origins]
            if len(kept) < len(examples):
                edge["examples"] = kept
                self._count("examples", len(examples) - len(kept))

    def _clear_examples(self, examples: Iterable[dict[str, Any]], counted: bool = False) -> None:
        """Takes examples of the person out of kinds of refusal and of counted assumptions."""
        for example in examples:
            texts = [str(example.get(name) or "") for name in ("payload_text", "error_message", "example")]
            if example.get("id") in self.person.letters or any(map(self.person.is_named, texts)):
                cleared: dict[str, Any] = dict.fromkeys(("source_uri", "position", "origin"))
                cleared |= dict.fromkeys(("payload_text", "error_message", "example"), ERASED_TEXT)
                changed = {name: value for name, value in cleared.items() if name in example}
                if any(example[name] != value for name, value in changed.items()):
                    example.update(changed)
                    self._count("examples", counted)


def _told(content: bytes, rows: int) -> dict[str, Any]:
    return {"count": rows, FILE_BYTES: len(content), FILE_DIGEST: content_hash(content).hexdigest()}


def _rows(values: Any) -> list[dict[str, Any]]:
    return [one for one in values or () if isinstance(one, dict)]

"""Files of dead letters in a folder: each checked against its manifest, and searched by its index.

An index is used where the manifest names it, it is as it was written, and so is the file; in all other cases
the file is read as a whole, which gives the same letters.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.letter_index import INDEX_DIGEST, LetterIndex, index_name
from beam_obs.records.manifest import FILE_DIGEST, Manifest, content_hash
from beam_obs.records.number_text import counted
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.file_problem import problem_of_file, problem_of_open_file
from beam_obs.store.folder import Found, look_at
from beam_obs.store.letter_files import LetterFile, Opens

if TYPE_CHECKING:
    from beam_obs.store.store import Store

_READ_AT_ONCE = 16
"""Files of a store that is not local: they are read side by side, and kept in memory meanwhile."""


class KeptLetters:
    """A file of dead letters.

    Args:
      store: the store.
      path: of the file.
      manifest: that names it; None where none does.
      found: what there is; of a local file no content.
      opens: opens it.
    """

    def __init__(
        self, store: Store, path: str, manifest: Manifest | None, found: Found, opens: Opens
    ) -> None:
        self._store = store
        self._folder, _, self.name = path.rpartition("/")
        self._manifest = manifest
        self._found = found
        self._opens = opens
        self.letters = LetterFile(self.name, opens if found.content is not None else io.BytesIO)

    @functools.cached_property
    def problem(self) -> str:
        """Why its letters are not all that its manifest names, as a sentence; empty where they are."""
        manifest = self._manifest
        if manifest is None:
            return ""
        if self._found.content is None:
            return problem_of_file(manifest, self._found)
        with self._opens() as file:
            problem = problem_of_open_file(manifest, file)
        if not problem and self.letters.rows != manifest.count:
            kept = counted(manifest.count, "dead letter")
            return f"{self.name} is damaged: it has {self.letters.rows:,} of {kept}"
        return problem

    @property
    def problem_so_far(self) -> str:
        """The same, or that some of those that were looked at cannot be decoded."""
        if self.problem or self._manifest is None or not self.letters.unreadable:
            return self.problem
        count = self._manifest.count
        can_be = max(0, count - self.letters.unreadable)
        return f"{self.name} is damaged: {can_be:,} of {counted(count, 'dead letter')} can be read"

    def wanted(self, wanted: WantedLetters) -> Iterator[DeadLetter]:
        """Gives those of its letters that are wanted and can be read, in the order of the file."""
        return (letter for _, letter in self.numbered(wanted))

    def numbered(self, wanted: WantedLetters, first: int = 0) -> Iterator[tuple[int, DeadLetter]]:
        """Gives the same, each with the number of its row, from a row on."""
        return self.letters.numbered(wanted, None if wanted.is_all else self.index, first)

    @functools.cached_property
    def index(self) -> LetterIndex | None:
        """Its index; None where there is none to be trusted."""
        manifest = self._manifest
        if manifest is None or not {INDEX_DIGEST, FILE_DIGEST} <= manifest.details.keys():
            return None
        (found,) = self._store.files.look([_below(self._folder, index_name(self.name))])
        content = found.content or b""
        if content_hash(content).hexdigest() != manifest.details[INDEX_DIGEST] or self.problem:
            return None
        return LetterIndex.read(content, manifest.count)


def kept_letters(
    store: Store, folder: str, names: Iterable[str], by_file: Mapping[str, Manifest]
) -> Iterator[KeptLetters]:
    """Gives files of dead letters one by one.

    Args:
      store: the store.
      folder: of the files, relative to the store.
      names: of the files.
      by_file: the manifests that name any of them; none for files that are not to be checked.
    """
    listed = list(names)
    if store.local:
        for name in listed:
            path = _below(folder, name)
            found = look_at(functools.partial(_open_once, store), path)
            yield KeptLetters(
                store, path, by_file.get(name), found, functools.partial(store.files.open, path)
            )
        return
    for start in range(0, len(listed), _READ_AT_ONCE):
        paths = {name: _below(folder, name) for name in listed[start : start + _READ_AT_ONCE]}
        for (name, path), found in zip(paths.items(), store.files.look([*paths.values()]), strict=True):
            opens = functools.partial(io.BytesIO, found.content or b"")
            yield KeptLetters(store, path, by_file.get(name), found, opens)


def _open_once(store: Store, path: str) -> bytes | None:
    try:
        with store.files.open(path):
            return b""
    except (FileNotFoundError, NotADirectoryError):
        return None


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name

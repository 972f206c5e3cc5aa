"""A store: the folder that all runs are kept in, on any filesystem.

    <store>/runs/<pipeline>/<run id>/start.json, end.json, manifest-*.json, dead_letters-*.avro, ...

Run ids are UUIDv7, so that sorting by id sorts by time, and the newest are found without reading any.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import uuid
from collections.abc import Iterator, Sequence

from beam_obs.records.errors import BeamObsError
from beam_obs.records.given import given_path
from beam_obs.store.configuration import Configuration, find_configuration
from beam_obs.store.folder import Folder, folder_at, is_local, local_path
from beam_obs.store.run_record import END, START, RunRecord, RunRecords
from beam_obs.store.unknown_name import beginning_of, nearest_names, nearest_text

STORE_VARIABLE = "BEAM_OBS_STORE"
DEFAULT_STORE = ".beam_obs"

PENDING = "erasing.json"
"""What an erasure that was begun has found, in the root of the store until it is done."""

_SHOWN_CANDIDATES = 8
_LOOKED_AT = 1_000
_RUN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""Ids of runs: a folder of another name is none of ours."""

_EVIDENCE = ("manifest-", "partitions.")
"""How files begin that tell a run which has lost both its start and its end."""

_LATEST = re.compile(r"latest(?:~(\d{1,9}))?")


def default_store(configuration: Configuration | None = None) -> str:
    """Returns the root of the store where none is named.

    Args:
      configuration: what the file of settings says, where it was read already.

    Raises:
      UsageError: ``beam_obs.toml`` has something wrong.
    """
    named = os.environ.get(STORE_VARIABLE)
    return named or (configuration or find_configuration()).store or DEFAULT_STORE


class StoreNotWritable(BeamObsError):
    """A store cannot be written to.

    Args:
      store: the store's root.
      reason: what the filesystem said.
    """

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(
            f"the store {store!r} cannot be written: {reason}. "
            f"Name another with --obs_store=FOLDER or the variable {STORE_VARIABLE}"
        )
        self.store = store
        self.reason = reason


class StoreNotFound(BeamObsError):
    """There is no store where one was looked for.

    Args:
      store: the root, as it was given.
      nearby: stores that there are near it.
    """

    def __init__(self, store: str, nearby: Sequence[str] = ()) -> None:
        what = "the folder has no runs/" if os.path.isdir(store) else "there is no such folder"
        what = what if is_local(store) else "nothing is there, or it has no runs"
        near = f"; nearby {'is' if len(nearby) == 1 else 'are'}: {', '.join(nearby)}" if nearby else ""
        super().__init__(
            f"no store at {store!r}: {what}{near}. Name it by --store FOLDER or the variable {STORE_VARIABLE}"
        )
        self.store = store
        self.nearby = tuple(nearby)


class RunNotFound(BeamObsError):
    """No run, or more than one, is meant by a selector.

    Args:
      message: what was asked and what there is.
      candidates: ids of the runs that may be meant.
    """

    def __init__(self, message: str, candidates: list[str]) -> None:
        super().__init__(message)
        self.candidates = candidates


class Store:
    """The runs in a folder.

    Args:
      uri: root of the store, a path or a URI of a filesystem that Beam knows; the default is that of
        the commands: the variable ``BEAM_OBS_STORE``, else what ``beam_obs.toml`` says, else ``.beam_obs``.
      must_exist: whether it is an error, when runs are looked for, that there is no store.

    Raises:
      UsageError: `uri` is no path, or ``beam_obs.toml`` is looked at, and has something wrong.

    >>> Store("nowhere").runs()
    []
    """

    def __init__(self, uri: str | os.PathLike[str] | None = None, must_exist: bool = False) -> None:
        self._must_exist = must_exist
        given = given_path(uri, "store", "'gs://bucket/runs'") if uri else default_store()
        self.local = is_local(given)
        self.uri = os.path.abspath(local_path(given)) if self.local else given.rstrip("/")
        self.files: Folder = folder_at(self.uri)

    @property
    def is_default(self) -> bool:
        """Whether the commands find this store without being told where."""
        return self.uri == Store().uri

    @property
    def shown_uri(self) -> str:
        """The root as a person would write it: relative where it lies below the working folder."""
        if not self.local:
            return self.uri
        below = os.path.relpath(self.uri)
        return self.uri if below.startswith(os.pardir) else below

    def check_writable(self) -> None:
        """Writes a small file and removes it again.

        Raises:
          StoreNotWritable: with what the filesystem said.
        """
        probe = f".write-check-{uuid.uuid4().hex[:8]}"
        try:
            # Beam's S3 cannot write an empty file, and a full disk can.
            self.files.write(probe, b"can be written\n")
            self.files.delete(probe)
        except Exception as error:
            raise StoreNotWritable(self.uri, str(error) or type(error).__name__) from error

    def runs(self, pipeline: str | None = None, limit: int | None = None) -> list[RunRecord]:
        """Returns the runs of a pipeline, or of all, newest first.

        Args:
          pipeline: name of the pipeline; None for all.
          limit: at most this many; None for all.
        """
        return RunRecords(self.read(self.ids(pipeline)[:limit]))

    def ids(self, pipeline: str | None = None) -> list[tuple[str, str]]:
        """Returns the runs of a pipeline, or of all, as (id, pipeline), newest first; reads none of them."""
        return sorted(
            ((run, name) for name, run in self._folders() if pipeline in (None, name)), reverse=True
        )

    def count(self, pipeline: str | None = None) -> int:
        """Returns the number of runs of a pipeline, or of all."""
        return len(self.ids(pipeline))

    def check_pipeline(self, name: str) -> None:
        """Looks whether there are runs of a pipeline.

        Raises:
          RunNotFound: there are none.
        """
        _check_name(name, self.ids(), self.shown_uri)

    def find(self, selector: str) -> RunRecord:
        """Returns the run that is meant.

        Args:
          selector: a run's id, a prefix that only one id has, ``latest``, ``latest~1`` for the one before
            it, or any of these for one pipeline: ``PIPELINE@latest``.

        Raises:
          RunNotFound: there is no such run, or more than one.
        """
        name, _, wanted = selector.rpartition("@")
        found = self.ids()
        if name:
            _check_name(name, found, self.shown_uri)
            found = [(run, of) for run, of in found if of == name]
        back = _LATEST.fullmatch(wanted)
        if back is not None:
            if not found:
                raise RunNotFound(f"the store {self.uri!r} has no runs", [])
            steps = int(back[1] or 0)
            if steps >= len(found):
                of = f"pipeline {name!r}" if name else f"the store {self.uri!r}"
                raise RunNotFound(f"no run {selector!r}: {of} has {len(found)}", [run for run, _ in found])
            return self.read(found[steps : steps + 1])[0]
        begins = beginning_of(wanted)
        meant = [(run, of) for run, of in found if run.startswith(begins)] if begins else []
        if len(meant) == 1:
            return self.read(meant)[0]
        if not meant:
            if any(of == selector for _, of in found):
                raise RunNotFound(
                    f"{selector!r} is a pipeline, not a run: write {selector}@latest for its newest one", []
                )
            nearest = nearest_names(selector, sorted({of for _, of in found}))
            meant_so = f"; the newest of the nearest pipeline is {nearest[0]}@latest" if nearest else ""
            newest = [f"{run} ({of})" for run, of in found]
            raise RunNotFound(
                f"no run {selector!r} in the store {self.uri!r}{meant_so}{_listed('the newest are', newest)}",
                [run for run, _ in found],
            )
        listed = _listed("", [f"{run} ({of})" for run, of in meant])
        raise RunNotFound(f"{selector!r} may be any of {len(meant)} runs{listed}", [run for run, _ in meant])

    @functools.cached_property
    def is_being_erased(self) -> bool:
        """Whether an erasure was begun and has not ended."""
        (found,) = self.files.look([PENDING])
        return found.content is not None or bool(found.problem)

    def _folders(self) -> list[tuple[str, str]]:
        found = self.files.grandchildren("runs", (START, END), _EVIDENCE)
        if not found and self._must_exist and not (self.local and _is_store(self.uri)):
            raise StoreNotFound(self.shown_uri, _stores_near(self.uri) if self.local else ())
        return [(name, run) for name, run in found if _RUN.fullmatch(run)]

    def read(self, ids: list[tuple[str, str]]) -> list[RunRecord]:
        """Returns the runs with these ids, each given with the name of its pipeline, in order."""
        paths = [f"runs/{name}/{run}/{file}" for run, name in ids for file in (START, END)]
        from beam_obs.store.read_run_record import read_run_record  # who writes a run reads none

        found = self.files.look(paths)
        with _without_collecting():
            return [
                read_run_record(self, name, run, *found[2 * at : 2 * at + 2])
                for at, (run, name) in enumerate(ids)
            ]


def store_at(where: Store | str | os.PathLike[str] | None) -> Store:
    """Returns a store given as itself, or by its folder, which must be there; else that of the commands."""
    if where is None:
        return Store()
    return where if isinstance(where, Store) else Store(os.fspath(where), must_exist=True)


def given_root(store: Store | str | os.PathLike[str] | None) -> str | None:
    """Returns the root of a store that a program gave its pipelines, which may have to be made yet.

    Raises:
      UsageError: it is neither a path nor a store.

    >>> given_root("gs://bucket/runs"), given_root(Store("s3://bucket/runs/"))
    ('gs://bucket/runs', 's3://bucket/runs')
    """
    if store is None:
        return None
    return store.uri if isinstance(store, Store) else given_path(store, "store", "'gs://bucket/runs'")


def _check_name(name: str, ids: list[tuple[str, str]], store: str) -> None:
    """Raises RunNotFound where none of the runs is of a pipeline of that name."""
    names = sorted({of for _, of in ids})
    if name not in names:
        raise RunNotFound(f"no pipeline {name!r} in the store {store!r}{nearest_text(name, names)}", [])


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Keeps the collector of cycles, of which records have none, from going through them again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_store(folder: str) -> bool:
    return os.path.isdir(os.path.join(folder, "runs"))


def _stores_near(uri: str) -> list[str]:
    """Returns the stores in a folder, around it, beside it and in the working folder."""
    around = os.path.dirname(uri)
    candidates = (os.path.join(uri, DEFAULT_STORE), around, *_folders_in(around), *_folders_in(os.curdir))
    found = sorted({os.path.abspath(one) for one in candidates if _is_store(one)})
    return [Store(one).shown_uri for one in found[:_SHOWN_CANDIDATES]]


def _folders_in(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)[:_LOOKED_AT]]
    except OSError:
        return []


def _listed(introduction: str, names: list[str]) -> str:
    if not names:
        return ""
    shown = "".join(f"\n  {name}" for name in names[:_SHOWN_CANDIDATES])
    more = f"\n  and {len(names) - _SHOWN_CANDIDATES} more" if len(names) > _SHOWN_CANDIDATES else ""
    return f"{'; ' if introduction else ''}{introduction}:{shown}{more}"

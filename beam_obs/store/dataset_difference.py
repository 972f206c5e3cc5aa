"""How the inputs and outputs of two runs differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from beam_obs.store.kinds_of_refusal import GONE, NEW

SAME, CHANGED, UNKNOWN = "same", "changed", "unknown"

Pair = tuple[Any, Any]
"""A value in the earlier run and in the later one; None where it is not there."""


@dataclasses.dataclass(frozen=True)
class DatasetChange:
    """An input or output in two runs.

    Args:
      label: full label of its step.
      name: what the pipeline calls it.
      state: ``same``, ``changed``, ``new``, ``gone`` or ``unknown``: of inputs by the versions of their
        files, of outputs by digest.
      uri: pattern or prefix.
      records: numbers of records.
      digest: order-free digests of the records, of outputs.
      files: of inputs the files that are new, gone or changed: name, state, versions and bytes.
      same_files: of inputs the number of files with the same version.
    """

    label: str
    name: str
    state: str
    uri: Pair
    records: Pair
    digest: Pair
    files: tuple[dict[str, Any], ...] = ()
    same_files: int = 0


def pair_of(values: Iterable[Any]) -> Pair:
    """Returns the two values of something that goes over both runs."""
    first, second = values
    return first, second


def compare_datasets(
    before: list[dict[str, Any]], after: list[dict[str, Any]], *, by_files: bool
) -> tuple[DatasetChange, ...]:
    """Returns how datasets differ, those of the later run first.

    Args:
      before: the datasets of the one run, as its record has them.
      after: those of the other.
      by_files: whether files tell what changed, as of inputs, or digests, as of outputs.
    """
    found = [{dataset["label"]: dataset for dataset in datasets} for datasets in (before, after)]
    labels = list(dict.fromkeys((*found[1], *found[0])))
    return tuple(_dataset(label, found[0].get(label), found[1].get(label), by_files) for label in labels)


def _dataset(
    label: str, before: dict[str, Any] | None, after: dict[str, Any] | None, by_files: bool
) -> DatasetChange:
    both = before or {}, after or {}
    records, digest = pair_of(one.get("records") for one in both), pair_of(one.get("digest") for one in both)
    files, same = _files(*(_versions(one) for one in both)) if by_files else ([], 0)
    if before is None or after is None:
        state = NEW if before is None else GONE
    elif by_files:
        known = bool(files or same) and all(
            version is not None for one in both for version, _ in _versions(one).values()
        )
        state = CHANGED if files or records[0] != records[1] else SAME if known else UNKNOWN
    elif None in digest:
        state = CHANGED if records[0] != records[1] else UNKNOWN
    else:
        state = SAME if digest[0] == digest[1] else CHANGED
    name = (after or before or {}).get("name") or label
    return DatasetChange(
        label, name, state, pair_of(one.get("uri") for one in both), records, digest, tuple(files), same
    )


def _versions(dataset: dict[str, Any]) -> dict[str, tuple[str | None, int]]:
    """Returns version and bytes of each file, whichever ranges of it were read."""
    found: dict[str, tuple[str | None, int]] = {}
    for file in dataset.get("files") or ():
        found[file.get("name") or file["uri"]] = file.get("version"), file.get("size") or 0
    return found


def _files(
    before: dict[str, tuple[str | None, int]], after: dict[str, tuple[str | None, int]]
) -> tuple[list[dict[str, Any]], int]:
    changes, same = [], 0
    for name in sorted({*before, *after}):
        versions = pair_of(files[name][0] if name in files else None for files in (before, after))
        if name in before and name in after and versions[0] == versions[1]:
            same += 1
            continue
        state = NEW if name not in before else GONE if name not in after else CHANGED
        sizes = pair_of(files[name][1] if name in files else None for files in (before, after))
        changes.append({"name": name, "state": state, "version": versions, "bytes": sizes})
    return changes, same

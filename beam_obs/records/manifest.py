"""A manifest: one row that says which evidence file a finished bundle wrote.

Only manifests travel through the pipeline, as JSON text; a file that no committed manifest names is
evidence of a bundle that failed or was tried again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

DEAD_LETTERS = "dead_letters"
FURTHER_WINDOWS = "further_windows"
"""In the details of dead letters: how many are of a refusal that has a letter in an earlier window."""
"""Kind of the manifest of a file of dead letters."""

LOST = "lost"
"""Detail of the manifest of a file that could not be written, and is not there: why."""

FILE_BYTES, FILE_DIGEST = "file_bytes", "file_digest"
"""Details of an evidence file: its length, and `content_hash` of it, by which it is checked when read."""


def content_hash(content: bytes = b"") -> hashlib.blake2b:
    """Returns the hash by which a store's files are checked, of 16 bytes.

    >>> content_hash(b"a").hexdigest()
    '27c35e6e9373877f29e562464e46497e'
    """
    return hashlib.blake2b(content, digest_size=16)


def short_hash(content: bytes) -> str:
    """Returns the hash that the name of a file of manifests has, 16 hex digits."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What one bundle left behind.

    Args:
      kind: ``dead_letters``, ``inputs`` or ``outputs``.
      stage: label of the step.
      file: name of the evidence file within the run's folder, or the URI of an input or output.
      count: number of records.
      digest: order-free digest of the records, 16 hex digits, or empty.
      details: JSON-able facts of the kind, e.g. counts by fingerprint.

    >>> Manifest.from_json(Manifest("outputs", "write", "a.avro", 3).to_json()).count
    3
    """

    kind: str
    stage: str
    file: str
    count: int
    digest: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the manifest as one line of JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Returns the manifest that `to_json` wrote."""
        return cls(**json.loads(text))


class Commit(NamedTuple):
    """Which step of a batch job committed manifests, and when.

    Such a step sees the manifests of all finished bundles at once. Where an engine starts a job again, it
    may see others later, since rows were written anew: what a step commits last takes the place of what it
    committed before.

    Args:
      run: id of the run.
      step: label of the step.
      at: microseconds since 1970.
    """

    run: str
    step: str
    at: int

    @classmethod
    def now(cls, run: str, step: str) -> Commit:
        """Returns a commit of this moment."""
        return cls(run, step, time.time_ns() // 1000)


def commit_content(manifests: Iterable[str], commit: Commit | None) -> bytes:
    """Returns the content of a file that commits manifests.

    Args:
      manifests: as JSON text.
      commit: of all manifests that there are; None where others were committed before, and are still right.
    """
    content: dict[str, Any] = {"manifests": [json.loads(text) for text in sorted(manifests)]}
    if commit is not None:
        content["commit"] = commit._asdict()
    return json.dumps(content, indent=1).encode()


def split_superseded(
    contents: Iterable[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Returns the files of manifests that count, and those whose step committed again later.

    Args:
      contents: of all such files, parsed.

    >>> first, again = ({"commit": {"run": "r", "step": "s", "at": at}} for at in (1, 2))
    >>> split_superseded([again, first, {}]) == ([again, {}], [first])
    True
    """
    found = list(contents)
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    for content in found:
        key = _step_of(content)
        if key is not None and (key not in last or content["commit"]["at"] > last[key]["commit"]["at"]):
            last[key] = content
    counting: list[Mapping[str, Any]] = []
    superseded: list[Mapping[str, Any]] = []
    for content in found:
        key = _step_of(content)
        (counting if key is None or last[key] is content else superseded).append(content)
    return counting, superseded


def _step_of(content: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns the run and the step that committed a file; None where it does not say, or not as it should."""
    commit = content.get("commit")
    if not isinstance(commit, dict) or type(commit.get("at")) is not int:
        return None
    return str(commit.get("run")), str(commit.get("step"))

"""A manifest: one row that says which evidence file a finished bundle wrote.

Only manifests travel through the pipeline, as JSON text; a file that no committed manifest names is
evidence of a bundle that failed or was tried again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

FILE_BYTES, FILE_DIGEST = "file_bytes", "file_digest"
"""Details of an evidence file: its length, and `content_hash` of it, by which it is checked when read."""


def content_hash(content: bytes = b"") -> hashlib.blake2b:
    """Returns the hash by which a store's files are checked, of 16 bytes.

    >>> content_hash(b"a").hexdigest()
    '27c35e6e9373877f29e562464e46497e'
    """
    return hashlib.blake2b(content, digest_size=16)


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

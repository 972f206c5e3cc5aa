"""Files of JSON that end with a hash of what is before it: ``end.json``, and what an erasure wrote again."""

from __future__ import annotations

import json
import re
from typing import Any

from beam_obs.records.manifest import content_hash

SEALED = "sealed"
"""Field of ``start.json``: whether it is sealed, and the end that is written for it."""

_SEAL = re.compile(rb',\n "seal": "([0-9a-f]{32})"\n}\Z')


def encode_record(content: dict[str, Any], indent: int | None = 1) -> bytes:
    """Returns the content of a file of a run; without `indent` on one line, several times quicker."""
    return json.dumps(content, indent=indent, ensure_ascii=False).encode("utf-8", "backslashreplace")


def seal(content: bytes) -> bytes:
    """Returns the content of a file with a hash of all that is before it, by which it is checked.

    >>> is_sealed(seal(encode_record({"status": "done"})))
    True
    """
    body = content.removesuffix(b"\n}")
    return body + f',\n "seal": "{content_hash(body).hexdigest()}"\n}}'.encode()


def is_sealed(content: bytes) -> bool | None:
    """Returns whether a file is as it was written; None where it has no seal."""
    found = _SEAL.search(content)
    return None if found is None else found[1].decode() == content_hash(content[: found.start()]).hexdigest()

"""Why a file of evidence is not the one that its manifest names, as a sentence; empty where it is."""

from __future__ import annotations

from typing import BinaryIO

from beam_obs.records.manifest import FILE_BYTES, FILE_DIGEST, Manifest, content_hash
from beam_obs.records.number_text import counted
from beam_obs.store.folder import Found

_PART_BYTES = 1 << 20


def problem_of_file(manifest: Manifest, found: Found) -> str:
    """Returns it of a file that was read.

    Args:
      manifest: of a bundle that was committed.
      found: what there is.
    """
    if found.content is None:
        rows = counted(manifest.count, "row")
        why = f"cannot be read: {found.problem}" if found.problem else "is missing"
        return f"{manifest.file}, of {rows}, {why}"
    return _unlike(manifest, len(found.content), content_hash(found.content).hexdigest())


def problem_of_open_file(manifest: Manifest, file: BinaryIO) -> str:
    """Returns it of a file of any size, which is read a part at a time.

    Args:
      manifest: of a bundle that was committed.
      file: open for reading, at its beginning.
    """
    size, digest = 0, content_hash()
    while part := file.read(_PART_BYTES):
        size += len(part)
        digest.update(part)
    return _unlike(manifest, size, digest.hexdigest())


def _unlike(manifest: Manifest, size: int, digest: str) -> str:
    written = manifest.details.get(FILE_BYTES)
    if isinstance(written, int) and written > size:
        return f"{manifest.file} is cut: it has {size:,} of {counted(written, 'byte')}"
    if manifest.details.get(FILE_DIGEST) not in (None, digest):
        return f"{manifest.file} is damaged: its bytes are not those that were written"
    return ""

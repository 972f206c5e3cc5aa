"""The version of a file: its generation where the store has one, else its size and a digest of its bytes.

So a clone of the same data gives the same origins on another day and another disk.
"""

from __future__ import annotations

import hashlib
import logging

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_obs.files.file_state import FileState, state_of

_CHUNK_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)
CHANGED_WHILE_READ = "changed_while_read"
_MOST = 1 << 16
_VERSIONS: dict[tuple[str, FileState], str] = {}


def file_version(path: str, state: FileState) -> str:
    """Returns the version of a file, asked for or computed once per process and state of the file.

    Args:
      path: the file, on any Beam filesystem.
      state: of the file, as it was when it was opened.

    Returns:
      ``generation:<number>`` on Google Cloud Storage; ``<size>-<checksum>`` on other stores that keep
      a checksum of the content; else ``<size>-<32 hex digits of blake2b>``.
    """
    known = _VERSIONS.get((path, state))
    if known is not None:
        return known
    settled = state.is_settled
    version = _version(path, state.size)
    # A state that another content may have too says nothing the next time.
    if settled and state_of(path) == state:
        if len(_VERSIONS) >= _MOST:
            _VERSIONS.clear()
        _VERSIONS[path, state] = version
    return version


def changed_while_read(path: str, before: FileState | None) -> dict[str, bool]:
    """Returns what a manifest says of a file that is written to while it is read: what was read of it is
    then not known for sure.

    Args:
      path: the file.
      before: its state when it was opened.
    """
    after = state_of(path)
    # One that is gone was open, and was read as it was.
    return {CHANGED_WHILE_READ: True} if after is not None and after != before else {}


def _version(path: str, size: int) -> str:
    scheme = FileSystems.get_scheme(path)
    try:
        if scheme == "gs":
            return f"generation:{_generation(path)}"
        if scheme == "s3":
            return f"{size}-{FileSystems.checksum(path)}"
    except Exception:
        _LOG.warning(
            "%s: its store was asked for a version and gave none; its content is digested instead", path
        )
    return f"{size}-{_content_digest(path)}"


def _generation(path: str) -> int:
    from apache_beam.io.gcp import gcsio

    bucket, name = gcsio.parse_gcs_path(path)
    blob = gcsio.GcsIO().client.bucket(bucket).get_blob(name)
    return int(blob.generation)


def _content_digest(path: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

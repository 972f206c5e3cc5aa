"""The version of a file: its generation where the store has one, else its size and a digest of its bytes.

So a clone of the same data gives the same origins on another day and another disk.
"""

from __future__ import annotations

import functools
import hashlib
import logging

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

_CHUNK_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)


def file_version(path: str, size: int, modified: float) -> str:
    """Returns the version of a file, asked for or computed once per process and state of the file.

    Args:
      path: the file, on any Beam filesystem.
      size: in bytes.
      modified: when it was last written, in seconds since the epoch; 0 where that is not known.

    Returns:
      ``generation:<number>`` on Google Cloud Storage; ``<size>-<checksum>`` on other stores that keep
      a checksum of the content; else ``<size>-<32 hex digits of blake2b>``.
    """
    return _file_version(path, size, modified)


@functools.lru_cache(maxsize=65536)
def _file_version(path: str, size: int, modified: float) -> str:
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

"""Files that are no text, told by their first bytes: what they are, and what reads them."""

from __future__ import annotations

HEAD_BYTES = 512
"""How much of a file is looked at: a tar archive says what it is behind the name of its first file."""

_COMPRESSED = (
    (b"\x1f\x8b\x08", "gzip", ".gz"),
    (b"BZh91AY&SY", "bzip2", ".bz2"),
    (b"\xfd7zXZ\0", "lzma", ".xz"),
    (b"\x28\xb5\x2f\xfd", "zstd", ".zst"),
)
_OTHERS = (
    (b"PK\x03\x04", "a zip archive, or an Office file, which is one: unpack or export it first"),
    (b"Obj\x01", "an Avro file: read it by obs.ReadFromAvro"),
    (b"PAR1\x15", "a Parquet file: read it by obs.ReadFromParquet"),
)
_TAR = 257


def other_format(head: bytes, is_unpacked: bool) -> str | None:
    """Returns what a file is, and what to do, where its first bytes are not those of a text.

    Args:
      head: its first `HEAD_BYTES`, uncompressed.
      is_unpacked: whether they were compressed.

    >>> other_format(b"PAR1\\x15\\x04", False)
    'a Parquet file: read it by obs.ReadFromParquet'
    >>> other_format(b"id,name", False)
    """
    for start, name, extension in _COMPRESSED:
        if head.startswith(start):
            if is_unpacked:
                return f"{name} data once more, within what was unpacked: unpack it first"
            return f'{name} data: give compression_type="{name}", or name it *{extension}'
    for start, told in _OTHERS:
        if head.startswith(start):
            return told
    if head[_TAR : _TAR + 5] == b"ustar":
        return "a tar archive: unpack it first"
    return None

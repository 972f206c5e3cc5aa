"""A file of any filesystem, written whole."""

from __future__ import annotations

from beam_obs.files.new_file import write_new_file


def write_whole(path: str, content: bytes, is_synced: bool = True) -> None:
    """Writes a file that is seen whole or not at all.

    Args:
      path: of the file.
      content: of the file.
      is_synced: whether it is on the disk before it has its name; not where it can be done without.
    """
    if "://" not in path:
        write_new_file(path, content, is_synced=is_synced)
        return
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)

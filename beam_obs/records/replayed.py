"""What a run that replays records says of them in its ``start.json``, and what gives them in its graph."""

from __future__ import annotations

SNAPSHOT = "replayed.avro"
"""The dead letters that a run takes, in its folder."""


def letters_label(stage: str) -> str:
    """Returns the label of what gives a stage its dead letters.

    >>> letters_label("outer/parse")
    'letters of outer.parse'
    """
    return f"letters of {stage.replace('/', '.')}"


def records_label(source: str) -> str:
    """Returns the label of what leaves out records of a source that are not replayed.

    >>> records_label("january/read")
    'records of january.read'
    """
    return f"records of {source.replace('/', '.')}"

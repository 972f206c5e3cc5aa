"""Names of steps that the weave adds: none has a number that a step elsewhere in the pipeline would change.

A streaming job cannot be updated over a step whose name is another.
"""

from __future__ import annotations

import collections


class StepNames:
    """Gives each name once.

    >>> names = StepNames()
    >>> names.once("parse/plain"), names.once("check/plain"), names.once("parse/plain")
    ('parse/plain', 'check/plain', 'parse/plain 2')
    """

    def __init__(self) -> None:
        self._given: collections.Counter[str] = collections.Counter()

    def once(self, name: str) -> str:
        """Returns a name, with a number behind it where it was given before."""
        self._given[name] += 1
        return name if self._given[name] == 1 else f"{name} {self._given[name]}"

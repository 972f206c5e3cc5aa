"""A name that a store does not have, said with the nearest that it has."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterable

from beam_obs.records.errors import BeamObsError
from beam_obs.records.wording import clean

_SHOWN = 8
_COMPARED = 2_000
_LONGEST = 200


class UnknownName(BeamObsError):
    """A store has nothing of a name that was asked for: a stage, file, version or kind of refusal.

    Args:
      message: what was asked for and where it was looked for.
      name: the name.
      known: the names that there are.
    """

    def __init__(self, message: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{message}{nearest_text(name, known)}")
        self.name = name


def beginning_of(given: str) -> str:
    """Returns the beginning of an id, fingerprint or version as typed, or copied where it was shortened.

    >>> beginning_of("sha256:9617178B9d083…"), beginning_of("01a2241c-ec6b...")
    ('sha256:9617178b9d083', '01a2241c-ec6b')
    """
    return given.strip().rstrip("…~").removesuffix("...").lower()


def nearest_text(name: str, known: Iterable[str]) -> str:
    """Returns the nearest names as the end of a message, else all that there are, if they are few."""
    names = list(dict.fromkeys(known))
    nearest = nearest_names(name, names)
    shown = nearest or (names if len(names) <= _SHOWN else [])
    if not shown:
        return ""
    verb = "is" if len(shown) == 1 else "are"
    told = f"the nearest {verb}" if nearest else f"there {verb}"
    return f"; {told}:" + "".join(f"\n  {clean(one)}" for one in shown)


def nearest_names(name: str, known: list[str]) -> list[str]:
    """Returns the names that are nearest to one: of the same file, that begin so, or that are written alike.

    >>> nearest_names("prase", ["parse", "write"]), nearest_names("in/a.csv", ["/data/a.csv", "/data/b.json"])
    (['parse'], ['/data/a.csv'])
    """
    same_file = [one for one in known if _last_part(one) == _last_part(name)]
    begin_so = [one for one in known if name and one.lower().startswith(name.lower())]
    short = {one[:_LONGEST].lower(): one for one in reversed(known[:_COMPARED])}
    alike = difflib.get_close_matches(name[:_LONGEST].lower(), short, 3)
    return list(dict.fromkeys((*same_file, *begin_so, *(short[one] for one in alike))))[:_SHOWN]


def _last_part(name: str) -> str:
    return posixpath.basename(name.rstrip("/"))

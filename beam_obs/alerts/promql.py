"""PromQL as text: names, labels and lengths of time, whatever a pipeline or a step is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PIPELINE, STAGE, WORKER = "pipeline", "stage", "worker"
"""Labels: of every series, of those of a step, of those of a worker process."""


class Naming(NamedTuple):
    """How the families of beam_obs are called where they are asked for.

    Args:
      prefix: stands before the name of each.
      matchers: labels that each selector has beside its own.
      is_told_once: whether the numbers of a run that has ended are told once, and not again and again.

    >>> Naming().selector("beam_obs_run_balanced", {"pipeline": "flights"})
    'beam_obs_run_balanced{pipeline="flights"}'
    """

    prefix: str = ""
    matchers: Mapping[str, str] = {}
    is_told_once: bool = False

    def selector(
        self, name: str, equal: Mapping[str, str], these: tuple[str, str, Iterable[str]] | None = None
    ) -> str:
        """Returns what selects series.

        Args:
          name: of the family.
          equal: labels and their values.
          these: a label, ``=~`` or ``!~``, and values that it has, or has not.
        """
        matchers = [f"{label}={quoted(value)}" for label, value in {**self.matchers, **equal}.items()]
        if these is not None:
            label, operator, values = these
            matchers.append(f"{label}{operator}{quoted(alternatives(values))}")
        return f"{self.prefix}{name}{{{','.join(matchers)}}}"


PROMETHEUS = Naming()
"""As Prometheus scrapes them."""


def quoted(text: str) -> str:
    r"""Returns text as PromQL has it in quotes, with nothing in it that dashboards take for a variable.

    >>> print(quoted('a "b"\\'), quoted("two\nlines"), quoted("né"), quoted("$a [[b]]"))
    "a \"b\"\\" "two\nlines" "né" "\x24a \x5b\x5bb]]"
    """
    escaped = "".join(_ESCAPES.get(letter) or _printable(letter) for letter in text)
    return '"' + escaped.replace("[[", r"\x5b\x5b") + '"'


def alternatives(texts: Iterable[str]) -> str:
    r"""Returns the regular expression that matches these texts and nothing else.

    >>> print(alternatives(["a.b", "c"]))
    a\.b|c
    """
    return "|".join(_OF_EXPRESSIONS.sub(r"\\\g<0>", text) for text in texts)


def duration(seconds: float) -> str:
    """Returns a length of time, in the largest unit that leaves no rest; a part of a second counts as one.

    >>> duration(5400), duration(7200), duration(1.5)
    ('90m', '2h', '2s')
    """
    whole = max(1, -int(-seconds // 1))
    unit, length = next((unit, length) for unit, length in _UNITS if whole % length == 0)
    return f"{whole // length}{unit}"


def number(value: float) -> str:
    """Returns a number, whole where it is.

    >>> number(3600.0), number(0.05)
    ('3600', '0.05')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


_ESCAPES = {"$": "\\x24", '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_OF_EXPRESSIONS = re.compile(r"[\\.+*?()|\[\]{}^$]")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def _printable(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    if 0xD800 <= code <= 0xDFFF:  # half a pair, which no text of Prometheus has
        return "\ufffd"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

"""How the log records of user code are treated on workers: travels with the context of the run."""

from __future__ import annotations

from typing import NamedTuple

OFF = "off"
ATTRIBUTES = "attributes"
TEXT = "text"
JSON = "json"
OTLP = "otlp"
FORMS = (ATTRIBUTES, TEXT, JSON, OTLP, OFF)


class LogSettings(NamedTuple):
    """How log records are treated.

    Args:
      form: one of `FORMS`.
      per_minute: records that one line of code may log in a minute, in each process; 0 for any number.
      project: of Google Cloud, for links from a log to its trace; empty where it is not known.
    """

    form: str = ATTRIBUTES
    per_minute: int = 0
    project: str = ""

"""Forms of log lines: JSON as Cloud Logging takes it, and plain text with step and origin behind it."""

from __future__ import annotations

import copy
import datetime
import json
import logging
from typing import Any

from beam_obs.logs.told import told_by

_SEVERITIES = (
    (logging.CRITICAL, "CRITICAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARNING"),
    (logging.INFO, "INFO"),
    (logging.DEBUG, "DEBUG"),
)
_OF_CLOUD = "logging.googleapis.com/"


class JsonLogFormatter(logging.Formatter):
    """Formats a log record as a line of JSON, as agents of Cloud Logging take it from standard error.

    ``severity``, ``message``, ``time``, the place in the code, and of a record that is logged while a step
    works on an element its run, step and origin as labels, with its trace.
    https://cloud.google.com/logging/docs/structured-logging

    Args:
      project: of Google Cloud; traces are named by it, else by their id alone.

    Raises:
      TypeError: the project is no text.

    >>> import beam_obs as obs, logging
    >>> record = logging.makeLogRecord({"name": "trips", "levelname": "INFO", "levelno": 20, "msg": "read"})
    >>> obs.JsonLogFormatter().format(record)[:40]
    '{"severity": "INFO", "message": "read", '
    """

    def __init__(self, project: str = "") -> None:
        super().__init__()
        if not isinstance(project, str):
            raise TypeError(f"project={project!r}: give the name of a project of Google Cloud")
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without its end."""
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        stack = self.formatStack(record.stack_info) if record.stack_info else None
        created = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        entry: dict[str, Any] = {
            "severity": _severity(record.levelno),
            "message": "\n".join([message, *filter(None, (trace, stack))]),
            "time": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "logger": record.name,
            f"{_OF_CLOUD}sourceLocation": {"file": record.pathname, "line": str(record.lineno)},
        }
        if record.funcName:  # what others make by hand may name none
            entry[f"{_OF_CLOUD}sourceLocation"]["function"] = record.funcName
        told = told_by(record)
        if told is not None:
            labels = {"run": told.run, "step": told.step, "origin": told.origin}
            entry[f"{_OF_CLOUD}labels"] = {f"beam_obs_{name}": text for name, text in labels.items() if text}
            if told.trace_id:
                of_project = f"projects/{self._project}/traces/" if self._project else ""
                entry[f"{_OF_CLOUD}trace"] = of_project + told.trace_id
                entry[f"{_OF_CLOUD}trace_sampled"] = told.is_sampled
            if told.span_id:
                entry[f"{_OF_CLOUD}spanId"] = told.span_id
        line = json.dumps(entry, ensure_ascii=False, default=repr)
        return line.encode("utf-8", "backslashreplace").decode()


class TextLogFormatter(logging.Formatter):
    """Formats a log record as another formatter does, with step and origin behind its message.

    Of the origin there are all digits: the first 8 are those of its file, the same for all records in it.

    Args:
      inner: the other formatter; by default the message alone.

    Raises:
      TypeError: it is no formatter.

    >>> import beam_obs as obs, logging
    >>> record = logging.makeLogRecord({"msg": "read"})
    >>> obs.TextLogFormatter(logging.Formatter("%(message)s!")).format(record)
    'read!'
    """

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        if inner is not None and not hasattr(inner, "format"):
            raise TypeError(f"inner={inner!r}: give a logging.Formatter")
        self.inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text."""
        told = told_by(record)
        if told is None:
            return self.inner.format(record)
        shown = copy.copy(record)
        origin = f", origin {told.origin}" if told.origin else ""
        shown.msg, shown.args = f"{record.getMessage()} [{told.step}{origin}]", None
        return self.inner.format(shown)


def _severity(level: int) -> str:
    return next((name for least, name in _SEVERITIES if level >= least), "DEFAULT")

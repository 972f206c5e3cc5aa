"""Log records of a process say what they are about, from when its first step of a run is set up.

`logging` has one factory of records for all loggers: it is put around, and adds attributes to records that
are logged while a step works. What else the settings ask for is done to the handlers of the root logger.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beam_obs.logs.log_formats import JsonLogFormatter, TextLogFormatter
from beam_obs.logs.log_limit import LimitPerPlace
from beam_obs.logs.told import Told
from beam_obs.records.log_settings import ATTRIBUTES, JSON, OFF, OTLP, TEXT, LogSettings

if TYPE_CHECKING:
    from beam_obs.logs.otlp_logs import OtlpHandler

Find = Callable[[], Told | None]
"""Gives what there is to tell of the element that the calling thread works on."""

_LOCK = threading.Lock()
_SET_UP: dict[str, _SetUp] = {}
_LOGGER = logging.getLogger(__name__)


class _SetUp:
    """What was done for a run, to be undone.

    Args:
      settings: of the run.
      pipeline: its name.
    """

    def __init__(self, settings: LogSettings, pipeline: str) -> None:
        self._formatters: list[tuple[logging.Handler, logging.Formatter | None]] = []
        self._added: list[logging.Handler] = []
        self.limit = LimitPerPlace(settings.per_minute) if settings.per_minute else None
        self.sent: OtlpHandler | None = None
        self.lost = 0
        root = logging.getLogger()
        if settings.form == OTLP:
            from beam_obs.logs.otlp_logs import otlp_handler

            self.sent = otlp_handler(pipeline)
            self._add(self.sent)
        elif settings.form == JSON and not root.handlers:
            self._add(logging.StreamHandler())
        self._limited = list(root.handlers) if self.limit is not None else []
        for handler in root.handlers:
            formatter = _formatter_for(handler, settings)
            if formatter is not None:
                self._formatters.append((handler, handler.formatter))
                handler.setFormatter(formatter)
        for handler in self._limited:
            handler.addFilter(self.limit)  # type: ignore[arg-type]

    def undo(self) -> None:
        """Leaves handlers as they were."""
        if self.limit is not None:
            self.limit.say_left_out()
            for handler in self._limited:
                handler.removeFilter(self.limit)
        for handler, formatter in self._formatters:
            handler.setFormatter(formatter)
        for handler in self._added:
            logging.getLogger().removeHandler(handler)
            handler.close()
        if self.sent is not None:
            self.lost += self.sent.take_lost()
        if self.lost:
            _LOGGER.warning("%d log lines reached nobody", self.lost)

    def _add(self, handler: logging.Handler) -> None:
        logging.getLogger().addHandler(handler)
        self._added.append(handler)


def set_up_logs(run: str, pipeline: str, settings: LogSettings, find: Find) -> None:
    """Has log records of this process say what they are about; once for a run, whoever asks.

    Args:
      run: id of the run.
      pipeline: its name.
      settings: what is to be done.
      find: finds what there is to tell.
    """
    if run in _SET_UP or settings.form == OFF:
        return
    with _LOCK:
        if run in _SET_UP:
            return
        try:
            _SET_UP[run] = _SetUp(settings, pipeline)
        except Exception as error:  # logs must not fail the job
            _LOGGER.warning(
                "log records get their attributes only, not --obs_logs=%s: %s", settings.form, error
            )
            _SET_UP[run] = _SetUp(LogSettings(ATTRIBUTES), pipeline)
        if _around() is None:
            _put_factory_around(find)


def take_down_logs(run: str) -> None:
    """Undoes what was done in this process for a run."""
    with _LOCK:
        found = _SET_UP.pop(run, None)
        if found is None:
            return
        found.undo()
        previous = _around()
        # One that was put around ours in the meantime stays, and ours in it, which does nothing then.
        if not _SET_UP and previous is not None:
            logging.setLogRecordFactory(previous)


def say_left_out(run: str) -> None:
    """Says how many log records of a run were left out so far in this process."""
    found = _SET_UP.get(run)
    if found is not None and found.limit is not None:
        found.limit.say_left_out()


def take_lost_lines(run: str) -> int:
    """Returns how many log records of a run reached nobody in this process, since it was asked last."""
    found = _SET_UP.get(run)
    return 0 if found is None or found.sent is None else found.sent.take_lost()


def lost_at_the_end(run: str) -> int:
    """Has log records of a run sent that wait in this process, and returns how many reached nobody since it
    was asked last: what the end of the run tells of them."""
    found = _SET_UP.get(run)
    if found is None or found.sent is None:
        return 0
    found.sent.settle()
    lost = found.sent.take_lost()
    found.lost += lost
    return lost


def _around() -> Any:
    """Returns what the factory of log records is put around; None where it is not ours."""
    return getattr(logging.getLogRecordFactory(), "beam_obs_around", None)


def _put_factory_around(find: Find) -> None:
    made = logging.getLogRecordFactory()

    def make_record(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record: logging.LogRecord = made(*arguments, **keywords)
        try:
            told = find() if _SET_UP else None
        except Exception:  # what a user logs comes first
            return record
        if told is not None:
            told.put_on(record)
        return record

    make_record.beam_obs_around = made  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_record)


def _formatter_for(handler: logging.Handler, settings: LogSettings) -> logging.Formatter | None:
    """Returns the formatter that a handler is to have; None for that which it has.

    JSON is for streams that an agent reads line by line; what else takes records, as Beam's own handler does,
    has fields for severity and place.
    """
    if settings.form == JSON and isinstance(handler, logging.StreamHandler):
        return JsonLogFormatter(settings.project)
    if settings.form in (JSON, TEXT):
        return TextLogFormatter(handler.formatter)
    return None

"""One look at an address that answers in JSON: whether it answers, in time, and says what it should."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from beam_obs.alerts.expectation import Expectation
from beam_obs.records.wording import bytes_text, clean
from beam_obs.store.run_record import now_text

OK, UNEXPECTED, STATUS, UNREADABLE, UNREACHABLE = "ok", "unexpected", "status", "unreadable", "unreachable"
RESULTS = (OK, UNEXPECTED, STATUS, UNREADABLE, UNREACHABLE)
"""It says what it should; it says something else; its status is no 2xx; it is no JSON, or too long; there is
no answer, or none in time."""

_MOST_BYTES = 16_000_000
_PIECE_BYTES = 1_000_000
_MOST_REDIRECTS = 5
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
"""Types of answers that are lines of JSON."""
_MOST_WAITING = 8
"""Requests that take too long are given up, and end when the other side lets go of them."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What came of one look.

    Args:
      at: when it began, as the store keeps times.
      result: one of `RESULTS`.
      text: what was found, for people.
      seconds: how long it took.
      status: of the answer; None where there was none.
    """

    at: str
    result: str
    text: str
    seconds: float
    status: int | None = None

    @property
    def is_ok(self) -> bool:
        """Whether all is as expected."""
        return self.result == OK


@dataclasses.dataclass(frozen=True)
class _Found:
    result: str
    text: str
    status: int | None = None


class Probe:
    """Looks at an address by GET.

    Args:
      url: of the address, ``http`` or ``https``.
      expectations: what its answer has to say.
      headers: sent with the request; to another host that it is redirected to they are not.
      timeout_seconds: for the whole of it.
      follows: whether it goes where it is redirected to, 5 times at most.
    """

    def __init__(
        self,
        url: str,
        expectations: Sequence[Expectation] = (),
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
        follows: bool = False,
    ) -> None:
        self._url = url
        self._expectations = expectations
        self._headers = dict(headers or {})
        self._timeout_seconds = timeout_seconds
        self._follows = follows
        self._waiting: list[threading.Thread] = []

    @property
    def shown_url(self) -> str:
        """The address without what may be secret: names, passwords and parameters."""
        return _shown(self._url)

    def attempt(self) -> Attempt:
        """Looks once, and returns what came of it; raises nothing."""
        at, began = now_text(), time.monotonic()
        found = self._in_time()
        return Attempt(at, found.result, found.text, time.monotonic() - began, found.status)

    def _in_time(self) -> _Found:
        """Returns what is found, within the time-out: that of a socket begins again with each byte."""
        self._waiting = [thread for thread in self._waiting if thread.is_alive()]
        if len(self._waiting) >= _MOST_WAITING:
            return _Found(UNREACHABLE, f"not asked: {len(self._waiting)} earlier requests have not ended")
        found: list[_Found] = []
        thread = threading.Thread(
            target=lambda: found.append(self._ask()), name="beam_obs probe", daemon=True
        )
        thread.start()
        thread.join(self._timeout_seconds)
        if found:
            return found[0]
        self._waiting.append(thread)
        return _Found(UNREACHABLE, f"no whole answer within {self._timeout_seconds:g} s")

    def _ask(self) -> _Found:
        try:
            return self._answer()
        except requests.exceptions.SSLError as error:
            return _Found(UNREACHABLE, f"TLS: {_cause(error)}")
        except requests.exceptions.Timeout:
            return _Found(UNREACHABLE, f"no answer within {self._timeout_seconds:g} s")
        except Exception as error:  # of the library's own many layers
            return _Found(UNREACHABLE, f"{type(error).__name__}: {_cause(error)}")

    def _answer(self) -> _Found:
        url, headers = self._url, {**self._headers, "Accept-Encoding": "identity"}
        with requests.Session() as session:
            for _ in range(_MOST_REDIRECTS + 1):
                with session.get(
                    url, headers=headers, timeout=self._timeout_seconds, stream=True, allow_redirects=False
                ) as response:
                    if not response.is_redirect:
                        return self._judged(response)
                    to = urllib.parse.urljoin(url, response.headers["location"])
                    if not self._follows:
                        return _Found(STATUS, f"redirected to {_shown(to)}", response.status_code)
                if _origin(to) != _origin(url):
                    headers = {"Accept-Encoding": "identity"}
                url = to
        return _Found(STATUS, f"redirected more than {_MOST_REDIRECTS} times")

    def _judged(self, response: Any) -> _Found:
        status = response.status_code
        if not 200 <= status < 300:
            return _Found(STATUS, clean(f"{status} {response.reason or ''}").strip(), status)
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            return _Found(UNREADABLE, f"it came packed by {clean(packed)}, which was not asked for", status)
        body = b""
        while len(body) <= _MOST_BYTES and (more := response.raw.read(_PIECE_BYTES, decode_content=False)):
            body += more
        if len(body) > _MOST_BYTES:
            return _Found(UNREADABLE, f"longer than {bytes_text(_MOST_BYTES)}", status)
        if not self._expectations:
            return _Found(OK, f"{len(body):,} bytes", status)
        kind = response.headers.get("content-type", "of no type")
        try:
            is_of_lines = kind.partition(";")[0].strip().lower() in _LINES
            answer = _of_lines(body) if is_of_lines else json.loads(body, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            kind = clean(kind)
            return _Found(UNREADABLE, f"no JSON ({kind}): {clean(error)}", status)
        problems = list(filter(None, (one.problem(answer) for one in self._expectations)))
        if problems:
            return _Found(UNEXPECTED, "; ".join(problems), status)
        return _Found(OK, f"as expected: {', '.join(one.path for one in self._expectations)}", status)


def _of_lines(body: bytes) -> Any:
    """Returns what lines of JSON say: one alone as it is, else a list."""
    found = []
    for number, line in enumerate(body.splitlines(), 1):
        try:
            if line.strip():
                found.append(json.loads(line, parse_constant=_refuse))
        except ValueError as error:  # noqa: PERF203 - which line it is
            raise ValueError(f"line {number}: {error}") from None
    return found[0] if len(found) == 1 else found


def _shown(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return clean(urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _cause(error: BaseException) -> str:
    """Returns what lies below the errors of the library, which repeat the address with its secrets."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (one for one in error.args if isinstance(one, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    return clean(_OF_CONNECTION.sub("", str(error)) or type(error).__name__)


_OF_CONNECTION = re.compile(r"^\w+\(host=[^)]*\): ")

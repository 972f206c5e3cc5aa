"""Options without their secrets, for a store that more people read than may know them.

An option is hidden as a whole when its name says that it is a secret, or when anything in its value looks
like one: where a secret ends is often not to be told. In longer texts, such as an error's, what looks like a
secret is left out. Each rule looks at each place of a text once: time grows with the length of a value only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

HIDDEN = "[redacted]"

_KEYS = (
    "api access auth secret private account storage shared encryption signing service subscription master "
    "client ssh pgp gpg hmac aes license"
)
_SECRET_NAME = re.compile(
    r"(?<!by)(?<!com)(?<!tres)pass(word|wd|phrase|code|(?![a-z]))|secret(?!ar)|token(?!iz)|credential|private|"
    rf"(?<![a-z])(?:{'|'.join(_KEYS.split())})[_.-]?keys?(?![a-z])|connection_?string|authorization|"
    r"(?<![a-z])(auth|dsn|salt|sas|pwd|bearer|cookie|sig|signature)(?![a-z])",
    re.IGNORECASE,
)
_PUBLIC_NAMES = frozenset(("no_auth", "dataflow_kms_key", "impersonate_service_account"))

_NAMED = re.compile(r"(?<![\w.-])(?:--?)?([\w.-]{1,80})[\"']?(\s{0,3}[=:]\s{0,3}|\s{1,3})")
_FLAG = re.compile(r"(?<![\w.-])--?[\w.-]{1,80}\s{1,3}\Z")
_VALUE = re.compile(r"\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,;&'\"]+")
_LINE = re.compile(r"[^\n]+")
_HEADERS = ("authorization", "cookie", "set-cookie", "proxy-authorization")

_URI = re.compile(r"://([^\s'\"<>]*)")
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*"
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON web token
    r"|(?<![\w-])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"  # access key of AWS
    r"|(?<![\w-])AIza[\w-]{35}"  # API key of Google
    r"|(?<![\w-])GOCSPX-[\w-]{20,}"  # client secret of Google
    r"|(?<![\w-])ya29\.[\w-]{20,}"  # OAuth token of Google
    r"|(?<![\w-])SG\.[\w-]{16,}\.[\w-]{16,}"  # SendGrid
    r"|(?<![\w-])(?:gh[pousr]|github_pat|glpat|xox[abeprs]|xapp|sk|rk|npm|pypi|hf|dckr_pat|dop_v1|shpat|lin_api)"
    r"[_-][\w-]{16,}"
    r"|(?<![\w-])(?i:bearer|basic)\s{1,3}[\w.~+/-]{8,}=*",
    re.DOTALL,
)


def redact(options: dict[str, Any], fields: Collection[str] = ()) -> dict[str, Any]:
    """Returns options as JSON-able values, with secrets replaced.

    Args:
      options: values by name.
      fields: names of fields that the run redacts: an option of such a name is hidden too.

    >>> redact({"db_password": "hunter2", "input": "mysql://me:hunter2@host/db", "api_key": "k", "n": 3})
    {'db_password': '[redacted]', 'input': '[redacted]', 'api_key': '[redacted]', 'n': 3}
    >>> redact({"partition_key": "day", "email": "ada@example.org"}, fields=["email"])
    {'partition_key': 'day', 'email': '[redacted]'}
    """
    return {
        str(name): HIDDEN if name in fields and value is not None else _value(str(name), value)
        for name, value in options.items()
    }


def redact_text(text: str) -> str:
    """Returns text with what looks like a secret replaced.

    >>> redact_text("--token=abc at postgres://u:p@host")
    '--token=[redacted] at postgres://[redacted]@host'
    """
    pieces: list[str] = []
    done = 0
    for start, end in sorted(_secrets(text)):
        if start >= done:
            pieces += (text[done:start], HIDDEN)
        done = max(done, end)
    return "".join(pieces) + text[done:]


def _value(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if name not in _PUBLIC_NAMES and (name == "key" or _SECRET_NAME.search(name)):
        return HIDDEN
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        # A flag and what it is given may stand in two items.
        return HIDDEN if _holds_secret(" ".join(map(str, value))) else [_value("", item) for item in value]
    if isinstance(value, dict):
        return redact(value)
    return HIDDEN if _holds_secret(str(value)) else str(value)


def _holds_secret(text: str) -> bool:
    return next(_secrets(text), None) is not None


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Gives from where to where a text looks like a secret."""
    for found in _SHAPES.finditer(text):
        yield found.span()
    for found in _URI.finditer(text):
        # A password may hold any character, so that only the last @ can be the one before the host.
        account, at, _ = found[1].rpartition("@")
        if at and ":" in account:
            yield found.start(1), found.start(1) + len(account)
    for found in _NAMED.finditer(text):
        name, separator = found[1], found[2]
        if separator.isspace() and not _FLAG.match(text, found.start(), found.end()):
            continue
        if name in _PUBLIC_NAMES or not _SECRET_NAME.search(name):
            continue
        rule = _LINE if name.lower() in _HEADERS else _VALUE
        value = rule.match(text, found.end())
        if value is not None:
            yield value.span()

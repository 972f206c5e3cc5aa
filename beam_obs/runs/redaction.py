"""Options without their secrets, for a store that more people read than may know them.

A value is hidden when its name says that it is a secret, or when it looks like one whatever its name.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?(?![a-z])|secret|token(?!iz)|credential|private|api_?key|access_?key|auth_?key|"
    r"(?<![a-z])(key|auth|dsn|salt|sas|pwd|bearer|cookie)(?![a-z])|signature|connection_?string",
    re.IGNORECASE,
)
_PUBLIC_NAMES = frozenset(("no_auth", "dataflow_kms_key", "impersonate_service_account"))

_URI_WITH_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+(?=@)")
_ASSIGNMENT = re.compile(
    r"(?i)\b([\w.-]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|key|sig|signature|credential)[\w.-]*)"
    r"(\s*[=:]\s*)([^\s,;&'\"]+)"
)
_SECRET_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JSON web token
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # access key of AWS
    r"|\bAIza[\w-]{35}"  # API key of Google
    r"|\bya29\.[\w-]{20,}"  # OAuth token of Google
    r"|\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abps]|sk)[_-][\w-]{16,}"
    r"|\b[Bb]earer\s+[\w.~+/-]{8,}=*",
    re.DOTALL,
)


def redact(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options as JSON-able values, with secrets replaced.

    >>> redact({"db_password": "hunter2", "input": "mysql://me:hunter2@host/db", "api_key": "k", "n": 3})
    {'db_password': '[redacted]', 'input': 'mysql://me:[redacted]@host/db', 'api_key': '[redacted]', 'n': 3}
    """
    return {str(name): _value(str(name), value) for name, value in options.items()}


def redact_text(text: str) -> str:
    """Returns text with what looks like a secret replaced.

    >>> redact_text("--token=abc at postgres://u:p@host")
    '--token=[redacted] at postgres://u:[redacted]@host'
    """
    text = _SECRET_SHAPES.sub(HIDDEN, text)
    text = _URI_WITH_PASSWORD.sub(rf"\1:{HIDDEN}", text)
    return _ASSIGNMENT.sub(rf"\1\2{HIDDEN}", text)


def _value(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if name not in _PUBLIC_NAMES and _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value("", item) for item in value]
    if isinstance(value, dict):
        return redact(value)
    return redact_text(str(value))

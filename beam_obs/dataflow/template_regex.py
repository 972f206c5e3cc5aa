"""Regular expressions of a template, which engines other than Python's read too."""

from __future__ import annotations

import re

_TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:<[=!]|P=|[=!>(])|.", re.DOTALL)
_ONLY_SOME = re.compile(r"\\[1-9]|\(\?.+")


def regex_problem(pattern: str) -> str | None:
    """Returns why a pattern cannot be one of a template; None where it can.

    Args:
      pattern: the regular expression.

    >>> regex_problem(r"gs://[a-z(?=]+"), regex_problem("(?!gs://).+")
    (None, 'it has (?!, which not all engines know')
    """
    try:
        re.compile(pattern)
    except re.error as error:
        return f"it is no regular expression: {error}"
    for token in _TOKENS.findall(pattern):
        if _ONLY_SOME.fullmatch(token):
            return f"it has {token}, which not all engines know"
    return None

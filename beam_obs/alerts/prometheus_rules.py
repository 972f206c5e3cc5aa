"""Rules as Prometheus loads them: a group of a YAML file, with the reasons as comments.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from beam_obs.alerts.promql import duration
from beam_obs.alerts.rules import SECONDS, SHARE, Rule, Rules

_VALUES = {
    SHARE: "{{ $value | humanizePercentage }}",
    SECONDS: "{{ $value | humanizeDuration }}",
}


def prometheus_rules(rules: Rules) -> str:
    """Returns the rules as a file."""
    return "\n".join([*_lines(rules), ""])


def _lines(rules: Rules) -> Iterator[str]:
    yield f"# Rules of the pipeline {_text(rules.pipeline)}, made from its runs by `beam-obs alerts`."
    yield "groups:"
    yield f"  - name: {_text(f'beam_obs {rules.pipeline}')}"
    yield "    rules:"
    for rule in rules.made:
        yield from _lines_of(rule)
    for name, reason in rules.left_out:
        yield f"      # left out: {name}: {_comment(reason)}"


def _lines_of(rule: Rule) -> Iterator[str]:
    yield f"      # {_comment(rule.reason)}"
    yield f"      - alert: {rule.name}"
    yield "        expr: |-"
    yield from (f"          {line}" for line in rule.expression.splitlines())
    if rule.held_seconds:
        yield f"        for: {duration(rule.held_seconds)}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    if rule.limit:
        yield f"          limit: {_text(rule.limit)}"
    yield "        annotations:"
    yield f"          summary: {_text(_plain(rule.summary))}"
    yield f"          description: {_text(_description(rule))}"
    yield f"          runbook: {_text(_plain(rule.command))}"


def _description(rule: Rule) -> str:
    of = "".join(f"{name} {{{{ $labels.{name} }}}}: " for name in rule.labels)
    value = f"{_VALUES[rule.value]}; " if rule.value is not None else ""
    return f"{of}{value}{_plain(rule.reason)}"


def _plain(text: str) -> str:
    """Returns text that Prometheus, for which annotations are templates, gives as it is.

    >>> _plain("a {{ b }}")
    'a {{"{{"}} b }}'
    """
    return text.replace("{{", '{{"{{"}}')


def _comment(text: str) -> str:
    return _text(text)[1:-1]


def _text(text: str) -> str:
    r"""Returns text in quotes, as YAML has it.

    >>> print(_text('say "a"\n'), _text("\x85"))
    "say \"a\"\n" "\x85"
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in quoted)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

"""Parameters of a template, held against its metadata before anything is sent.

Dataflow starts a machine first, and says minutes later what a glance at the metadata tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from beam_obs.records.errors import BeamObsError
from beam_obs.records.wording import clean
from beam_obs.store.unknown_name import nearest_names

_CLOUD_STORAGE = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?", re.DOTALL)
_DEFAULT = re.compile(r" \(default: [^()]*\)(\.?)$")
_BUCKET = (
    "where the name of a bucket is 3 characters or more: small letters, digits, '-', '_' and '.', first and "
    "last a letter or digit"
)
FOLDERS = ("tempLocation", "stagingLocation")
"""Fields of an environment that are folders in Cloud Storage."""
_KINDS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "BOOLEAN": (re.compile(r"true|false", re.IGNORECASE).fullmatch, "true or false"),
    "NUMBER": (re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?").fullmatch, "a number"),
    "PUBSUB_TOPIC": (re.compile(r"projects/[^/]+/topics/[^/]+").fullmatch, "projects/PROJECT/topics/TOPIC"),
    "PUBSUB_SUBSCRIPTION": (
        re.compile(r"projects/[^/]+/subscriptions/[^/]+").fullmatch,
        "projects/PROJECT/subscriptions/SUBSCRIPTION",
    ),
    "BIGQUERY_TABLE": (re.compile(r"[^:.]+[:.][^.]+\.[^.]+").fullmatch, "PROJECT:DATASET.TABLE"),
    **dict.fromkeys(
        ("GCS_READ_BUCKET", "GCS_WRITE_BUCKET", "GCS_READ_FILE", "GCS_WRITE_FILE"),
        (_CLOUD_STORAGE.fullmatch, "gs://BUCKET/..."),
    ),
    **dict.fromkeys(
        ("GCS_READ_FOLDER", "GCS_WRITE_FOLDER"), (_CLOUD_STORAGE.fullmatch, "gs://BUCKET/FOLDER/")
    ),
}
"""Name of a kind of parameter -> what holds a value against it, and how such values are written."""


class WrongParameters(BeamObsError):
    """Parameters that a template does not take, or misses.

    Args:
      template: where it is.
      problems: each what was found, and what to write instead.
    """

    def __init__(self, template: str, problems: list[str]) -> None:
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{template} cannot be launched like this, nothing was sent:{lines}")
        self.template = template
        self.problems = problems

    def __reduce__(self) -> tuple[type[WrongParameters], tuple[str, list[str]]]:
        return (WrongParameters, (self.template, self.problems))


def is_cloud_storage(text: str) -> bool:
    """Returns whether a text is an address in Cloud Storage."""
    return _CLOUD_STORAGE.fullmatch(text) is not None


def cloud_storage_form(text: str, form: str) -> str:
    """Returns what is expected in place of a text that is no address in Cloud Storage.

    Args:
      text: what was found.
      form: of such an address, e.g. ``gs://BUCKET/FOLDER``.
    """
    return f"{form}, {_BUCKET}" if text.startswith("gs://") else form


def parameter_problems(metadata: Any, given: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with parameters, each as a line that says what to write.

    Args:
      metadata: a ``TemplateMetadata``.
      given: values by name.
    """
    known = {one.name: one for one in metadata.parameters}
    problems = [_unknown(name, known) for name in given if name not in known]
    for name, parameter in known.items():
        if name in given:
            problems += _wrong_value(parameter, given[name])
        elif _is_needed(parameter, known, given):
            problems.append(f"--param {name}=... is missing: {_described(parameter)}")
    return problems


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    nearest = nearest_names(name, names)
    told = f"did you mean {nearest[0]}?" if nearest else f"it takes {', '.join(names) or 'none'}"
    return f"--param {clean(name)}: the template has no such parameter; {told}"


def _is_needed(parameter: Any, known: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    if parameter.is_optional or parameter.default_value:
        return False
    parent = known.get(parameter.parent_name)
    if parent is None:
        return True
    # It is asked for only where another has one of some values.
    return given.get(parent.name, parent.default_value) in parameter.parent_trigger_values


def _described(parameter: Any) -> str:
    text = parameter.help_text or parameter.label or "the template needs it"
    # Where it must be given, the default that its program has does not hold.
    return clean(_DEFAULT.sub(r"\1", " ".join(text.split())))


def _wrong_value(parameter: Any, value: str) -> list[str]:
    name, found = parameter.name, clean(repr(value))
    if not value and not parameter.is_optional and not parameter.default_value:
        return [f"--param {name}: found {found}, expected a value: {_described(parameter)}"]
    choices = [option.value for option in parameter.enum_options]
    if choices and value not in choices:
        return [f"--param {name}: found {found}, expected one of {', '.join(choices)}"]
    matches, form = _KINDS.get(_kind_name(parameter), (None, ""))
    if matches is not None and not matches(value):
        if form.startswith("gs://"):
            form = cloud_storage_form(value, form)
        return [f"--param {name}: found {found}, expected {form}"]
    for pattern in parameter.regexes:
        if not _fits(pattern, value):
            return [
                f"--param {name}: found {found}, expected a text like {pattern} ({_described(parameter)})"
            ]
    return []


def _kind_name(parameter: Any) -> str:
    kind = parameter.param_type
    return str(getattr(kind, "name", kind))


def _fits(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # of a syntax that Python has not: the service judges
        return True

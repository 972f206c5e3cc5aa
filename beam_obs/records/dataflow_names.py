"""What Dataflow takes as the name and the labels of a job.

https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs has the grammar.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_KEPT = re.compile(r"[^a-z0-9_-]+")
_MOST_OF_A_NAME = 1024
_MOST_LABELS = 64
_MOST_CHARACTERS = 63
RUN_LABEL, PIPELINE_LABEL, CODE_LABEL = "beam_obs_run", "beam_obs_pipeline", "beam_obs_code"
"""Labels of the jobs of observed runs."""


def job_name_problem(name: str) -> str | None:
    """Returns what is wrong with a job's name, and what it may be; None where nothing is.

    >>> job_name_problem("nightly-flights") is None
    True
    >>> job_name_problem("Nightly_Flights")
    "found 'Nightly_Flights', expected small letters, digits and '-', from a letter on, as nightly-flights"
    """
    if _JOB_NAME.fullmatch(name):
        return None
    if len(name) > _MOST_OF_A_NAME:
        return f"found {name[:20]!r}... of {len(name):,} characters, expected at most {_MOST_OF_A_NAME:,}"
    near = as_job_name(name)
    return f"found {name!r}, expected small letters, digits and '-', from a letter on, as {near}"


def as_job_name(text: str) -> str:
    """Returns the nearest that can be a job's name.

    >>> as_job_name("Nightly flights (EU)"), as_job_name("2026")
    ('nightly-flights-eu', 'job-2026')
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (name if name[:1].isalpha() else f"job-{name}".rstrip("-"))[:_MOST_CHARACTERS].rstrip("-")


def label_problems(labels: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with labels, each with what they may be.

    Args:
      labels: values by key.

    >>> label_problems({"team": "sky", "Team": "sky"})
    ["label 'Team': a key is small letters, digits, '_' and '-', from a letter on, at most 63 of them"]
    >>> label_problems({"team": "Sky!"})
    ["label team='Sky!': a value is small letters, digits, '_' and '-', at most 63 of them"]
    """
    problems = []
    for key, value in labels.items():
        if not _is_of_label(key) or unicodedata.category(key[0]) not in ("Ll", "Lo"):
            problems.append(
                f"label {key!r}: a key is small letters, digits, '_' and '-', from a letter on, "
                f"at most {_MOST_CHARACTERS} of them"
            )
        elif value and not _is_of_label(value):
            problems.append(
                f"label {key}={value!r}: a value is small letters, digits, '_' and '-', "
                f"at most {_MOST_CHARACTERS} of them"
            )
    if len(labels) > _MOST_LABELS:
        problems.append(f"{len(labels)} labels: a job has at most {_MOST_LABELS}")
    return problems


def as_label_value(text: str) -> str:
    """Returns the nearest that can be a label's value.

    >>> as_label_value("sha256:9617178B"), as_label_value("0123456789ab+dirty")
    ('sha256-9617178b', '0123456789ab-dirty')
    """
    return _KEPT.sub("-", text.lower())[:_MOST_CHARACTERS].strip("-")


def _is_of_label(text: str) -> bool:
    """Returns whether a text is made of what labels may have, among it letters of any script."""
    kinds = {"Ll", "Lo", "Nd"}
    return 0 < len(text) <= _MOST_CHARACTERS and all(
        one in "_-" or unicodedata.category(one) in kinds for one in text
    )

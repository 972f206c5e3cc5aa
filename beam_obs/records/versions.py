"""Versions of what a run stands on, of its launcher and its workers: an image may be older than a program."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping

_DISTRIBUTIONS = {"beam_obs": "beam-obs", "apache_beam": "apache-beam"}
NOT_INSTALLED = "not installed"


@functools.cache
def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def versions_here(package: str | None = None) -> dict[str, str]:
    """Returns the versions in this process: of beam_obs, Apache Beam, Python, and the pipeline's package.

    Args:
      package: name of the installed package that the pipeline's program is of; None where it is of none.

    >>> sorted(versions_here())
    ['apache_beam', 'beam_obs', 'python']
    """
    found = {name: _version_of(distribution) for name, distribution in _DISTRIBUTIONS.items()}
    found["python"] = ".".join(platform.python_version_tuple()[:2])
    return found if package is None else {**found, package: _version_of(package)}


def differing_versions(launcher: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns what is of another version here than it was where the run was launched: both versions by name.

    Args:
      launcher: versions there.

    >>> differing_versions({**versions_here(), "python": "2.7"}).keys()
    dict_keys(['python'])
    """
    packages = [name for name in launcher if name not in (*_DISTRIBUTIONS, "python")]
    here = versions_here() | {name: _version_of(name) for name in packages}
    return {name: [was, here[name]] for name, was in launcher.items() if here[name] != was}

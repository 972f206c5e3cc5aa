"""Which code a run ran: the commit of the program's folder, its package's version, or a digest of it."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from typing import Any, TypedDict

_GIT_SECONDS = 5.0


class CodeVersion(TypedDict):
    """``code`` of ``start.json``.

    ``version`` is the shortest text that tells the code: ``<commit>`` with ``+dirty`` where files differ
    from it, a package's version, or ``sha256:`` and a digest of the main module.
    """

    version: str
    commit: str | None
    dirty: bool | None
    package: str | None
    program: str | None


def code_version() -> CodeVersion:
    """Returns the version of the program that runs now."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    program = os.path.abspath(path) if path and os.path.exists(path) else None
    package = _package(main, program)
    commit, dirty = _commit(program) if program else (None, None)
    if commit:
        version = commit[:12] + ("+dirty" if dirty else "")
    elif package:
        version = package.partition(" ")[2]
    elif program:
        with open(program, "rb") as file:
            version = "sha256:" + hashlib.sha256(file.read()).hexdigest()[:16]
    else:
        version = "unknown"
    return CodeVersion(version=version, commit=commit, dirty=dirty, package=package, program=program)


def _package(main: Any, program: str | None) -> str | None:
    """Returns ``name version`` of the installed package that a program started with ``-m`` belongs to."""
    spec = getattr(main, "__spec__", None)
    top = str(getattr(spec, "name", None) or "").partition(".")[0]
    if not top or top == "__main__" or program is None:
        return None
    return _installed(top, program)


@functools.cache
def _installed(module: str, program: str) -> str | None:
    """Returns ``name version`` of the package that a module's file is of."""
    program = os.path.realpath(program)
    for package in importlib.metadata.distributions():
        if _has_installed(package, module, program):
            return f"{package.metadata['Name']} {package.version}"
    return None


def _has_installed(package: importlib.metadata.Distribution, module: str, program: str) -> bool:
    """Returns whether a package has installed a module's file.

    The files of all packages are 0.3 s to read: they are looked at where the file may be one of them.
    """
    if not program.startswith(os.path.join(_real(str(package.locate_file(""))), "")):
        return _is_edited_in_place(package, module, program)
    # Packages of others may have modules of that name too, `tests` more often than not.
    if module not in (package.read_text("RECORD") or module):
        return False
    same_name = (file for file in package.files or () if file.name == os.path.basename(program))
    return any(os.path.realpath(str(package.locate_file(file))) == program for file in same_name)


def _is_edited_in_place(package: importlib.metadata.Distribution, module: str, program: str) -> bool:
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return False
    folder = _real(urllib.request.url2pathname(urllib.parse.urlsplit(origin["url"]).path))
    if not program.startswith(os.path.join(folder, "")):
        return False
    declared = (package.read_text("top_level.txt") or "").split()
    return module in (declared or {file.parts[0].removesuffix(".py") for file in package.files or ()})


_real = functools.cache(os.path.realpath)


def _commit(program: str) -> tuple[str | None, bool | None]:
    """Returns the commit of the folder a program is in, and whether files differ from it.

    A program that git does not know makes the folder dirty: the commit does not have it.
    """
    folder = os.path.dirname(program)
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    tracked = _git(folder, "ls-files", "--error-unmatch", "--", program)
    return commit, bool(changed) or changed is None or tracked is None


def _git(folder: str, *arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ("git", "-C", folder, *arguments),
            capture_output=True,
            timeout=_GIT_SECONDS,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None

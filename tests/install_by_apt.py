"""Installs Debian's packages that tests take, where apt can; where it cannot, it says what would.

Needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess


def apt_command(*packages: str) -> str:
    """Returns the command that installs packages, as messages say it."""
    return f"apt-get install --yes --no-install-recommends {' '.join(packages)}"


def install_by_apt(title: str, packages: dict[str, str]) -> None:
    """Installs packages, unless their programs are there.

    Args:
      title: what they are, as messages call it.
      packages: by the name of its program, that of each package.
    """
    missing = sorted({package for program, package in packages.items() if shutil.which(program) is None})
    if not missing:
        return
    command = apt_command(*missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"{title} is not installed: tests on it are skipped. Debian: {command}")
        return
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], **quiet, check=False)  # type: ignore[call-overload]
    # Another may be installing at the same time.
    patient = [*command.split(), "-qq", "--option=DPkg::Lock::Timeout=300"]
    if subprocess.run(patient, **quiet, check=False).returncode:  # type: ignore[call-overload]
        print(f"{title} could not be installed: tests on it are skipped")

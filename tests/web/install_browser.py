"""Installs Debian's Chromium where apt can, for the tests of pages: `python -m tests.web.install_browser`.

Where it cannot, it says what would; the tests are then skipped. Needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess

COMMAND = "apt-get install --yes --no-install-recommends chromium"


def browser_path() -> str | None:
    """Returns the path of an installed Chromium; None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome-stable")


def main() -> None:
    """Installs it, unless it is there."""
    if browser_path() is not None:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"Chromium is not installed: tests in a browser are skipped. Debian: {COMMAND}")
        return
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], **quiet, check=False)  # type: ignore[call-overload]
    if subprocess.run([*COMMAND.split(), "-qq"], **quiet, check=False).returncode:  # type: ignore[call-overload]
        print("Chromium could not be installed: tests in a browser are skipped")


if __name__ == "__main__":
    main()

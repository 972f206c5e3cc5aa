"""Installs Debian's Chromium where apt can, for the tests of pages: `python -m tests.web.install_browser`."""

from __future__ import annotations

import shutil

from tests.install_by_apt import apt_command, install_by_apt

COMMAND = apt_command("chromium")


def browser_path() -> str | None:
    """Returns the path of an installed Chromium; None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome-stable")


if __name__ == "__main__":
    if browser_path() is None:
        install_by_apt("Chromium", {"chromium": "chromium"})

"""`make demo`, from its first line to its last."""

from __future__ import annotations

import os
import pathlib
import pty
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.conftest import ROOT

OFFER = "from pipelines.flights import demo; demo.offer_pages()"


def test_the_demo_refuses_what_was_damaged_and_says_what_to_try(flights_demo: pathlib.Path) -> None:
    assert (flights_demo / "code").read_text() == "0"
    printed = (flights_demo / "printed").read_text()
    assert "Each of the 32 damages was refused where it should be, and nothing else was." in printed
    assert "dead-letters list latest" in printed
    # Where there is no terminal it asks nothing.
    assert printed.endswith("beam-obs serve --store demo-output/store\n")


@pytest.mark.slow
def test_on_a_terminal_it_offers_its_pages_and_opens_them(
    flights_demo: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    os.mkfifo(tmp_path / "opened")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    ours, terminal = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-c", OFFER],
        cwd=flights_demo,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": str(browser)},
        stdin=terminal,
        stdout=terminal,
        start_new_session=True,
    )
    try:
        printed = b""
        while b"[Y/n] " not in printed:
            printed += os.read(ours, 1000)
        os.write(ours, b"\n")
        address = (tmp_path / "opened").read_text().strip()
        with urllib.request.urlopen(address, timeout=30) as page:
            assert b"flights" in page.read()
    finally:
        os.killpg(demo.pid, signal.SIGTERM)
        demo.wait(30)

"""What is written to a server that is away is tried again for a while, and that of this machine is not."""

from __future__ import annotations

import time
import types

import pytest

from beam_obs.files import patience
from beam_obs.files.patience import patiently


class Server:
    """Is away for so many writes."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.tried = 0

    def write(self) -> None:
        self.tried += 1
        if self.tried <= self.away:
            raise OSError("connection refused")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    # Of this module alone: other threads of the process sleep too.
    slept: list[float] = []
    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=slept.append)
    monkeypatch.setattr(patience, "time", clock)
    return slept


def test_a_server_that_comes_back_is_written_to(no_pauses: list[float]) -> None:
    server = Server(away=5)

    patiently(server.write, "s3://back/store/file", 100)

    assert (server.tried, no_pauses) == (6, [0.5, 1.0, 2.0, 4.0, 5.0])


def test_one_that_stays_away_is_waited_for_once(no_pauses: list[float]) -> None:
    gone, back = Server(away=10**9), Server(away=1)
    with pytest.raises(OSError, match="connection refused"):
        patiently(gone.write, "s3://gone/store/one", 0.02)
    before = gone.tried

    with pytest.raises(OSError, match="connection refused"):
        patiently(gone.write, "s3://gone/store/two", 100)
    assert gone.tried == before + 1

    patiently(lambda: None, "s3://gone/store/three", 0)
    patiently(back.write, "s3://gone/store/four", 100)
    assert back.tried == 2


def test_a_folder_of_this_machine_is_not_waited_for(no_pauses: list[float]) -> None:
    full = Server(away=1)

    with pytest.raises(OSError, match="connection refused"):
        patiently(full.write, "/store/file", 100)
    assert (full.tried, no_pauses) == (1, [])

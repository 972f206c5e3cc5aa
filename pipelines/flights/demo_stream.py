"""`make demo-stream`: January's flights as a stream for a minute, some of them torn, doubled or late.

Runs on the DirectRunner over Google's Pub/Sub emulator; where there is none, on Prism over files as they
come. Shows how the stream goes, in the terminal and on a page, and its report at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from pipelines.flights import stream
from pipelines.flights.demo import command
from pipelines.flights.emulator import NoEmulator, running_emulator

FOLDER = pathlib.Path("demo-output") / "stream"
STORE = FOLDER / "store"
FILES = FOLDER / "input"

_PROJECT = "projects/flights-demo"
_TOPICS = ("flights", "statistics", "dead-letters")
_SPEED = 400
_ONE_FAULTY_IN = 50
_ENDS_WITHIN = 20.0


def main(argv: list[str] | None = None) -> int:
    """Runs the demonstration in the current folder; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.flights.demo_stream", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="How long (default: %(default)s).")
    parser.add_argument("--files", action="store_true", help="Over files, also where there is an emulator.")
    given = parser.parse_args(argv)
    shutil.rmtree(FOLDER, ignore_errors=True)
    (STORE / "runs").mkdir(parents=True)
    for logger in ("apache_beam", "PrismRunner"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    print(f"Flights of January 2013 at {_SPEED} times their speed, for {given.seconds} seconds.")
    print(f"Of {_ONE_FAULTY_IN} one is torn, one sent twice, and two are late.")
    with contextlib.ExitStack() as stack:
        read, replay = _over_files() if given.files else _over_pubsub(stack)
        stack.enter_context(_pages())
        stack.enter_context(_running("pipelines.flights.replay_source", *replay))
        state = stream.main(
            [
                *read,
                f"--output={FOLDER}/departures",
                f"--obs_store={STORE}",
                f"--stream_seconds={given.seconds}",
            ]
        )
    _print_next_steps(state)
    return 0 if state in (PipelineState.DONE, PipelineState.CANCELLED) else 1


def _over_pubsub(stack: contextlib.ExitStack) -> tuple[list[str], list[str]]:
    """Returns the options of the stream, and of the replay, over an emulator; over files without one."""
    try:
        address = stack.enter_context(running_emulator())
        # The clients of this process and of those that it starts look for it here.
        os.environ["PUBSUB_EMULATOR_HOST"] = address
        _create_topics()
    except (NoEmulator, ImportError) as missing:
        print(f"No Pub/Sub: {missing}.")
        return _over_files()
    print(f"Over Pub/Sub, emulated on {address}.")
    read = [
        "--runner=DirectRunner",
        f"--subscription={_PROJECT}/subscriptions/flights",
        f"--statistics_topic={_PROJECT}/topics/statistics",
        f"--dead_letters_topic={_PROJECT}/topics/dead-letters",
    ]
    return read, [f"--topic={_PROJECT}/topics/flights"]


def _create_topics() -> None:
    from google.cloud import pubsub

    publisher, subscriber = pubsub.PublisherClient(), pubsub.SubscriberClient()
    for name in _TOPICS:
        topic = f"{_PROJECT}/topics/{name}"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(name=f"{_PROJECT}/subscriptions/{name}", topic=topic)


def _over_files() -> tuple[list[str], list[str]]:
    """Returns the options of the stream, and of the replay, over files."""
    FILES.mkdir()
    print(f"Over files that come to {FILES}, on Prism.")
    read = ["--runner=PrismRunner", "--environment_type=LOOPBACK", f"--input={FILES}/flights-*.jsonl"]
    prism = _prism()
    return read if prism is None else [*read, f"--prism_location={prism}"], [f"--to-files={FILES}"]


def _prism() -> str | None:
    """Returns where Prism is, as `make engines` or somebody else installed it; None for Beam to fetch it."""
    engines = pathlib.Path.home() / ".cache" / "beam_obs" / "engines" / f"prism-{beam.__version__}"
    return shutil.which("prism", path=f"{engines}{os.pathsep}{os.environ.get('PATH', '')}")


@contextlib.contextmanager
def _pages() -> Iterator[None]:
    """Serves the pages of the store, and prints their address."""
    arguments = [sys.executable, "-m", "beam_obs.cli", "serve", f"--store={STORE}", "--port=0"]
    with _ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)) as server:
        assert server.stdout is not None
        # A line such as "demo-output/stream/store on http://127.0.0.1:8321/  (Ctrl-C ends it)".
        _, _, told = server.stdout.readline().partition(" on ")
        if told:
            print(f"Live at {told.split()[0]}")
        print(flush=True)
        yield


@contextlib.contextmanager
def _running(module: str, *arguments: str) -> Iterator[None]:
    """Replays flights beside the stream."""
    given = [f"--speed={_SPEED}", f"--faults={_ONE_FAULTY_IN}", *arguments]
    with _ended(subprocess.Popen([sys.executable, "-m", module, *given], text=True)):
        yield


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_ENDS_WITHIN)


_CANCELLED = """
A subscription has no end: the stream was cancelled when its time was over, with what was in windows then, and
is not done for `beam-obs check latest`. One that runs is held against rules by `check latest --may-run`.
"""


def _print_next_steps(state: str) -> None:
    """Prints where things are, and commands to try: behind the report, and so where that is printed."""
    beam_obs = command()
    check = f"\n  {beam_obs} check latest" if state == PipelineState.DONE else ""
    print(
        f"""
What was written   {FOLDER}/departures-fixed-*.avro and departures-sliding-*.avro
{_CANCELLED if state == PipelineState.CANCELLED else ""}
Try next
  export BEAM_OBS_STORE={STORE}
  {beam_obs} show latest{check}
  {beam_obs} dead-letters list latest --letters
  {beam_obs} why {FOLDER}/departures-fixed --match airport=JFK
  {beam_obs} serve""",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())

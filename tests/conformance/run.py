"""Runs Beam's own tests from the installed wheel, woven and bare, and prints them side by side.

    python -m tests.conformance.run                  all modules, bare and woven
    python -m tests.conformance.run --expected       woven only, held against what they gave bare
    python -m tests.conformance.run --write-expected notes what they give bare

A step that cannot be woven is an error, except in the tests that are listed as having one; a weave that
fails, or that Beam cannot read back, is one in every test. A test that fails bare, for want of a cloud or
a network, may fail woven; any other difference is an error.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import metadata
from typing import Any, NamedTuple

from tests.conformance.modules import ALL_MODULES, NOT_SAMPLED, SHARE, SHARED

EXPECTED = pathlib.Path(__file__).with_name("expected.json")
_PASSED, _FAILED, _SKIPPED = "passed", "failed", "skipped"
_WORSE = {_PASSED: 0, _SKIPPED: 1, _FAILED: 2}
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """What became of the tests of a module.

    Args:
      collected: tests that were to run.
      tests: test -> passed, failed or skipped.
      messages: of the failures.
      opaque: test -> why steps in it were not woven.
      errors: test -> how the weave failed, or Beam could not read back what was woven.
      woven: how many steps carried lineage.
      strict: how many tests in which such a step would have been an error.
      seconds: from start to end.
    """

    collected: list[str]
    tests: dict[str, str]
    messages: dict[str, str]
    opaque: dict[str, list[str]]
    errors: dict[str, list[str]]
    woven: int
    strict: int
    seconds: float

    def __str__(self) -> str:
        """Returns how many passed, failed and were skipped."""
        counts = collections.Counter(self.tests.values())
        return f"{counts[_PASSED]}+{counts[_FAILED]}f+{counts[_SKIPPED]}s"


def run_module(
    module: str,
    mode: str,
    *,
    opaque: Iterable[str] | None = None,
    sample: bool = False,
    select: str = "",
    evidence: bool = False,
    timeout: int = 600,
) -> Outcome:
    """Runs the tests of one of Beam's modules.

    Args:
      module: name below ``apache_beam``.
      mode: ``bare`` or ``woven``.
      opaque: tests in which a step may be opaque; None: in all of them.
      sample: of the variants of a test only the first, and one other; of modules in `SHARED` one test in
        `SHARE`.
      select: expression that picks tests, as pytest's ``-k``.
      evidence: write derivations and the output index too.
      timeout: seconds that one test may take.
    """
    with tempfile.TemporaryDirectory() as folder:
        results, may_be_opaque = pathlib.Path(folder, "results.jsonl"), pathlib.Path(folder, "opaque.json")
        if opaque is not None:
            may_be_opaque.write_text(json.dumps(sorted(opaque)))
        asked = {
            "MODE": mode,
            "RESULTS": str(results),
            "OPAQUE": "" if opaque is None else str(may_be_opaque),
            "SAMPLE": "1" if sample else "",
            "SHARE": str(SHARE) if sample and module in SHARED else "",
            "EVIDENCE": "1" if evidence else "",
        }
        environment = {
            **os.environ,
            **{f"BEAM_OBS_CONFORMANCE_{name}": value for name, value in asked.items()},
            "PYTHONPATH": f"{_ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        command = [
            *(sys.executable, "-m", "pytest", "--pyargs", f"apache_beam.{module}", "-q"),
            *("-p", "tests.conformance.plugin", "-p", "no:cacheprovider", f"--timeout={timeout}"),
            *("-c", os.devnull, "--rootdir", folder, "-k", select),
        ]
        start = time.monotonic()
        ran = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.monotonic() - start
        if not results.exists():
            message = ran.stdout.decode()[-3000:]
            return Outcome([], {module: _FAILED}, {module: message}, {}, {}, 0, 0, seconds)
        with results.open() as lines:
            return _outcome(map(json.loads, lines), seconds)


def _outcome(lines: Iterable[dict[str, Any]], seconds: float) -> Outcome:
    collected: list[str] = []
    tests: dict[str, str] = {}
    messages: dict[str, str] = {}
    opaque: dict[str, list[str]] = {}
    errors: dict[str, list[str]] = {}
    woven, strict = 0, 0
    for line in lines:
        if "collected" in line:
            collected = line["collected"]
            continue
        name = line["test"]
        if "outcome" not in line:
            woven += line["woven"]
            strict += line["strict"]
            if line["opaque"]:
                opaque[name] = line["opaque"]
            if line["errors"]:
                errors[name] = line["errors"]
            continue
        tests[name] = max(tests.get(name, _PASSED), line["outcome"], key=_WORSE.__getitem__)
        if line["message"]:
            messages[name] = line["message"]
    return Outcome(collected, tests, messages, opaque, errors, woven, strict, seconds)


# What they give bare, on file.


def read_expected() -> dict[str, Any]:
    """Returns what is on file: the versions it is of, and by module its seconds, tests and opaque ones."""
    found: dict[str, Any] = json.loads(EXPECTED.read_text())
    return found


def versions() -> dict[str, str]:
    """Returns the versions on which outcomes depend."""
    return {"apache-beam": metadata.version("apache-beam"), "python": "{}.{}".format(*sys.version_info)}


# Side by side.


class Compared(NamedTuple):
    """One module, bare and woven: the names of tests that ended otherwise, or met an error of the weave."""

    module: str
    bare: Outcome
    woven: Outcome
    differ: list[str]


def compare(module: str, expected: dict[str, Any], chosen: argparse.Namespace) -> Compared:
    """Runs a module woven, and bare unless that is on file, and compares."""
    noted = expected["modules"].get(module)
    is_noted = chosen.expected and noted is not None and versions().items() <= expected.items()
    # A module that is not on file has no list of what may be opaque.
    keywords = {"sample": chosen.sample, "select": chosen.select}
    may_be_opaque = None if noted is None else list(noted["opaque"])
    woven = run_module(module, "woven", opaque=may_be_opaque, evidence=chosen.evidence, **keywords)
    if is_noted:
        tests = {name: outcome for outcome in _WORSE for name in noted[outcome]}
        if chosen.sample or chosen.select:
            tests = {name: outcome for name, outcome in tests.items() if name in woven.collected}
        bare = Outcome(list(tests), tests, {}, {}, {}, 0, 0, 0)
    else:
        bare = run_module(module, "bare", **keywords)
    return side_by_side(module, bare, woven)


def side_by_side(module: str, bare: Outcome, woven: Outcome) -> Compared:
    """Returns what differs: a test that did not fail bare and ended otherwise woven, and every test in which
    the weave failed or Beam could not read it back."""
    names = sorted({*bare.tests, *woven.tests})
    differ = [
        name
        for name in names
        if name in woven.errors or bare.tests.get(name) not in (woven.tests.get(name), _FAILED)
    ]
    return Compared(module, bare, woven, differ)


def write_expected(modules: Iterable[str], jobs: int) -> int:
    """Notes what the tests give bare, and in which of them steps are opaque; returns how many differ woven.

    Args:
      modules: names below ``apache_beam``; the others stay as they are noted.
      jobs: modules that run at the same time.
    """

    def run_both(module: str) -> Compared:
        return side_by_side(module, run_module(module, "bare"), run_module(module, "woven"))

    noted = read_expected()["modules"] if EXPECTED.exists() else {}
    differing = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(run_both, modules):
            by_outcome: dict[str, Any] = {"seconds": round(found.woven.seconds)}
            for outcome in _WORSE:
                tests = found.bare.tests.items()
                by_outcome[outcome] = sorted(name for name, one in tests if one == outcome)
            noted[found.module] = {**by_outcome, "opaque": dict(sorted(found.woven.opaque.items()))}
            print_one(found, why=True)
            differing += len(found.differ)
            every = {**versions(), "modules": {name: noted[name] for name in sorted(noted)}}
            EXPECTED.write_text(json.dumps(every, indent=1) + "\n")
    return differing


def main(argv: list[str] | None = None) -> int:
    """Runs the modules; returns 1 where a test passed bare and not woven, or the other way round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="names below apache_beam; all by default")
    parser.add_argument("--select", default="", help="picks tests, as pytest's -k")
    parser.add_argument("--sample", action="store_true", help="of variants two, of some modules a part")
    parser.add_argument("--expected", action="store_true", help="what is on file in place of bare runs")
    parser.add_argument("--write-expected", action="store_true", help="put bare runs on file")
    parser.add_argument("--evidence", action="store_true", help="write derivations and output index too")
    parser.add_argument("--jobs", type=int, default=1, help="modules that run at the same time")
    parser.add_argument("--why", action="store_true", help="print what was opaque, and why")
    chosen = parser.parse_args(argv)
    if chosen.write_expected:
        return 1 if write_expected(chosen.modules or ALL_MODULES, chosen.jobs) else 0
    expected = read_expected()
    # The longest first, so that nothing long is left when all else is done.
    modules = sorted(
        chosen.modules or (module for module in ALL_MODULES if not (chosen.sample and module in NOT_SAMPLED)),
        key=lambda name: -expected["modules"].get(name, {}).get("seconds", 0),
    )
    start = time.monotonic()
    tests, differing, strict = 0, 0, 0
    print(
        f"{'module':58} {'bare':>15} {'woven':>15} {'strict':>6} {'differ':>6} {'bare s':>6} {'woven s':>7}"
    )
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        running = [pool.submit(compare, module, expected, chosen) for module in modules]
        for done in concurrent.futures.as_completed(running):
            found = done.result()
            tests += len(found.woven.tests)
            differing += len(found.differ)
            strict += found.woven.strict
            print_one(found, chosen.why)
    seconds = time.monotonic() - start
    print(f"{tests} tests, {strict} of them strict; {differing} differ woven from bare; {seconds:.0f} s")
    return 1 if differing else 0


def print_one(found: Compared, why: bool) -> None:
    """Prints the line of a module, and what differs."""
    print(
        f"{found.module:58} {found.bare!s:>15} {found.woven!s:>15} {found.woven.strict:>6} "
        f"{len(found.differ):>6} {found.bare.seconds:>6.0f} {found.woven.seconds:>7.0f}",
        flush=True,
    )
    for name in found.differ:
        print(f"  {name}: bare {found.bare.tests.get(name)}, woven {found.woven.tests.get(name)}")
        for error in found.woven.errors.get(name, ()):
            print(f"    {error}")
        print("    " + found.woven.messages.get(name, "")[-1500:].replace("\n", "\n    "), flush=True)
    if why:
        for name, reasons in sorted(found.woven.opaque.items()):
            print(f"  opaque in {name}: {'; '.join(reasons)}")


if __name__ == "__main__":
    sys.exit(main())

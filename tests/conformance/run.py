"""Runs Beam's own tests from the installed wheel, woven and bare, and prints them side by side.

    python -m tests.conformance.run [--strict] [MODULE ...]

A test that fails bare, for want of a cloud or a network, may fail woven; any other difference is an error.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from typing import NamedTuple

MODULES = (
    "transforms.core_test",
    "transforms.sideinputs_test",
    "transforms.util_test",
    "transforms.userstate_test",
    "transforms.ptransform_test",
    "transforms.dofn_lifecycle_test",
    "transforms.batch_dofn_test",
    "transforms.combinefn_lifecycle_test",
    "transforms.combiners_test",
    "transforms.window_test",
    "transforms.trigger_test",
    "transforms.create_test",
    "transforms.error_handling_test",
    "transforms.stats_test",
    "transforms.deduplicate_test",
    "transforms.periodicsequence_test",
    "transforms.write_ptransform_test",
    "transforms.resources_test",
    "testing.test_stream_test",
    "testing.util_test",
    "testing.synthetic_pipeline_test",
    "io.textio_test",
    "io.fileio_test",
    "pipeline_test",
    "runners.portability.fn_api_runner.fn_runner_test",
    "runners.direct.sdf_direct_runner_test",
)
_PASSED, _FAILED, _SKIPPED = "passed", "failed", "skipped"
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """What became of the tests of a module: test -> passed, failed or skipped, and messages of failures."""

    tests: dict[str, str]
    messages: dict[str, str]
    opaque: collections.Counter[str]
    seconds: float

    def count(self, result: str) -> int:
        """Returns how many tests ended so."""
        return sum(1 for one in self.tests.values() if one == result)


def run_module(module: str, mode: str, select: str = "", timeout: int = 600) -> Outcome:
    """Runs the tests of one of Beam's modules.

    Args:
      module: name below ``apache_beam``.
      mode: ``bare``, ``woven`` or ``strict``.
      select: expression that picks tests, as pytest's ``-k``.
      timeout: seconds that one test may take.
    """
    with tempfile.TemporaryDirectory() as folder:
        results, reports = f"{folder}/results.xml", f"{folder}/reports.jsonl"
        command = [
            *(sys.executable, "-m", "pytest", "--pyargs", f"apache_beam.{module}", "-q"),
            *("-p", "tests.conformance.plugin", "-p", "no:cacheprovider", f"--timeout={timeout}"),
            *("-c", os.devnull, "--rootdir", folder, "-o", "junit_family=xunit1", f"--junitxml={results}"),
        ]
        if select:
            command += ["-k", select]
        environment = {
            **os.environ,
            "BEAM_OBS_CONFORMANCE": mode,
            "BEAM_OBS_CONFORMANCE_REPORT": reports,
            "PYTHONPATH": f"{_ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return _read(results, reports)


def _read(results: str, reports: str) -> Outcome:
    tests: dict[str, str] = {}
    messages: dict[str, str] = {}
    seconds = 0.0
    if os.path.exists(results):
        for case in xml.etree.ElementTree.parse(results).getroot().iter("testcase"):
            name = f"{case.get('classname', '').rsplit('.', 1)[-1]}.{case.get('name')}"
            seconds += float(case.get("time", 0))
            bad = [child for child in case if child.tag in ("failure", "error")]
            if bad:
                tests[name], messages[name] = (
                    _FAILED,
                    (bad[0].get("message") or "") + (bad[0].text or "")[-1500:],
                )
            elif name not in tests:
                tests[name] = _SKIPPED if any(child.tag == "skipped" for child in case) else _PASSED
    opaque: collections.Counter[str] = collections.Counter()
    if os.path.exists(reports):
        with open(reports) as file:
            for line in file:
                opaque.update(json.loads(line)["opaque"].values())
    return Outcome(tests, messages, opaque, seconds)


def main(argv: list[str] | None = None) -> int:
    """Runs the modules; returns 1 where a test passed bare and not woven, or the other way round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="names below apache_beam; all by default")
    parser.add_argument("--strict", action="store_true", help="an opaque step is an error")
    parser.add_argument("--select", default="", help="picks tests, as pytest's -k")
    parser.add_argument("--why", action="store_true", help="print what differs, and what was opaque")
    chosen = parser.parse_args(argv)
    differing = 0
    print(f"{'module':52} {'bare':>17} {'woven':>17} {'differ':>7} {'bare s':>7} {'woven s':>8}")
    for module in chosen.modules or MODULES:
        bare = run_module(module, "bare", chosen.select)
        woven = run_module(module, "strict" if chosen.strict else "woven", chosen.select)
        names = sorted({*bare.tests, *woven.tests})
        differ = [name for name in names if bare.tests.get(name) != woven.tests.get(name)]
        differing += len(differ)
        print(
            f"{module:52} {_counts(bare):>17} {_counts(woven):>17} {len(differ):>7} "
            f"{bare.seconds:>7.0f} {woven.seconds:>8.0f}",
            flush=True,
        )
        if chosen.why:
            for name in differ:
                print(f"  {name}: bare {bare.tests.get(name)}, woven {woven.tests.get(name)}")
                print("    " + woven.messages.get(name, "")[-1200:].replace("\n", "\n    "))
            for reason, count in woven.opaque.most_common(12):
                print(f"  opaque {count}: {reason}")
    return 1 if differing else 0


def _counts(outcome: Outcome) -> str:
    return f"{outcome.count(_PASSED)}+{outcome.count(_FAILED)}f+{outcome.count(_SKIPPED)}s"


if __name__ == "__main__":
    sys.exit(main())

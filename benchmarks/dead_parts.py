"""What the parts of a dead letter cost, each in a loop of its own: `python -m benchmarks.dead_parts`.

The records are those of `benchmarks.dead`. A part alone in a loop has its code and data at hand, which it has
not between records that are good: the sum is less than a dead letter of a pipeline takes. CPU time, the
fastest of many rounds, so that it is nearly the same on a busy machine.
"""

from __future__ import annotations

import argparse
import sys
import time
import timeit
import zlib
from collections.abc import Callable
from typing import Any

from apache_beam import coders
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN

from beam_obs.dead_letters.dead_letter_files import AvroRows
from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.records.letter_row import LetterRows
from beam_obs.records.payload import coder_name, encode_payload, payload_text
from beam_obs.records.run_context import ObservationSettings, RunContext
from beam_obs.wrapper.failure import failure_parts_of, in_words
from beam_obs.wrapper.guard import Guard, GuardSettings
from beam_obs.wrapper.refusal import Refusal
from benchmarks.dead import KINDS, Records

LETTERS = 200
ROUNDS = 200
AT_ONCE = 100
STAGE = "parse"


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def microseconds(loop: Callable[[], object], rounds: int) -> float:
    """Returns what a loop over all letters takes for each, in its fastest round."""
    return min(timeit.repeat(loop, number=1, repeat=rounds, timer=time.thread_time)) / LETTERS * 1e6


def parts_of(records: Records, rounds: int) -> dict[str, float]:
    """Returns the microseconds of each part by its name, in the order in which they are done."""
    bad: list[Any] = [records.bad(number) for number in range(LETTERS)]
    coder = coders.StrUtf8Coder() if isinstance(bad[0], str) else coders.FastPrimitivesCoder()
    name = coder_name(coder)
    context = RunContext("dead", "01a22422-2bc2-7b41-ac9b-de9f1ce14e16", "sha256:b4e15e9b1d8a9416")
    guard = Guard(GuardSettings(STAGE, context, ObservationSettings(), coder, name, keeps_dead_letters=True))

    def failing(then: Callable[[Any, Exception, bytes], object]) -> Callable[[], list[Any]]:
        def loop() -> list[Any]:
            found = []
            for number, element in enumerate(bad):
                try:
                    records.parse(element)
                except Exception as error:  # noqa: PERF203 - it is what is measured
                    found.append(then(element, error, b"\1\2\3\4\0" + number.to_bytes(11, "big")))
            return found

        return loop

    refused: list[Refusal] = [tagged.value for (tagged,) in failing(guard.refuse)()]
    formatter, window = FormatDeadLetters(STAGE, context), GlobalWindow()
    formatter.start_bundle()

    def make_letters() -> list[Any]:
        return [formatter.letter_of(one, 0, window, PANE_INFO_UNKNOWN) for one in refused]

    letters = make_letters()
    some = [letters[at : at + AT_ONCE] for at in range(0, LETTERS, AT_ONCE)]
    rows = LetterRows()
    encoded = rows.encode(letters)
    file = AvroRows(_Nowhere(), STAGE)

    def write() -> None:
        for hundred in some:
            file.write_all(hundred)

    def squeeze() -> None:
        compressor = zlib.compressobj(level=1, wbits=-15)
        compressor.compress(encoded)
        compressor.flush()

    took = {
        "raise": failing(lambda *_: None),
        "failure": failing(lambda _, error, __: failure_parts_of(error, STAGE)),
        "refuse": failing(guard.refuse),
        "payload": lambda: [encode_payload(element, coder, name) for element in bad],
        "text": lambda: [payload_text(element) for element in bad],
        "words": lambda: [in_words(one.failure) for one in refused],
        "letter": make_letters,
        "row": lambda: [rows.encode(letters) for letters in some],
        "write": write,
        "deflate": squeeze,
    }
    cost = {part: microseconds(loop, rounds) for part, loop in took.items()}
    failure = cost["failure"] - cost["raise"]
    return {
        "raise and catch": cost["raise"],
        "type, message and stack": failure,
        "payload encoded": cost["payload"],
        "element as text": cost["text"],
        "rest of the refusal": cost["refuse"] - cost["raise"] - failure - cost["payload"] - cost["text"],
        "fingerprint and traceback": cost["words"],
        "letter with its key": cost["letter"] - cost["words"],
        "row": cost["row"],
        "deflate": cost["deflate"],
        "census, index, file": cost["write"] - cost["row"] - cost["deflate"],
        "all of them": cost["refuse"] + cost["letter"] + cost["write"],
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what the parts of a dead letter cost.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    rounds = parser.parse_args(argv).rounds
    found = {kind: parts_of(records, rounds) for kind, records in KINDS.items()}
    print("CPU microseconds of the parts of a dead letter, each in a loop of its own, fastest round\n")
    print(f"  {'':<28}" + "".join(f"{kind:>18}" for kind in found))
    for part in next(iter(found.values())):
        print(f"  {part:<28}" + "".join(f"{parts[part]:>18.1f}" for parts in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A secret planted in every position of elements of every kind is in no file of the store."""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
import pytest

import beam_obs as obs
from beam_obs.wrapper.hidden_texts import HiddenTexts

PLAIN = "Ada.Lovelace@example.org"
ODD = 'Ada "Ö" O\'Neil\\x\n\t£'
LONG = "X" * 30 + PLAIN + "A" * 20_000


class Person(NamedTuple):
    id: int
    email: str


@dataclasses.dataclass
class Account:
    email: Any
    others: Any = None


class Plain:
    """An object that tells what it holds."""

    def __init__(self, email: str) -> None:
        self.email = email

    def __repr__(self) -> str:
        return f"Plain({self.email!r})"


def elements(secret: str) -> Iterator[Any]:
    record = {"id": 1, "email": secret}
    yield record
    yield {"id": 1, "contact": {"all": [record]}}
    yield {**record, "login": secret, "note": f"<{secret}>"}
    yield {**record, "by": {secret: 1, (secret, 2): 2, 3: {secret: 4}}}
    yield {**record, "all": {secret}, "frozen": frozenset([secret]), "tuple": ({secret},)}
    yield {**record, "raw": f"id=1;{secret}".encode(), "array": bytearray(secret.encode())}
    yield {**record, "object": Plain(secret), "account": Account("other", [secret])}
    yield {**record, "queue": collections.deque([secret]), "counted": collections.Counter([secret])}
    yield {**record, "upper": secret.upper(), "lower": secret.lower(), "json": json.dumps(record)}
    yield {"id": 1, "email": {secret: [secret.encode()]}, "copy": secret}
    yield {"id": 1, "email": Account(secret), "copy": secret}
    yield Person(1, secret)
    yield Account(secret, others={"email": secret})
    yield Account({"address": secret}, others=[secret, Plain(secret)])
    yield beam.Row(id=1, email=secret)
    yield (secret, record)
    yield (record, secret)
    yield (secret, [record, Person(2, secret), secret])
    yield ("key", (secret, beam.Row(id=1, email=secret)))
    yield [record, secret]
    yield secret
    yield Plain(secret)
    yield secret.encode()


class Refused(Exception):
    def __init__(self, element: Any) -> None:
        super().__init__(element, {"element": element})


def as_message(element: Any, secret: str) -> None:
    raise ValueError(
        f"{element} {secret} '{secret.upper()}' {secret.lower()} {json.dumps(secret)} {secret!r}"
    )


def as_argument(element: Any, secret: str) -> None:
    raise Refused(element)


def as_key(element: Any, secret: str) -> None:
    {}[secret]


def as_note(element: Any, secret: str) -> None:
    error = ValueError("refused")
    if hasattr(error, "add_note"):
        error.add_note(f"about {secret}: {element!r}")
    raise error


def as_cause(element: Any, secret: str) -> None:
    try:
        as_message(element, secret)
    except ValueError as error:
        raise RuntimeError("refused") from error


def as_context(element: Any, secret: str) -> None:
    try:
        as_message(element, secret)
    except ValueError:
        raise RuntimeError("refused")  # noqa: B904 - what led to it is not named


def shortened(element: Any, secret: str) -> None:
    raise ValueError(f"cannot take {secret[: len(secret) * 2 // 3]}... nor {str(element)[:50]}...")


FAILURES: list[Callable[[Any, str], None]] = [
    as_message,
    as_argument,
    as_key,
    as_note,
    as_cause,
    as_context,
    shortened,
]


def everything_in(store: pathlib.Path) -> str:
    """All that a store holds, as text; the rows of its Avro files as text too, bytes decoded."""
    pieces: list[str] = []
    for path in sorted(store.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            pieces += [str(path), content.decode("latin-1"), content.decode("utf-8", "replace")]
        if path.suffix == ".avro":
            with path.open("rb") as file:
                for row in fastavro.reader(file):
                    assert isinstance(row, dict)
                    pieces += map(str, row.values())
                    pieces.append(row.get("payload", b"").decode("utf-8", "replace"))
    return "\n".join(pieces)


def traces_of(secret: str, text: str) -> list[str]:
    """Forms of a secret that a text holds."""
    folded = text.casefold()
    forms = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    return [form for form in forms if form.casefold() in folded or form.upper().casefold() in folded]


@pytest.mark.parametrize("secret", [PLAIN, ODD, LONG], ids=["plain", "odd", "long"])
@pytest.mark.slow
def test_a_planted_secret_is_nowhere_in_the_store(secret: str) -> None:
    argv = ["--obs_report=off", "--obs_max_dead_rate=1", f"--email={secret}"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="planted", redact=["email"]) as p:
        planted = p | "planted" >> beam.Create(list(elements(secret)))
        for failure in FAILURES:
            planted | failure.__name__ >> obs.Stage(beam.Map(failure, secret))
        keyed = planted | "key" >> beam.Map(lambda element: (secret, element))
        grouped = keyed | "group" >> beam.GroupByKey()
        grouped | "grouped" >> obs.Stage(beam.Map(as_message, secret))
        keyed | "combine" >> obs.Stage(beam.CombinePerKey(FailsToCombine()))
        records = p | "records" >> beam.Create([{"id": 1, "email": secret}, {"id": 1, "email": secret}])
        records | "check" >> obs.Check(obs.matches("email", "z+"), obs.unique("id"))
        records | "counted" >> obs.Check(obs.matches("email", "z+"), on_break="count")
    found = everything_in(pathlib.Path(".beam_obs"))
    assert "planted" in found
    assert not traces_of(secret, found)


class FailsToCombine(beam.CombineFn):  # type: ignore[misc]
    def create_accumulator(self) -> int:
        return 0

    def add_input(self, accumulator: int, element: Any) -> int:
        raise ValueError(f"cannot add {element}")

    def merge_accumulators(self, accumulators: Any) -> int:
        return sum(accumulators)

    def extract_output(self, accumulator: int) -> int:
        return accumulator


def test_the_search_of_this_test_finds_what_is_not_redacted() -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="open") as p:
        p | beam.Create([{"email": ODD}]) | "refuse" >> obs.Stage(beam.Map(as_cause, ODD))
    assert traces_of(ODD, everything_in(pathlib.Path(".beam_obs")))


def test_a_message_that_was_cut_within_a_value_is_scrubbed() -> None:
    hidden = HiddenTexts([PLAIN])
    assert hidden.scrub(f"about {PLAIN[:9]}... [cut]") == "about [redacted]... [cut]"
    assert hidden.scrub("about nobody... [cut]") == "about nobody... [cut]"

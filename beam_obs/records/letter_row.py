"""Dead letters as rows of an Avro file, of the schema `DEAD_LETTER_SCHEMA`."""

from __future__ import annotations

from collections.abc import Iterable

from beam_obs.records.avro_number import avro_bytes, avro_long
from beam_obs.records.dead_letter import DeadLetter

_MOST_KNOWN = 1_000
_NOTHING, _SOMETHING = b"\x00", b"\x02"
"""Before a value that may be missing."""


class LetterRows:
    """Encodes the dead letters of a file, a third of whose fields are the same in nearly all of them."""

    def __init__(self) -> None:
        self._known = _Texts()
        self._numbers = _Numbers()
        self._sizes = _Numbers()

    def encode(self, letters: Iterable[DeadLetter]) -> bytes:
        """Returns the rows of dead letters, one behind the other.

        Raises:
          UnicodeEncodeError: a text has no UTF-8.
        """
        parts: list[bytes] = []
        for letter in letters:
            parts += self._parts_of(letter)
        return b"".join(parts)

    def _parts_of(self, letter: DeadLetter) -> tuple[bytes, ...]:
        (
            identity,
            key,
            run,
            pipeline,
            stage,
            origin,
            source_uri,
            position,
            event_time,
            window,
            pane,
            failed_at,
            error_type,
            error_message,
            traceback,
            fingerprint,
            payload,
            payload_coder,
            payload_text,
            attempt,
            first_failed_at,
            root_id,
            code,
            traceparent,
            redacted,
        ) = letter
        known, numbers, sizes = self._known, self._numbers, self._sizes
        own_id = avro_bytes(identity.encode())
        failed = numbers[failed_at]
        key_text, message, frames = key.encode(), error_message.encode(), traceback.encode()
        text = payload_text.encode()
        return (
            own_id,
            sizes[len(key_text)],
            key_text,
            known[run],
            known[pipeline],
            known[stage],
            _NOTHING if origin is None else _SOMETHING + avro_bytes(origin.encode()),
            _NOTHING if source_uri is None else _SOMETHING + known[source_uri],
            _NOTHING if position is None else _SOMETHING + avro_long(position),
            numbers[event_time],
            known[window],
            known[pane],
            failed,
            known[error_type],
            sizes[len(message)],
            message,
            sizes[len(frames)],
            frames,
            known[fingerprint],
            sizes[len(payload)],
            payload,
            known[payload_coder],
            sizes[len(text)],
            text,
            sizes[attempt],
            failed if first_failed_at == failed_at else numbers[first_failed_at],
            own_id if root_id == identity else avro_bytes(root_id.encode()),
            known[code],
            _NOTHING if traceparent is None else _SOMETHING + avro_bytes(traceparent.encode()),
            b"\x01" if redacted else b"\x00",
        )


class _Texts(dict[str, bytes]):
    """Texts as Avro has them; a method in its place would cost more than all the look-ups."""

    def __missing__(self, text: str) -> bytes:
        found = avro_bytes(text.encode())
        if len(self) < _MOST_KNOWN:
            self[text] = found
        return found


class _Numbers(dict[int, bytes]):
    """Numbers as Avro has them, of which the latest come again."""

    def __missing__(self, number: int) -> bytes:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[number] = avro_long(number)
        return found

"""Avro's form of numbers and of bytes. Numbers are zigzag, seven bits in a byte, the lowest first.

Thrift's compact form has the same numbers.

https://avro.apache.org/docs/1.11.1/specification/#binary-encoding
"""

from __future__ import annotations

import functools


def avro_long(number: int) -> bytes:
    """Returns Avro's form of a number of 64 bits.

    >>> avro_long(1), avro_long(-1), avro_long(128)
    (b'\\x02', b'\\x01', b'\\x80\\x02')
    """
    if 0 <= number < _KNOWN:
        return _LONGS[number]
    left = (number << 1) ^ (number >> 63)
    if left < _TWO_BYTES:
        return _groups(left)
    # Of times that lie near one another all but the lowest bits are the same.
    return bytes((left & 0x7F | 0x80, left >> 7 & 0x7F | 0x80)) + _known_groups(left >> 14)


def _groups(left: int) -> bytes:
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_known_groups = functools.lru_cache(maxsize=1024)(_groups)

_TWO_BYTES = 1 << 14
_KNOWN = 2048
_LONGS = [_groups(number << 1) for number in range(_KNOWN)]
"""Of lengths, which are mostly short."""


def avro_bytes(data: bytes) -> bytes:
    """Returns Avro's form of bytes, which is that of text, too: their number, and they.

    >>> avro_bytes(b"ab")
    b'\\x04ab'
    """
    length = len(data)
    return (_LONGS[length] if length < _KNOWN else avro_long(length)) + data


def read_avro_long(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a place, and where it ends.

    Raises:
      IndexError: the data ends before it.
      ValueError: it has more than 64 bits.

    >>> read_avro_long(b"\\x80\\x02", 0)
    (128, 2)
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")

"""Avro's form of numbers: zigzag, seven bits in a byte, the lowest first. Thrift's compact form has the same.

https://avro.apache.org/docs/1.11.1/specification/#binary-encoding
"""

from __future__ import annotations

_SHORT = [bytes([2 * number]) for number in range(64)]


def avro_long(number: int) -> bytes:
    """Returns Avro's form of a number of 64 bits.

    >>> avro_long(1), avro_long(-1), avro_long(128)
    (b'\\x02', b'\\x01', b'\\x80\\x02')
    """
    if 0 <= number < 64:
        return _SHORT[number]
    left = (number << 1) ^ (number >> 63)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


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

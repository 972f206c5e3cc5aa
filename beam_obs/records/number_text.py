"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Returns a number of things.

    Args:
      number: how many there are.
      noun: what one of them is called; the last word takes the plural.

    >>> counted(1, "record"), counted(2000, "record"), counted(0, "dead letter")
    ('1 record', '2,000 records', '0 dead letters')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def amount_text(lost: int, added: int) -> str:
    """Returns how many are lost and how many too many.

    >>> amount_text(2, 1), amount_text(0, 3)
    ('2 lost, 1 too many', '3 too many')
    """
    return ", ".join([f"{lost:,} lost"] * bool(lost) + [f"{added:,} too many"] * bool(added))

"""External ids as the numbers that SLAM systems count their keyframes by."""

from __future__ import annotations


def to_unsigned(external_id: str, largest: int = 2**64 - 1) -> int | None:
    """The number that a text of digits is; None where it is none, or too large.

    Only the one way to write a number counts: `7` and `07` are not the same keyframe.
    """
    is_digits = external_id.isascii() and external_id.isdigit() and len(external_id) <= 20
    if not is_digits or str(number := int(external_id)) != external_id:
        return None
    return number if number <= largest else None

"""Numbers and names as people read them, safe to send to a terminal."""

from __future__ import annotations

import math

from segmeter.boundary._distances import distance_text as distance_text

_DISTANCES = frozenset(
    ("hd", "hd50", "hd75", "hd90", "hd95", "hd99", "asd", "assd", "masd", "distance")
)

ABSENT = "–"
"""Stands for a score that is not defined (NaN)."""


def printable(text: object) -> str:
    r"""Replace what a terminal would obey instead of print by its escape.

    Control characters, direction overrides, odd spaces and the surrogates that stand for the
    undecodable bytes of a file name become escapes; every other character stays.

    Examples
    --------
    >>> print(printable("mask\x1b[31m\n.png"))
    mask\x1b[31m\n.png
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)
    )


def is_distance(name: str) -> bool:
    """Whether a score of this name is a distance: the smaller the better, and not up to 1.

    Examples
    --------
    >>> is_distance("mean_hd95_per_image"), is_distance("nsd_at_1")
    (True, False)
    """
    return not _DISTANCES.isdisjoint(name.partition(":")[0].split("_"))


def score_text(value: float | None) -> str:
    """Score in [0, 1] (or any number) with four decimals; an undefined one as a dash.

    Examples
    --------
    >>> score_text(0.75), score_text(float("nan")), score_text(None)
    ('0.7500', '–', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    return f"{value:.4f}"


def count_text(value: int) -> str:
    """Count with thousands separated.

    Examples
    --------
    >>> count_text(1048576)
    '1,048,576'
    """
    return f"{value:,}"


def share_text(part: float, whole: float) -> str:
    """Part of a whole in percent; tiny but present parts never show as zero.

    Examples
    --------
    >>> share_text(1, 8), share_text(1, 10**6), share_text(0, 5), share_text(0, 0)
    ('12.5 %', '<0.1 %', '0 %', '–')
    """
    if whole == 0:
        return ABSENT
    if part == 0:
        return "0 %"
    percent = 100 * part / whole
    return "<0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def plural(number: int, noun: str) -> str:
    """Number and noun, the noun in the right form.

    Examples
    --------
    >>> plural(1, "image"), plural(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

"""What readers have done natively, in plain NumPy: colours as numbers, and the filters of PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def color_codes(pixels: NDArray[np.uint8], codes: NDArray[np.uint32]) -> None:
    """Write r + 256 g + 65536 b of every pixel (H, W, 3 or 4) to codes (H, W).

    Examples
    --------
    >>> codes = np.zeros((1, 1), np.uint32)
    >>> color_codes(np.array([[[1, 2, 3]]], np.uint8), codes)
    >>> codes
    array([[197121]], dtype=uint32)
    """
    codes[...] = pixels[..., :3] @ np.array([1, 256, 65536], np.uint32)


def unfilter_png(rows: NDArray[np.uint8], pixel_bytes: int) -> bool:
    """Undo the filters of the rows of an image (H, 1 + bytes of a row), in place.

    Returns
    -------
    bool
        False, with rows in no defined state, if a row names a filter that does not exist.

    Notes
    -----
    Portable Network Graphics specification (W3C, third edition), section 9: the first byte of a
    row names how its bytes were predicted from the byte of the pixel to the left (a), the one
    above (b) and the one above to the left (c); all are 0 outside the image.

    Examples
    --------
    >>> rows = np.array([[1, 5, 1, 1]], np.uint8)
    >>> unfilter_png(rows, 1), rows
    (True, array([[1, 5, 6, 7]], dtype=uint8))
    """
    above = [0] * (rows.shape[1] - 1)
    for row in rows:
        kind = int(row[0])
        if kind >= 5:
            return False
        decoded: list[int] = []
        for i, difference in enumerate(row[1:].tolist()):
            a = decoded[i - pixel_bytes] if i >= pixel_bytes else 0
            b = above[i]
            c = above[i - pixel_bytes] if i >= pixel_bytes else 0
            predicted = (0, a, b, (a + b) // 2, _paeth(a, b, c))[kind]
            decoded.append((difference + predicted) % 256)
        row[1:] = above = decoded
    return True


def _paeth(a: int, b: int, c: int) -> int:
    """Of a, b and c, the first that is nearest to a + b - c."""
    return min((a, b, c), key=lambda value: abs(a + b - c - value))

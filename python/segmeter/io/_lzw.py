"""A check of LZW data, because the decoder that tifffile uses trusts them.

imagecodecs (2026.3.6 at least) follows a dangling pointer when the first code after a Clear code is
not a byte: a damaged file would end the process. Other damage it reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLEAR, _END = 256, 257
# Widths of the codes after a Clear code, and where each starts: the table has 258 entries at first,
# every code but the first adds one, and codes widen one entry early. The decoder refuses a table of
# 5120 entries.
_WIDTHS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 3330])
_STARTS = np.cumsum(_WIDTHS) - _WIDTHS
_FEW = 32  # codes looked at first, lest data of little but Clear codes take very long


def is_safe(data: bytes) -> bool:
    """Tell whether data begin with a Clear code and no Clear code is followed by a table entry.

    Parameters
    ----------
    data : bytes
        One strip or tile, compressed as section 13 of the TIFF 6.0 specification says: codes of 9
        to 12 bits, most significant bit first.

    Returns
    -------
    bool
        False for data that must not be given to the decoder.
    """
    if len(data) < 2 or data[0] != _CLEAR >> 1 or data[1] & 0x80:
        return False
    stream = np.frombuffer(data + b"\0\0", np.uint8).astype(np.int64)
    position: int | None = 9
    while position is not None:
        first, position = _scan_run(stream, position)
        if first > _END:
            return False
    return True


def _scan_run(stream: NDArray[np.int64], position: int) -> tuple[int, int | None]:
    """Scan from behind one Clear code to the next: first code, where the next run starts if any."""
    for count in (_FEW, len(_STARTS)):
        codes = _codes(stream, position, count)
        ends = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        if len(ends):
            break
    first = int(codes[0]) if len(codes) else _END
    if not len(ends) or codes[ends[0]] == _END:
        return first, None
    return first, position + int(_STARTS[ends[0]] + _WIDTHS[ends[0]])


def _codes(stream: NDArray[np.int64], position: int, count: int) -> NDArray[np.int64]:
    """Read up to count codes of a run that starts at the bit `position`."""
    starts, widths = position + _STARTS[:count], _WIDTHS[:count]
    inside = starts + widths <= 8 * (len(stream) - 2)
    starts, widths = starts[inside], widths[inside]
    first = starts >> 3
    window = stream[first] << 16 | stream[first + 1] << 8 | stream[first + 2]
    codes: NDArray[np.int64] = window >> (24 - (starts & 7) - widths) & ((1 << widths) - 1)
    return codes

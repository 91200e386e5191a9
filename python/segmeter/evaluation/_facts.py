"""What a set of pairs looks like: headers of all files, labels of a sample of them."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter._core import max_threads
from segmeter.evaluation._files import read_labels
from segmeter.io import Header, LabelMap, ReadError, probe, read_label_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from segmeter.evaluation.pairing import Pair

SIDES = ("pred", "target")

_JOINT_PIXELS = 1 << 20  # joint counts and flips look at every k-th row and column of large maps
_MAX_JOINT = 1 << 22  # cells of a joint table; instance ids would need more and mean nothing here


@dataclass(slots=True)
class Side:
    """Labels of the predictions, or of the targets, in the sample.

    Attributes
    ----------
    labels : Counter of int
        Label to pixels.
    constant : list of tuple (str, int)
        Files that hold a single label: path and label.
    palettes : list of ndarray
        Colours of palette files, (N, 3).
    colors : Counter of int
        Colour code (r + 256 g + 65536 b) to pixels, of files that hold colours.
    color_files : list of str
    numbered : list of int
        Highest label of each file whose labels are 1, 2, ... without a gap (and 0).
    """

    labels: Counter[int] = field(default_factory=Counter)
    constant: list[tuple[str, int]] = field(default_factory=list)
    palettes: list[NDArray[np.uint8]] = field(default_factory=list)
    colors: Counter[int] = field(default_factory=Counter)
    color_files: list[str] = field(default_factory=list)
    numbered: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Facts:
    """Everything the findings are drawn from.

    Attributes
    ----------
    pairs : sequence of Pair
        All pairs.
    headers : dict of str to Header or ReadError
        Of every file of every pair.
    sampled : int
        Pairs whose labels were read.
    compared : int
        Those of them that have labels of equal shape.
    sides : dict of str to Side
    unreadable : dict of str to str
        Path to reason, from headers and the sample.
    joint : Counter of tuple (int, int)
        (pred label, target label) to pixels.
    identical : int
        Compared pairs with equal labels everywhere.
    gains : dict of str to list of float
        For each way of turning the prediction, the information it has about the target less that
        of the prediction as it is, per compared pair.
    information : list of float
        Mutual information of the two maps over the entropy of the target, 0 to 1, per compared
        pair in which neither map is constant.
    """

    pairs: Sequence[Pair]
    headers: dict[str, Header | ReadError] = field(default_factory=dict)
    sampled: int = 0
    compared: int = 0
    sides: dict[str, Side] = field(default_factory=lambda: {side: Side() for side in SIDES})
    unreadable: dict[str, str] = field(default_factory=dict)
    joint: Counter[tuple[int, int]] = field(default_factory=Counter)
    identical: int = 0
    gains: dict[str, list[float]] = field(default_factory=dict)
    information: list[float] = field(default_factory=list)

    def header_pairs(self) -> Iterable[tuple[Pair, Header, Header]]:
        """Pairs whose two headers could be read."""
        for pair in self.pairs:
            pred, target = self.headers[pair.pred], self.headers[pair.target]
            if isinstance(pred, Header) and isinstance(target, Header):
                yield pair, pred, target

    def files(self, side: str) -> list[str]:
        """Paths of one side, each once."""
        return list(dict.fromkeys(getattr(pair, side) for pair in self.pairs))

    def to_dict(self) -> dict[str, Any]:
        """Summary in plain values."""
        summary: dict[str, Any] = {"pairs": len(self.pairs), "sampled": self.sampled}
        for side in SIDES:
            headers = [h for h in map(self.headers.get, self.files(side)) if isinstance(h, Header)]
            summary[side] = {
                "formats": dict(Counter(header.format for header in headers)),
                "dtypes": dict(Counter(str(header.dtype) for header in headers)),
                "sizes": dict(
                    Counter(" x ".join(map(str, h.shape)) for h in headers).most_common(10)
                ),
                "labels": dict(sorted(self.sides[side].labels.items())),
            }
        return summary


def gather(
    pairs: Sequence[Pair], sample: int | None, color_table: Any, threshold: float | None = None
) -> Facts:
    """Look at the headers of all files and at the labels of a sample, evenly spread.

    Parameters
    ----------
    pairs : sequence of Pair
    sample : int or None
        Pairs whose labels are read; None: all.
    color_table : mapping or None
        As in :func:`segmeter.evaluate`.
    threshold : float or None
        Predicted floats above it are 1, all others 0.

    Returns
    -------
    Facts
    """
    facts = Facts(pairs)
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.pred, pair.target)))
    chosen = evenly(pairs, sample)
    pool = ThreadPoolExecutor(max_threads())
    try:
        facts.headers = dict(zip(paths, pool.map(_header, paths), strict=True))
        for path, header in facts.headers.items():
            if isinstance(header, ReadError):
                facts.unreadable[path] = header.reason
        for seen in pool.map(lambda pair: _look(pair, color_table, threshold), chosen):
            _take_in(facts, seen)
    finally:  # on Ctrl-C what has not begun never will
        pool.shutdown(cancel_futures=True)
    return facts


def evenly(pairs: Sequence[Pair], sample: int | None) -> list[Pair]:
    """A sample of pairs, evenly spread; all of them for None."""
    count = len(pairs) if sample is None else min(sample, len(pairs))
    return [pairs[i * len(pairs) // count] for i in range(count)]


@dataclass(slots=True)
class _Seen:
    """What one pair of the sample shows."""

    sides: dict[str, Side]
    unreadable: dict[str, str]
    joint: Counter[tuple[int, int]] | None = None
    identical: bool = False
    gains: dict[str, float] = field(default_factory=dict)
    information: float | None = None


def _header(path: str) -> Header | ReadError:
    try:
        return probe(path)
    except ReadError as error:
        return error


def _look(pair: Pair, color_table: Any, threshold: float | None) -> _Seen:
    seen = _Seen({side: Side() for side in SIDES}, {})
    pred = _read(pair.pred, seen.sides["pred"], seen.unreadable, color_table, threshold)
    target = _read(pair.target, seen.sides["target"], seen.unreadable, color_table)
    if pred is not None and target is not None and pred.labels.shape == target.labels.shape:
        _compare(seen, pred.labels, target.labels)
    return seen


def _read(
    path: str,
    side: Side,
    unreadable: dict[str, str],
    color_table: Any,
    threshold: float | None = None,
) -> LabelMap | None:
    try:
        label_map = read_labels(path, color_table, scores=threshold is not None)
    except ReadError as error:
        if color_table is not None or not _read_colors(path, side):
            unreadable[path] = error.reason
        return None
    if label_map.labels.dtype.kind == "f":
        label_map = replace(label_map, labels=(label_map.labels > threshold).view(np.uint8))
    values, counts = _histogram(label_map.labels)
    side.labels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    above = values[values > 0]
    if len(above) and values[0] >= 0 and above[-1] == len(above):
        side.numbered.append(len(above))
    if len(values) == 1:
        side.constant.append((path, int(values[0])))
    if label_map.palette is not None:
        side.palettes.append(label_map.palette)
    return label_map


def _read_colors(path: str, side: Side) -> bool:
    """Take in the colours of a file that holds colours; False if it does not."""
    try:
        codes = read_label_map(path, panoptic=True).labels
    except ReadError:
        return False
    values, counts = np.unique(codes, return_counts=True)
    side.colors.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    side.color_files.append(path)
    return True


def _histogram(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if labels.dtype in (np.uint8, np.uint16):
        counts = np.bincount(labels.ravel())
        values = np.flatnonzero(counts)
        return values, counts[values]
    return np.unique(labels, return_counts=True)


def _compare(seen: _Seen, pred: NDArray[Any], target: NDArray[Any]) -> None:
    seen.identical = np.array_equal(pred, target)
    step = max(1, round((pred.size / _JOINT_PIXELS) ** (1 / pred.ndim)))
    thinned = (slice(None, None, step),) * pred.ndim
    pred_values, pred_codes = np.unique(pred[thinned], return_inverse=True)
    target_values, target_codes = np.unique(target[thinned], return_inverse=True)
    pred_codes = pred_codes.reshape(pred[thinned].shape)
    target_codes = target_codes.reshape(pred_codes.shape)
    size = len(pred_values) * len(target_values)
    if size > _MAX_JOINT:
        return

    def table(turned: NDArray[Any]) -> NDArray[np.int64]:
        codes = turned * len(target_values) + target_codes
        return np.bincount(codes.ravel(), minlength=size).reshape(-1, len(target_values))

    joint = table(pred_codes)
    seen.joint = Counter(
        {
            (int(pred_values[i]), int(target_values[j])): int(joint[i, j])
            for i, j in zip(*np.nonzero(joint), strict=True)
        }
    )
    if len(pred_values) > 1 and len(target_values) > 1:
        seen.information = _information(joint)
        for name, turn in _turns(pred_codes.shape).items():
            seen.gains[name] = _information(table(turn(pred_codes))) - seen.information


def _information(joint: NDArray[np.int64]) -> float:
    """Share of the target's entropy that the prediction's labels take away, whatever they mean."""
    cells = joint / joint.sum()
    pred, target = cells.sum(axis=1, keepdims=True), cells.sum(axis=0, keepdims=True)
    there = cells > 0
    shared = (cells[there] * np.log(cells[there] / (pred * target)[there])).sum()
    return float(shared / -(target * np.log(target)).sum())


def _turns(shape: tuple[int, ...]) -> dict[str, Callable[[NDArray[Any]], NDArray[Any]]]:
    """Ways of turning a map that keep its shape."""
    axes = [axis for axis, length in enumerate(shape) if length > 1][:3]
    turns: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {}
    for number in range(1, len(axes) + 1):
        for some in combinations(axes, number):
            plural = "axis" if number == 1 else "axes"
            name = f"flipped along {plural} {' and '.join(map(str, some))}"
            turns[name] = partial(np.flip, axis=some)
    if len(shape) == 2 and shape[0] == shape[1]:
        turns["with its two axes swapped"] = np.transpose
    return turns


def _take_in(facts: Facts, seen: _Seen) -> None:
    facts.sampled += 1
    facts.unreadable |= seen.unreadable
    for side, found in seen.sides.items():
        known = facts.sides[side]
        known.labels.update(found.labels)
        known.constant += found.constant
        known.palettes += found.palettes
        known.colors.update(found.colors)
        known.color_files += found.color_files
        known.numbered += found.numbered
    if seen.joint is None:
        return
    facts.compared += 1
    facts.joint.update(seen.joint)
    facts.identical += seen.identical
    for name, gain in seen.gains.items():
        facts.gains.setdefault(name, []).append(gain)
    if seen.information is not None:
        facts.information.append(seen.information)

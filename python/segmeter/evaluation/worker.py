"""One pair of files to its counts; whatever goes wrong with it becomes a problem, never a stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation import protocols
from segmeter.evaluation._files import read_labels
from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.measures import MEASURES, Maps, class_maps
from segmeter.io import LabelMap, ReadError
from segmeter.pixel import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segmeter.evaluation.measures import MeasureCounts
    from segmeter.evaluation.pairing import Pair
    from segmeter.evaluation.plan import Plan
    from segmeter.evaluation.protocols import Measured, ProtocolCounts, ProtocolDataset

_TURN_TOLERANCE = 1e-3  # of unit vectors along the axes
_ORIGIN_TOLERANCE = 1e-2  # of a voxel
_SPACING_TOLERANCE = 1e-4  # NIfTI stores spacing as float32, and tools round it on the way


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Counts of one image.

    Attributes
    ----------
    pair : Pair
    matrix : (C, C+1) array of int64, or None
        Rows are the target, the last column is void. None where pixels are not measured.
    pixels : int
        All pixels; those not in the matrix are ignored ones.
    protocol : ProtocolCounts or None
    scores : mapping of str to float
        Scores of this image that the protocol wants shown.
    measures : mapping of str to MeasureCounts
        Counts of the other measures by name.
    notes : tuple of str
        What the readers found worth saying.
    """

    pair: Pair
    matrix: NDArray[np.int64] | None
    pixels: int
    protocol: ProtocolCounts | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, MeasureCounts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts, if there are any, and problems of one pair."""

    counts: ImageCounts | None
    problems: tuple[Problem, ...] = field(default=())


def count_pair(
    pair: Pair,
    plan: Plan,
    *,
    dataset: ProtocolDataset | None = None,
    cause_maps: Path | None = None,
    threads: int = 1,
) -> Outcome:
    """Read one pair of files and count it.

    Parameters
    ----------
    pair : Pair
    plan : Plan
    dataset : ProtocolDataset, optional
        What the pair is one of, under a protocol that reads data sets.
    cause_maps : Path, optional
        Folder for maps of causes.
    threads : int
        Threads inside the kernel.

    Returns
    -------
    Outcome
        Never raises for what the files hold.

    Examples
    --------
    >>> from segmeter.evaluation import Pair, make_plan
    >>> outcome = count_pair(Pair("a", "no/a.png", "no/b.png"), make_plan(num_classes=2))
    >>> outcome.counts is None, outcome.problems[0].kind
    (True, 'unreadable')
    """
    try:
        if dataset is not None:
            return _outcome_of(pair, dataset)
        return _count_pair(pair, plan, cause_maps, threads)
    except ReadError as error:
        return _failed(pair, error.path, "unreadable", str(error))
    except PairError as error:
        return _failed(pair, error.path, error.kind, str(error))
    except MemoryError:
        message = f"{pair.pred}, {pair.target}: not enough memory"
        return _failed(pair, pair.target, "error", message)
    except Exception as error:  # a defect in one image must not cost the rest of the run
        message = f"{pair.pred}, {pair.target}: {type(error).__name__}: {_one_line(error)}"
        return _failed(pair, pair.target, "error", message)


def _failed(pair: Pair, path: str, kind: str, message: str) -> Outcome:
    return Outcome(None, (Problem(pair.id, path, kind, "error", message),))


def _count_pair(pair: Pair, plan: Plan, cause_maps: Path | None, threads: int) -> Outcome:
    colors = None if plan.color_table is None else dict(plan.color_table)
    pred = read_labels(pair.pred, colors, scores=plan.threshold is not None)
    target = read_labels(pair.target, colors)
    if pred.labels.shape != target.labels.shape:
        raise PairError("shape", pair.pred, _shapes(pair, pred, target))
    pred_labels = _relabelled(pair, pred.labels, plan)
    chosen = None if plan.protocol is None else protocols.get(plan.protocol)
    matrix = None
    if plan.measures:
        matrix = _matrix(pair, pred_labels, target.labels, plan, threads)  # finds wrong labels
    problems = []
    if differing_spacing(pred.spacing, target.spacing):
        used = ", distances by the target's spacing" if plan.uses_file_spacing else ""
        message = (
            f"{pair.pred} has the spacing {_numbers(pred.spacing)}, "
            f"{pair.target} {_numbers(target.spacing)}; counted by index all the same{used}"
        )
        problems.append(Problem(pair.id, pair.pred, "spacing", "warning", message))
    displaced = differing_affine(pred.affine, target.affine)
    if displaced:
        message = f"{pair.pred}: {displaced}; counted by index all the same"
        problems.append(Problem(pair.id, pair.pred, "affine", "warning", message))
    image = ImageCounts(
        pair,
        matrix if plan.pixels else None,
        target.labels.size,
        notes=_notes(pred, target),
        measures=_measures(pair, pred, target, pred_labels, plan, cause_maps, threads),
    )
    measure = None if chosen is None else chosen.measure
    if measure is not None:
        measured, warnings = _measured(
            pair,
            lambda: measure(pred_labels, target.labels, pair.target, _spacing(pred, target, plan)),
        )
        problems += warnings
        image = replace(image, protocol=measured.counts, scores=measured.scores)
    return Outcome(image, tuple(problems))


def _measures(
    pair: Pair,
    pred: LabelMap,
    target: LabelMap,
    pred_labels: NDArray[Any],
    plan: Plan,
    cause_maps: Path | None,
    threads: int,
) -> dict[str, MeasureCounts]:
    """Counts of the measures beyond the matrix."""
    asked = [name for name in plan.measures if name in MEASURES]
    if not asked:
        return {}
    spacing, place = _spacing(pred, target, plan), _place(pair, cause_maps)
    by_class = Maps(*class_maps(pred_labels, target.labels, plan), spacing, threads, place)
    counts: dict[str, MeasureCounts] = {}
    for name in asked:
        maps = by_class
        if plan.instances and MEASURES[name].by_instance:
            maps = replace(by_class, pred=pred_labels, target=target.labels)
        try:
            counts[name] = MEASURES[name].count(maps, plan)
        except ValueError as error:
            message = f"{pair.pred}, {pair.target}: measure {name!r}: {_one_line(error)}"
            raise PairError("measure", pair.pred, message) from error
    return counts


def _spacing(pred: LabelMap, target: LabelMap, plan: Plan) -> tuple[float, ...] | None:
    """Distance of neighbouring pixels by the plan; None where it is left to files without one."""
    if plan.spacing == "auto":
        return target.spacing or pred.spacing
    return (1.0,) * target.labels.ndim if plan.spacing == "pixel" else plan.spacing


def _place(pair: Pair, folder: Path | None) -> Path | None:
    """Where in a folder a drawing of the pair belongs; ids are data and must not lead out of it."""
    if folder is None:
        return None
    path = folder / pair.id
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PairError("measure", pair.pred, f"id {pair.id!r} leads out of the folder {folder}")
    return path


def _outcome_of(pair: Pair, dataset: ProtocolDataset) -> Outcome:
    """Outcome of one pair of a data set that the protocol reads itself."""
    measured, warnings = _measured(pair, lambda: dataset.measure(pair))
    image = ImageCounts(pair, None, 0, measured.counts, measured.scores)
    return Outcome(image, tuple(warnings))


def _measured(pair: Pair, measure: Callable[[], Measured]) -> tuple[Measured, list[Problem]]:
    """What a protocol measured, and its warning if it has one."""
    try:
        measured = measure()
    except (ReadError, PairError):
        raise
    except ValueError as error:
        raise PairError("protocol", pair.target, _one_line(error)) from error
    if measured.warning is None:
        return measured, []
    return measured, [Problem(pair.id, pair.target, "protocol", "warning", measured.warning)]


def _notes(pred: LabelMap, target: LabelMap) -> tuple[str, ...]:
    return (*(f"pred: {note}" for note in pred.notes), *(f"target: {n}" for n in target.notes))


def _matrix(
    pair: Pair, pred: NDArray[Any], target: NDArray[Any], plan: Plan, threads: int
) -> NDArray[np.int64]:
    """Confusion matrix with void column, by the rules of the plan."""
    ignored: list[int] | NDArray[np.bool_] | None = list(plan.ignore_index) or None
    labels, pred_labels = plan.kernel_tables()
    if plan.binary:
        ignored = None if ignored is None else np.isin(target, ignored)
        target = target != 0
    if plan.threshold is not None:
        pred = pred > plan.threshold
    elif plan.binary:
        pred = pred != 0
    try:
        return confusion_matrix(
            pred,
            target,
            num_classes=plan.num_classes,
            ignore_index=ignored,
            labels=labels,
            pred_labels=pred_labels,
            reduce_zero_label=plan.reduce_zero_label,
            out_of_range=plan.out_of_range,
            void_column=True,
            threads=threads,
        )
    except ValueError as error:
        what, _, _ = _one_line(error).partition("; ")  # the rest names the kernel's own options
        path = pair.target if what.startswith("target") else pair.pred
        message = f"{path}: {what}; {_remedy(plan, what)}"
        raise PairError("labels", path, message) from error


def _remedy(plan: Plan, what: str) -> str:
    side = "target" if what.startswith("target") else "pred"
    if plan.protocol is not None:
        return f"protocol {plan.protocol!r} has no such label"
    own = "pred_mapping or mapping" if side == "pred" else "mapping or ignore_index"
    return f"say what they mean with {own}, or choose another out_of_range"


def _relabelled(pair: Pair, pred: NDArray[Any], plan: Plan) -> NDArray[Any]:
    """Predicted labels in the numbers of the protocol."""
    if plan.pred_relabel is None:
        return pred
    known = np.array([label for label, _ in plan.pred_relabel])
    to = np.array([label for _, label in plan.pred_relabel])
    place = np.minimum(np.searchsorted(known, pred), len(known) - 1)
    unknown = pred[known[place] != pred]
    if unknown.size:
        message = (
            f"{pair.pred}: pred holds label {unknown.flat[0]}, which pred_mapping does not name "
            f"({unknown.size:,} pixels of unnamed labels)"
        )
        raise PairError("labels", pair.pred, message)
    return to[place]


def _shapes(pair: Pair, pred: LabelMap, target: LabelMap) -> str:
    message = (
        f"{pair.pred} has the shape {_numbers(pred.labels.shape)}, "
        f"{pair.target} {_numbers(target.labels.shape)}"
    )
    if pred.labels.shape == target.labels.shape[::-1]:
        message += "; the axes of one of them seem to be swapped"
    elif pred.labels.ndim > target.labels.ndim:
        message += "; if pred holds scores or a one-hot map, take the argmax over its classes"
    return message


def differing_spacing(pred: tuple[float, ...] | None, target: tuple[float, ...] | None) -> bool:
    """Whether both spacings are known and differ by more than rounding.

    Examples
    --------
    >>> differing_spacing((1.0, 1.0), (1.0, 1.00001)), differing_spacing((1.0, 1.0), (1.0, 2.0))
    (False, True)
    """
    if pred is None or target is None:
        return False
    return len(pred) != len(target) or not all(
        math.isclose(p, t, rel_tol=_SPACING_TOLERANCE) for p, t in zip(pred, target, strict=True)
    )


def differing_affine(pred: NDArray[np.float64] | None, target: NDArray[np.float64] | None) -> str:
    """How two volumes lie differently in space, in words; empty if they do not or it is unknown.

    Examples
    --------
    >>> differing_affine(np.diag([-1.0, 1, 1, 1]), np.eye(4))
    'pred is LAS, target RAS'
    >>> differing_affine(np.eye(4), np.eye(4))
    ''
    """
    if pred is None or target is None:
        return ""
    sizes = [np.linalg.norm(affine[:3, :3], axis=0) for affine in (pred, target)]
    if not all(size.all() for size in sizes):
        return ""
    turns = [affine[:3, :3] / size for affine, size in zip((pred, target), sizes, strict=True)]
    codes = [_orientation(turn) for turn in turns]
    if codes[0] != codes[1]:
        return f"pred is {codes[0]}, target {codes[1]}"
    if np.abs(turns[0] - turns[1]).max() > _TURN_TOLERANCE:
        return "the axes of pred are turned against those of the target"
    origins = pred[:3, 3], target[:3, 3]
    if np.abs(origins[0] - origins[1]).max() > _ORIGIN_TOLERANCE * min(map(np.min, sizes)):
        first, second = (", ".join(f"{value:g}" for value in origin) for origin in origins)
        return f"pred has its origin at ({first}) mm, target at ({second}) mm"
    return ""


def _orientation(turn: NDArray[np.float64]) -> str:
    """Where each array axis mostly leads: right or left, anterior or posterior, up or down."""
    letters = (("L", "R"), ("P", "A"), ("I", "S"))
    leading = np.abs(turn).argmax(axis=0)
    return "".join(letters[row][int(turn[row, k] > 0)] for k, row in enumerate(leading))


def _numbers(values: tuple[float, ...] | None) -> str:
    return " x ".join(f"{value:g}" for value in values or ())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

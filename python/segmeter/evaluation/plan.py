"""Everything that decides the numbers of an evaluation, in one frozen, serialisable object."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from segmeter._arrays import integer, shown, truth_value
from segmeter.evaluation import protocols
from segmeter.evaluation._options import (
    Color,
    Mapping_,
    OutOfRange,
    SpacingOption,
    ToleranceOption,
    ToleranceUnit,
)
from segmeter.evaluation._surface_options import (
    DEFAULT_TOLERANCE,
    Spacing,
    checked_boundary_ratio,
    checked_preset,
    checked_spacing,
    checked_tolerance,
    checked_tolerances,
    checked_unit,
)
from segmeter.evaluation.measures import MEASURES, PIXEL, band_sentence
from segmeter.evaluation.measures.boundary import surface_classes
from segmeter.io._types import ColorTable
from segmeter.pixel._counts import check_choice

if TYPE_CHECKING:
    from segmeter.evaluation.protocols import EvaluationProtocol

Table: TypeAlias = tuple[tuple[int, int | None], ...]

_MAX_CLASSES = 65536
_DESCRIBED = 20  # entries of a mapping that a line can hold
_PLAN_VERSION = 3  # raised when equal plans would give other numbers than before


class UnknownClassesError(ValueError):
    """Nothing says how many classes there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rules of one evaluation; equal plans on equal files give equal numbers.

    Attributes
    ----------
    protocol : str or None
    num_classes : int
    class_names : tuple of str
    labels, pred_labels : tuple of (int, int or None), or None
        Label in target and pred files to class index, None: ignored (in the target) or void (in
        pred). None instead of a table: label k is class k; for pred, the table of the target.
    pred_relabel : tuple of (int, int), or None
        Label in pred files to the label of the protocol, applied before everything else.
    ignore_index : tuple of int
        Target labels that do not count.
    reduce_zero_label : bool
        Target 0 does not count and target v is v - 1.
    binary : bool
        Target labels are 0 and "not 0"; pred likewise, unless there is a threshold.
    threshold : float or None
        Pred values above it are class 1, all others class 0.
    out_of_range : str
    color_table : tuple of ((int, int, int), int), or None
        Colour to label, for masks stored as pictures.
    label_groups : tuple of (str, tuple of int)
        Named unions of classes, by class index.
    measures : tuple of str
        What is measured, beside what the protocol measures.
    instances : bool
        Labels are ids of objects on both sides, 0 is background.
    connectivity : int or None
        Neighbours in a connected component; None: all of them.
    things : tuple of int, or None
        Classes whose components are regions, the other classes being one region per image; None:
        all classes.
    spacing : str or tuple of float
        Distance of neighbouring pixels along each axis; ``"auto"``: that of the files,
        ``"pixel"``: 1.
    tolerance : tuple of float
        Distances within which a surface is right, for all classes.
    tolerance_of_class : tuple of (str, float), or None
        One for each class and label group instead.
    tolerance_unit : str or None
        ``"mm"`` or ``"pixel"``: images whose distances are in the other unit are problems.
    preset : str or None
        Tool whose conventions of distances are followed.
    boundary_ratio : float or None
        Width of bands along outlines as a share of the image's diagonal. None: 0.02 for Boundary
        IoU of classes, and objects are compared whole only.
    version : int
        Version of these rules.
    """

    protocol: str | None
    num_classes: int
    class_names: tuple[str, ...]
    labels: Table | None
    pred_labels: Table | None
    pred_relabel: tuple[tuple[int, int], ...] | None
    ignore_index: tuple[int, ...]
    reduce_zero_label: bool
    binary: bool
    threshold: float | None
    out_of_range: OutOfRange
    color_table: tuple[tuple[Color, int], ...] | None
    label_groups: tuple[tuple[str, tuple[int, ...]], ...]
    measures: tuple[str, ...] = (PIXEL,)
    instances: bool = False
    connectivity: int | None = None
    things: tuple[int, ...] | None = None
    spacing: Spacing = "auto"
    tolerance: tuple[float, ...] = DEFAULT_TOLERANCE
    tolerance_of_class: tuple[tuple[str, float], ...] | None = None
    tolerance_unit: ToleranceUnit | None = None
    preset: str | None = None
    boundary_ratio: float | None = None
    version: int = _PLAN_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what JSON can hold.

        Returns
        -------
        dict

        Examples
        --------
        >>> make_plan(num_classes=2).to_dict()["class_names"]
        ['0', '1']
        """
        values = {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}
        if self.tolerance_of_class is not None:
            values["tolerance_of_class"] = dict(self.tolerance_of_class)
        values["label_groups"] = {name: list(members) for name, members in self.label_groups}
        return values

    def hash(self) -> str:
        """Sixteen hexadecimal digits that are equal exactly when the plans are (SHA-256).

        Returns
        -------
        str

        Examples
        --------
        >>> make_plan(num_classes=2).hash() == make_plan(class_names=["0", "1"]).hash()
        True
        """
        values = self.to_dict()
        for name in _LATER_FIELDS:  # plans that do without them keep the hash they had
            if getattr(self, name) == _DEFAULTS[name]:
                del values[name]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def known_labels(self, side: str) -> frozenset[int] | None:
        """Labels in the files of one side that have a meaning; None if every label has.

        Parameters
        ----------
        side : {"pred", "target"}

        Returns
        -------
        frozenset of int or None

        Examples
        --------
        >>> sorted(make_plan(num_classes=2, ignore_index=255).known_labels("target"))
        [0, 1, 255]
        """
        if self.binary or self.labels_are_ids or (side == "pred" and self.threshold is not None):
            return None
        if side == "pred" and self.pred_relabel is not None:
            return frozenset(label for label, _ in self.pred_relabel)
        own = side == "pred" and self.pred_labels is not None
        table = self.pred_labels if own else self.labels
        labels = range(self.num_classes) if table is None else [label for label, _ in table]
        if own:  # what the target's table ignores is void where pred's does not name it
            labels = [*labels, *(label for label, to in self.labels or () if to is None)]
        if side == "target" and self.reduce_zero_label:
            labels = [0, *(label + 1 for label in labels)]
        return frozenset(labels) | frozenset(self.ignore_index)

    @property
    def pixels(self) -> bool:
        """Whether a confusion matrix of the pixels is counted.

        Examples
        --------
        >>> make_plan(num_classes=2).pixels
        True
        """
        return PIXEL in self.measures

    @property
    def uses_file_spacing(self) -> bool:
        """Whether anything is measured that depends on the spacing of the files.

        Examples
        --------
        >>> make_plan(num_classes=2, measures=["boundary"]).uses_file_spacing
        True
        """
        own = self.protocol is not None and protocols.get(self.protocol).uses_spacing
        bands = "region" in self.measures and self.boundary_ratio is not None
        return self.spacing == "auto" and (own or bands or "boundary" in self.measures)

    @property
    def labels_are_ids(self) -> bool:
        """Whether labels in files number objects instead of naming classes.

        Examples
        --------
        >>> make_plan(instances=True).labels_are_ids
        True
        """
        own = self.protocol is not None and not protocols.get(self.protocol).pixels
        return self.instances or own

    @property
    def ignored_classes(self) -> tuple[int, ...]:
        """Classes of which every target label is named by ``ignore_index``: no class is left.

        Examples
        --------
        >>> make_plan(num_classes=3, ignore_index=0).ignored_classes
        (0,)
        """
        if not self.ignore_index:
            return ()
        classes = {to for _, to in self._target_table()} - {None}
        counted = {to for label, to in self._target_table() if label not in self.ignore_index}
        return tuple(sorted(to for to in classes - counted if to is not None))

    def kernel_tables(self) -> tuple[dict[int, int | None] | None, dict[int, int | None] | None]:
        """``labels`` and ``pred_labels`` of :func:`segmeter.confusion_matrix` under this plan.

        Returns
        -------
        tuple (dict or None, dict or None)

        Examples
        --------
        >>> make_plan(num_classes=2, ignore_index=255).kernel_tables()
        (None, None)
        >>> make_plan(threshold=127, ignore_index=0).kernel_tables()
        ({0: None, 1: 1}, {0: None, 1: 1})
        """
        labels = None if self.labels is None else dict(self.labels)
        pred_labels = None if self.pred_labels is None else dict(self.pred_labels)
        if self.threshold is not None:
            pred_labels = {0: 0, 1: 1}
        if self.binary and self.ignored_classes:
            # The kernel sees a mask there, not the label: the tables say which class is none.
            labels = {0: None, 1: 1}
            pred_labels = labels if pred_labels is not None else None
        return labels, pred_labels

    def _target_table(self) -> Iterable[tuple[int, int | None]]:
        """Labels in target files and their classes; of a binary plan only 0 is known."""
        if self.binary:
            return ((0, 0),)
        if self.labels is None:
            shift = int(self.reduce_zero_label)
            return ((k + shift, k) for k in range(self.num_classes))
        return ((label + self.reduce_zero_label, to) for label, to in self.labels)

    def describe(self) -> list[str]:
        """The conventions in words, one line each.

        Returns
        -------
        list of str

        Examples
        --------
        >>> make_plan(num_classes=2, ignore_index=255).describe()[0]
        'ignored target labels: 255'
        """
        return [line for line in self._sentences() if line]

    def _sentences(self) -> Iterable[str]:
        if self.protocol is not None:
            chosen = protocols.get(self.protocol)
            yield f"protocol {chosen.name}: {chosen.summary} ({chosen.source})"
            if not chosen.pixels:
                yield "" if self.boundary_ratio is None else band_sentence(self.boundary_ratio)
                yield "classes in neither target nor prediction are NaN and left out of means"
                return
        ignored = [*self.ignore_index, *(label for label, to in self.labels or () if to is None)]
        yield f"ignored target labels: {', '.join(map(str, ignored)) or 'none'}"
        if self.ignored_classes:
            names = ", ".join(self.class_names[k] for k in self.ignored_classes)
            yield f"ignored classes: {names}; never scored, a prediction of one is void"
        for side, table in (("", self.labels), ("pred ", self.pred_labels or self.pred_relabel)):
            if table is not None and len(table) <= _DESCRIBED:
                shown = ", ".join(f"{label} is {to}" for label, to in table if to is not None)
                yield f"{side}labels and classes: {shown}"
        yield "target label 0 ignored, label v is class v - 1" if self.reduce_zero_label else ""
        yield "target: every label but 0 is class 1" if self.binary else ""
        if self.threshold is not None:
            yield f"pred: values above {self.threshold:g} are class 1, others class 0"
        yield {
            "raise": "a label that is no class makes its image a problem, not part of the numbers",
            "ignore": "pixels with a label that is no class, in pred or target, do not count",
            "wrong": "a predicted label that is no class is wrong and nobody's true positive",
        }[self.out_of_range]
        yield "a predicted ignored label on a counted pixel is wrong and nobody's true positive"
        yield "absent classes (no pixel in target and pred) are NaN and left out of means"
        for name in self.measures:
            if name != PIXEL:
                yield from MEASURES[name].sentences(self)


_LATER_FIELDS = (
    *("measures", "instances", "connectivity", "things"),
    *("spacing", "tolerance", "tolerance_of_class", "tolerance_unit", "preset", "boundary_ratio"),
)
_DEFAULTS = {entry.name: entry.default for entry in fields(Plan)}


def make_plan(
    *,
    protocol: str | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mapping: Mapping_ | None = None,
    pred_mapping: Mapping_ | None = None,
    label_groups: Mapping[str, Sequence[int | str]] | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    threshold: float | None = None,
    color_table: Mapping[Color, int] | None = None,
    measures: Sequence[str] | None = None,
    instances: bool = False,
    connectivity: int | None = None,
    things: Sequence[int | str] | None = None,
    spacing: SpacingOption | None = None,
    tolerance: ToleranceOption | None = None,
    tolerance_unit: ToleranceUnit | None = None,
    preset: str | None = None,
    boundary_ratio: float | None = None,
) -> Plan:
    """Check the options of an evaluation and bring them into one form.

    Parameters
    ----------
    protocol : str, optional
        A benchmark by name (see :mod:`segmeter.evaluation.protocols`). It fixes what labels mean;
        beside it only ``pred_mapping`` (label in the pred files to label of the benchmark),
        ``label_groups``, ``color_table``, ``out_of_range`` and, for ``"binary"``,
        ``ignore_index`` and ``threshold`` may be given.
    num_classes : int, optional
        1 to 65,536. May be left out where ``class_names``, ``mapping``, ``threshold`` or
        ``protocol`` says it.
    class_names : sequence of str, optional
        Default: ``"0"``, ``"1"``, ...
    ignore_index : int or sequence of int, optional
        Target labels (as they stand in the files) that do not count. A class of which every label
        is ignored is no class: it has no score, and a prediction of it on a counted pixel is void,
        as is a predicted ignore label. :func:`segmeter.confusion_matrix` has the rule in full.
    mapping : mapping or sequence, optional
        Label in the files to class index; None or ``"ignore"``: ignored. A sequence is a table:
        entry v says what label v is. Labels it does not name are out of range. It holds for pred
        as well unless ``pred_mapping`` is given.
    pred_mapping : mapping or sequence, optional
        The same for pred.
    label_groups : mapping of str to sequence of int or str, optional
        Named unions of classes, by class index (after ``mapping``) or class name, scored like
        classes from the same counts. They may overlap.
    reduce_zero_label : bool
        Target 0 does not count and target v is class v - 1 (pred is taken as it is). With a
        ``mapping`` this comes first: the mapping says what the values that are left, v - 1, mean.
    out_of_range : {"raise", "ignore", "wrong"}
        What a label that is no class does: make the image a problem; take the pixel out of the
        counts; in pred, count as wrong.
    threshold : float, optional
        Two classes: pred values above it are class 1, all others (equal ones too) class 0. Target
        labels other than 0 are class 1, unless ``mapping`` says what they are. Pred files hold
        whole numbers, such as probabilities stored as 0 to 255, or floats (NPY, NPZ, TIFF, NIfTI),
        compared in their own precision; NaN makes the image a problem.
    color_table : mapping of (r, g, b) to int, optional
        The label of each colour, for files that hold colours or a palette. Files of single
        values hold labels already and are read as they are, unless every colour is gray.
    measures : sequence of {"pixel", "region", "boundary", "cause"}, optional
        Ways of looking at each pair: pixel by pixel, region by region (connected components, or
        instances), how far surfaces are apart, and the cause of every wrong pixel. Default:
        ``("pixel",)``, with ``instances`` ``("pixel", "region")``.
    instances : bool
        Labels are ids of objects of one class, on both sides; 0 is background. The pixel measure
        then compares foregrounds. Classes have no place beside it.
    connectivity : int, optional
        Neighbours that connect pixels to regions: 4 or 8 in images, 6, 18 or 26 in volumes.
        Default: all neighbours, 8 or 26.
    things : sequence of int or str, optional
        Classes, by index or name, whose connected components are regions; of every other class all
        pixels in an image are one region. Default: components of every class. A class that is
        called "background" has no regions.
    spacing : {"auto", "pixel"} or sequence of float, optional
        Distance of neighbouring pixels along each array axis, for distances (and causes, and
        protocols of lesions). ``"auto"`` (the default): that of the target file, else of the pred
        file; where neither says it, images (2-D) are measured in pixels and volumes are a problem.
        ``"pixel"``: 1, whatever files say. Numbers hold for all images.
    tolerance : float, sequence of float or mapping of str to float, optional
        Distances that count as right in the surface Dice (NSD), in the unit of the spacing: of all
        classes, or one for each class and label group by its name. Default: 1.
    tolerance_unit : {"mm", "pixel"}, optional
        What ``tolerance`` is in: an image whose distances are in the other unit is a problem.
        Default: whatever the distances of an image are in.
    preset : str, optional
        Tool whose conventions of distances are followed: a name in
        :data:`segmeter.SURFACE_PRESETS`. Default: segmeter's own.
    boundary_ratio : float, optional
        Width of the bands along outlines as a share of the image's diagonal, above 0, at most 1;
        0.02 in the papers. With it, objects are also compared by Boundary IoU, the smaller of the
        IoU of both and that of their bands: Boundary PQ beside PQ (measure ``"region"``, protocols
        ``"coco-panoptic"`` and ``"cityscapes-panoptic"``) and Boundary AP beside AP (``instances``,
        protocol ``"coco-instances"``). It is the width for the measure ``"boundary"``, too, whose
        default is 0.02.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        Naming the option, what was given and what is expected.

    Examples
    --------
    >>> make_plan(mapping={0: 0, 255: 1, 7: "ignore"}).labels
    ((0, 0), (7, None), (255, 1))
    """
    check_choice("out_of_range", out_of_range, get_args(OutOfRange))
    reduce_zero_label = truth_value(reduce_zero_label, "reduce_zero_label")
    instances = truth_value(instances, "instances")
    _check_threshold(threshold)
    common: dict[str, Any] = {
        "out_of_range": out_of_range,
        "threshold": None if threshold is None else float(threshold),
        "color_table": _colors(color_table),
    }
    ignored = _ignored(ignore_index)
    looks: dict[str, Any] = {
        "measures": _measures(measures, instances, protocol),
        "instances": instances,
        "connectivity": _connectivity(connectivity),
    }
    _check_looks(looks, things)
    _check_bands(looks["measures"], protocol, boundary_ratio)
    _check_distances(looks["measures"], protocol, spacing, tolerance, preset, boundary_ratio)
    if instances:
        own = {
            "protocol": protocol,
            "num_classes": num_classes,
            "class_names": class_names,
            "mapping": mapping,
            "pred_mapping": pred_mapping,
            "label_groups": label_groups,
            "reduce_zero_label": reduce_zero_label or None,
            "threshold": threshold,
        }
        plan = _instance_plan(own, ignored, common | looks)
    elif protocol is not None:
        chosen = protocols.get(protocol)
        own = {
            "num_classes": num_classes,
            "class_names": class_names,
            "mapping": mapping,
            "reduce_zero_label": reduce_zero_label or None,
            "ignore_index": None if chosen.binary else ignore_index,
            "threshold": None if chosen.binary else threshold,
        }
        _check_protocol_leaves(chosen, own, out_of_range)
        if not chosen.pixels:
            meanings = {
                "pred_mapping": pred_mapping,
                "label_groups": label_groups,
                "color_table": color_table,
                "out_of_range": None if out_of_range == "raise" else out_of_range,
            }
            _check_no_labels(chosen, meanings)
        looks["things"] = _things(things, chosen.class_names)
        plan = _protocol_plan(chosen, ignored, pred_mapping, label_groups, common | looks)
    else:
        binary = threshold is not None and mapping is None
        labels, pred_labels = _table(mapping, "mapping"), _table(pred_mapping, "pred_mapping")
        _check_threshold_leaves(threshold, pred_mapping, binary and reduce_zero_label)
        names = _names(num_classes, class_names, labels, pred_labels, threshold is not None)
        for table, option in ((labels, "mapping"), (pred_labels, "pred_mapping")):
            _check_classes(table, len(names), option)
        plan = Plan(
            protocol=None,
            num_classes=len(names),
            class_names=names,
            labels=labels,
            pred_labels=pred_labels,
            pred_relabel=None,
            ignore_index=ignored,
            reduce_zero_label=reduce_zero_label,
            binary=binary,
            label_groups=_groups(label_groups, names),
            things=_things(things, names),
            **common,
            **looks,
        )
    plan = replace(plan, boundary_ratio=checked_boundary_ratio(boundary_ratio))
    return _with_distances(plan, spacing, tolerance, tolerance_unit, preset)


def _with_distances(
    plan: Plan,
    spacing: SpacingOption | None,
    tolerance: ToleranceOption | None,
    tolerance_unit: ToleranceUnit | None,
    preset: str | None,
) -> Plan:
    """The plan with the options of distances, of which one may name its classes."""
    limits: dict[str, Any] = {}
    if isinstance(tolerance, Mapping):
        classes = surface_classes(plan.class_names, binary=plan.binary)
        names = [plan.class_names[k] for k in classes]
        groups = [name for name, _ in plan.label_groups if name not in names]
        limits["tolerance_of_class"] = checked_tolerances(tolerance, [*names, *groups])
        limits["tolerance"] = ()
    elif tolerance is not None:
        limits["tolerance"] = checked_tolerance(tolerance)
    limits["spacing"] = checked_spacing(spacing)
    limits["tolerance_unit"] = checked_unit(tolerance_unit, tolerance, limits["spacing"])
    return replace(plan, preset=checked_preset(preset), **limits)


def _instance_plan(
    own: Mapping[str, Any], ignored: tuple[int, ...], common: Mapping[str, Any]
) -> Plan:
    """Two classes, background and objects; the ids are for the measures that know objects."""
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise ValueError(
            f"instances=True makes labels ids of objects, so {' and '.join(given)} has no place"
        )
    return Plan(
        protocol=None,
        num_classes=2,
        class_names=("background", "object"),
        labels=None,
        pred_labels=None,
        pred_relabel=None,
        ignore_index=ignored,
        reduce_zero_label=False,
        binary=True,
        label_groups=(),
        **common,
    )


def _protocol_plan(
    chosen: EvaluationProtocol,
    ignored: tuple[int, ...],
    pred_mapping: Mapping_ | None,
    label_groups: Mapping[str, Sequence[int | str]] | None,
    common: Mapping[str, Any],
) -> Plan:
    labels = None if chosen.labels is None else tuple(sorted(chosen.labels.items()))
    return Plan(
        protocol=chosen.name,
        num_classes=len(chosen.class_names),
        class_names=chosen.class_names,
        labels=labels,
        pred_labels=None,
        pred_relabel=_relabelling(pred_mapping),
        ignore_index=tuple(sorted({*chosen.ignore_index, *ignored})),
        reduce_zero_label=False,
        binary=chosen.binary,
        label_groups=(
            *chosen.label_groups.items(),
            *_groups(label_groups, chosen.class_names),
        ),
        **common,
    )


def _check_protocol_leaves(
    chosen: EvaluationProtocol, own: Mapping[str, Any], out_of_range: str
) -> None:
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise ValueError(
            f"protocol {chosen.name!r} fixes {' and '.join(given)}; leave out either it or them"
        )
    own_counts = chosen.measure is not None or chosen.dataset is not None
    if own_counts and out_of_range == "ignore":
        raise ValueError(
            f"protocol {chosen.name!r} counts every pixel of a scored label, so "
            "out_of_range='ignore' has no place; 'wrong' has"
        )


def _check_no_labels(chosen: EvaluationProtocol, options: Mapping[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(
            f"protocol {chosen.name!r} counts no labels of pixels, so {' and '.join(given)} "
            "would change nothing; leave it out"
        )


def _measures(
    given: Sequence[str] | None, instances: bool, protocol: str | None
) -> tuple[str, ...]:
    """Names of the measures in a fixed order."""
    known = (PIXEL, *MEASURES)
    own = protocol is not None and not protocols.get(protocol).pixels
    if given is None:
        return () if own else (PIXEL, "region") if instances else (PIXEL,)
    if own:
        raise ValueError(f"protocol {protocol!r} measures by its own rules; leave out measures=")
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"measures must be a sequence of names such as ['pixel'], got {given!r}")
    names = list(given)
    for name in names:
        if name not in known:
            raise ValueError(f"measures must be of {', '.join(known)}, got {name!r}")
    if not names:
        raise ValueError(f"measures is empty; name at least one of {', '.join(known)}")
    return tuple(name for name in known if name in names)


def _connectivity(connectivity: int | None) -> int | None:
    if connectivity is None:
        return None
    number = integer(connectivity, "connectivity")
    if number not in (4, 8, 6, 18, 26):
        raise ValueError(
            f"connectivity must be 4 or 8 in images, 6, 18 or 26 in volumes, got {number}"
        )
    return number


def _check_looks(looks: Mapping[str, Any], things: Sequence[int | str] | None) -> None:
    """Refuse options of regions where there are no regions, or where they are given as ids."""
    components = {"connectivity": looks["connectivity"], "things": things}
    given = [name for name, value in components.items() if value is not None]
    region = "region" in looks["measures"]
    if not looks["measures"] and (looks["instances"] or given):
        name = given[0] if given else "instances"
        raise ValueError(f"the protocol measures by its own rules; leave out {name}=")
    if looks["instances"] and not region:
        raise ValueError("instances=True is for regions; name 'region' among the measures")
    if looks["instances"] and given:
        raise ValueError(f"instances=True gives regions as ids, so {given[0]}= has no place")
    if given and not region:
        raise ValueError(f"{given[0]} is for regions; name 'region' among the measures")


def _check_distances(
    measures: Sequence[str],
    protocol: str | None,
    spacing: SpacingOption | None,
    tolerance: ToleranceOption | None,
    preset: str | None,
    boundary_ratio: float | None,
) -> None:
    """Refuse options of distances where nothing is measured that they could change."""
    own = protocol is not None and protocols.get(protocol).uses_spacing
    bands = "region" in measures and boundary_ratio is not None
    if spacing is not None and not (own or bands or {"boundary", "cause"} & {*measures}):
        raise ValueError("spacing is for boundaries and causes; name one among the measures")
    for name, value in (("tolerance", tolerance), ("preset", preset)):
        if value is not None and "boundary" not in measures:
            raise ValueError(f"{name} is for boundaries; name 'boundary' among the measures")


def _check_bands(
    measures: Sequence[str], protocol: str | None, boundary_ratio: float | None
) -> None:
    """Refuse a width of bands that is none, or where there are no bands."""
    checked_boundary_ratio(boundary_ratio)
    own = protocol is not None and protocols.get(protocol).takes_boundary_ratio
    if boundary_ratio is None or own or {"region", "boundary"} & {*measures}:
        return
    able = [each.name for each in protocols.PROTOCOLS.values() if each.takes_boundary_ratio]
    raise ValueError(
        "boundary_ratio is for regions and boundaries; name 'region' or 'boundary' among the "
        f"measures, or take one of the protocols {', '.join(able)}"
    )


def _things(things: Sequence[int | str] | None, names: Sequence[str]) -> tuple[int, ...] | None:
    if things is None:
        return None
    if isinstance(things, str) or not isinstance(things, Iterable):
        raise TypeError(f"things must be a sequence of classes, got {things!r}")
    return tuple(sorted({_member(member, "things", names) for member in things}))


def _check_threshold(threshold: float | None) -> None:
    if threshold is None:
        return
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise TypeError(f"threshold must be a number, got {shown(threshold)}")
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got NaN")


def _check_threshold_leaves(
    threshold: float | None, pred_mapping: Mapping_ | None, reduces_zero: bool
) -> None:
    if threshold is not None and pred_mapping is not None:
        raise ValueError("threshold turns pred into classes 0 and 1, so pred_mapping has no place")
    if reduces_zero:
        raise ValueError("threshold makes the target 0 and 'not 0'; reduce_zero_label has no place")


def _ignored(ignore_index: int | Sequence[int] | None) -> tuple[int, ...]:
    if ignore_index is None:
        return ()
    given = ignore_index if isinstance(ignore_index, Iterable) else [ignore_index]
    if "bool" in str(getattr(ignore_index, "dtype", "")) or getattr(ignore_index, "ndim", 0) > 1:
        raise TypeError(
            "ignore_index must be label values here: a mask belongs to one image, and files bring "
            "their own as a label; segmeter.confusion_matrix takes masks"
        )
    return tuple(sorted({integer(label, "ignore_index") for label in given}))


def _table(mapping: Mapping_ | None, option: str) -> Table | None:
    if mapping is None:
        return None
    if isinstance(mapping, str) or not isinstance(mapping, Mapping | Iterable):
        raise TypeError(
            f"{option} must map labels to classes, for example {{255: 1, 7: 'ignore'}}, "
            f"got {mapping!r}"
        )
    entries = mapping.items() if isinstance(mapping, Mapping) else enumerate(mapping)
    table = {integer(label, f"{option} (label)"): _class(to, option) for label, to in entries}
    if not table:
        raise ValueError(f"{option} is empty; name at least one label")
    return tuple(sorted(table.items()))


def _class(value: int | str | None, option: str) -> int | None:
    if value is None or value == "ignore":
        return None
    index = integer(value, f"{option} (class)")
    if index < 0:
        raise ValueError(f"{option}: a class is at least 0, or None to ignore; got {index}")
    return index


def _relabelling(pred_mapping: Mapping_ | None) -> tuple[tuple[int, int], ...] | None:
    table = _table(pred_mapping, "pred_mapping")
    if table is None:
        return None
    known = tuple((label, to) for label, to in table if to is not None)
    if len(known) < len(table):
        raise ValueError(
            "pred_mapping gives labels of the protocol here: nothing can be ignored, map to a label"
        )
    return known


def _names(
    num_classes: int | None,
    class_names: Sequence[str] | None,
    labels: Table | None,
    pred_labels: Table | None,
    two: bool,
) -> tuple[str, ...]:
    """Class names, from whatever says how many classes there are."""
    names = None
    if class_names is not None:
        if isinstance(class_names, str) or not isinstance(class_names, Iterable):
            raise TypeError(f"class_names must be a sequence of names, got {shown(class_names)}")
        names = tuple(str(name) for name in class_names)
    if names is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"class_names holds {twice!r} twice")
    count = len(names) if names is not None else None
    if num_classes is not None:
        asked = integer(num_classes, "num_classes")
        if count not in (None, asked):
            raise ValueError(f"num_classes is {asked}, but class_names has {count} names")
        count = asked
    if two and count not in (None, 2):
        raise ValueError(f"threshold makes two classes, but num_classes is {count}")
    if count is None:
        count = 2 if two else _classes_of((*(labels or ()), *(pred_labels or ())))
    if count is None:
        raise UnknownClassesError(
            "the number of classes is not known: give num_classes, class_names, mapping, protocol= "
            "or, for ids of objects, instances=True; `segmeter check` looks at the files and "
            "suggests one"
        )
    if not 1 <= count <= _MAX_CLASSES:
        raise ValueError(f"num_classes must be 1 to {_MAX_CLASSES:,}, got {count}")
    return names if names is not None else tuple(str(k) for k in range(count))


def _classes_of(entries: Sequence[tuple[int, int | None]]) -> int | None:
    classes = [to for _, to in entries if to is not None]
    return max(classes) + 1 if classes else None


def _check_classes(table: Table | None, num_classes: int, option: str) -> None:
    for label, to in table or ():
        if to is not None and to >= num_classes:
            raise ValueError(
                f"{option} sends label {label} to class {to}, but there are {num_classes} classes"
            )


def _groups(
    label_groups: Mapping[str, Sequence[int | str]] | None, names: Sequence[str]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if label_groups is None:
        return ()
    if not isinstance(label_groups, Mapping):
        raise TypeError(f"label_groups must map names to classes, got {shown(label_groups)}")
    groups = []
    for name, members in label_groups.items():
        if isinstance(members, str) or not isinstance(members, Iterable):
            raise TypeError(
                f"label_groups[{name!r}] must be a sequence of classes, got {members!r}"
            )
        option = f"label_groups[{str(name)!r}]"
        classes = {_member(member, option, names) for member in members}
        if not classes:
            raise ValueError(f"label_groups[{name!r}] is empty; name at least one class")
        groups.append((str(name), tuple(sorted(classes))))
    return tuple(groups)


def _member(member: int | str, option: str, names: Sequence[str]) -> int:
    if isinstance(member, str):
        if member in names:
            return names.index(member)
        raise ValueError(f"{option}: there is no class {member!r}")
    index = integer(member, option)
    if not 0 <= index < len(names):
        raise ValueError(
            f"{option} names class {index}, but there are {len(names)} classes; "
            "classes are meant by their indices, which a mapping may have changed"
        )
    return index


def _colors(table: Mapping[Color, int] | None) -> tuple[tuple[Color, int], ...] | None:
    """The colour table in a fixed order."""
    if table is None:
        return None
    ColorTable.from_mapping(table)
    return tuple(sorted(table.items()))


def _plain(value: object) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value

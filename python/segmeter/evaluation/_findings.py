"""What is probably wrong with a set of pairs: one small rule per finding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from segmeter.evaluation._facts import SIDES, Facts
from segmeter.evaluation.protocols.cityscapes import LABELS, TRAIN_ID_TO_ID
from segmeter.evaluation.worker import differing_affine, differing_spacing
from segmeter.io import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from segmeter.evaluation.pairing import Pairing
    from segmeter.evaluation.plan import Plan

_NAMES = {"pred": "predictions", "target": "targets"}
_VOID_LABELS = (255, 65535)
_LAST_TRAIN_ID = 18
_LAST_LABEL_ID = 33
_MOST_CLASSES = 1000  # label maps with more labels than this hold instance or panoptic ids
_MANY_IDS = 32  # labels of one side that are not classes where the other side has but two
_MANY_NUMBERED = 20  # objects in one image; maps of that many classes have gaps
_MOST_COLORS = 256
_GRAY_LEVELS = 200  # different values in 8 bits: more than any set of classes has
_CLEARLY = 0.2  # share of pixels by which one reading must beat another to be worth a word
_TURNED = 0.1  # information a flip must gain on average; it must also gain in most images
_NOTHING = 0.005  # information of maps that have nothing to do with each other
_FEW = 8  # labels that a person numbered; among more, some may be missing in a sample
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know before trusting numbers.

    Attributes
    ----------
    level : {"error", "warning", "info"}
        Images will be left out or numbers will be wrong; something looks wrong; worth knowing.
    code : str
        Short name, stable between versions.
    message : str
        What was found, in one line.
    remedy : str
        What to do about it, in one line; may be empty.
    files : tuple of str
        Files it is about.
    """

    level: Literal["error", "warning", "info"]
    code: str
    message: str
    remedy: str = ""
    files: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """The finding in plain values."""
        return {
            "level": self.level,
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "files": list(self.files),
        }


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at; ``plan`` is None where the number of classes is not known.

    ``mapped`` says that the user has told what labels mean, so that rules need not guess.
    """

    pairing: Pairing
    facts: Facts
    plan: Plan | None
    mapped: bool

    @property
    def joint(self) -> dict[tuple[int, int], int]:
        """Pixels by (pred label, target label), the target numbered as it will be counted."""
        if self.plan is None or not self.plan.reduce_zero_label:
            return self.facts.joint
        counted = self.facts.joint.items()
        return {(pred, target - 1): pixels for (pred, target), pixels in counted if target != 0}


def findings(case: Case) -> list[Finding]:
    """Everything worth saying, errors first."""
    ids = case.plan is not None and case.plan.labels_are_ids
    rules = [rule for rule in _RULES if not (ids and rule in _LABEL_RULES)]
    found = [finding for rule in rules for finding in rule(case)]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.level])


# --- files ------------------------------------------------------------------------------------


def _unpaired(case: Case) -> Iterator[Finding]:
    pairing = case.pairing
    remedy = pairing.advice() or "--pred-suffix, --target-suffix and --pattern say what pairs"
    for kind, other, paths in (
        ("prediction", "target", pairing.only_target),
        ("target", "prediction", pairing.only_pred),
    ):
        if paths:
            message = f"{_number(len(paths), other)} without a {kind}, such as {paths[0]}"
            yield Finding("error", f"missing-{kind}", message, remedy, paths)
    for item in pairing.ambiguous:
        remedy = "name the right ones with a glob such as 'DIR/*.png', or list pairs in a CSV"
        yield Finding("error", "ambiguous", str(item), remedy, item.paths)
    absent = tuple(path for _, _, path in pairing.absent)
    if absent:
        message = f"{_number(len(absent), 'listed file')} not there, such as {absent[0]}"
        yield Finding("error", "absent", message, "correct the list", absent)


def _unreadable(case: Case) -> Iterator[Finding]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for path, reason in case.facts.unreadable.items():
        by_reason[reason].append(path)
    for reason, paths in by_reason.items():
        message = f"{paths[0]}: {reason}" + _and_more(len(paths) - 1)
        remedy = "mend or replace the files; evaluate lists them and leaves them out"
        yield Finding("error", "unreadable", message, remedy, tuple(paths))


def _sizes(case: Case) -> Iterator[Finding]:
    differing: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = defaultdict(list)
    for pair, pred, target in case.facts.header_pairs():
        if pred.shape != target.shape:
            differing[pred.shape, target.shape].append(pair.pred)
    for (pred_shape, target_shape), paths in differing.items():
        swapped = pred_shape == target_shape[::-1]
        message = (
            f"{paths[0]} is {_shape(pred_shape)}, its target {_shape(target_shape)}"
            + _and_more(len(paths) - 1)
        )
        remedy = "resize the predictions to the size of the targets, by nearest neighbour"
        if swapped:
            remedy = "width and height are swapped: transpose the predictions"
        elif len(pred_shape) > len(target_shape):
            remedy = (
                "an axis too many: scores or one-hot maps need an argmax over their classes first, "
                "volumes targets that are volumes"
            )
        code = "swapped-axes" if swapped else "size"
        yield Finding("error", code, message, remedy, tuple(paths))


def _spacing(case: Case) -> Iterator[Finding]:
    paths, example = [], ""
    for pair, pred, target in case.facts.header_pairs():
        if differing_spacing(pred.spacing, target.spacing):
            example = example or f"{_shape(pred.spacing)} against {_shape(target.spacing)}"
            paths.append(pair.pred)
    if paths:
        message = f"spacing differs: {paths[0]} ({example}){_and_more(len(paths) - 1)}"
        used = "pixel counts ignore spacing"
        if case.plan is not None and case.plan.uses_file_spacing:
            used = "distances are by the spacing of the targets"
        remedy = f"resample the predictions to the grid of the targets; {used}"
        yield Finding("warning", "spacing", message, remedy, tuple(paths))


def _no_spacing(case: Case) -> Iterator[Finding]:
    """What distances will be measured in, where files do not say the size of a pixel."""
    if case.plan is None or not case.plan.uses_file_spacing:
        return
    pairs = list(case.facts.header_pairs())
    without = [
        (pair.target, target.shape)
        for pair, pred, target in pairs
        if target.spacing is None and pred.spacing is None
    ]
    volumes = tuple(path for path, shape in without if len(shape) == 3)
    images = tuple(path for path, shape in without if len(shape) == 2)
    remedy = (
        "--spacing gives the size of a pixel along each axis, --spacing pixel measures in pixels"
    )
    if volumes and "boundary" not in case.plan.measures:  # a protocol that goes on without
        message = f"{_number(len(volumes), 'volume')} without a spacing, such as {volumes[0]}"
        yield Finding("warning", "no-spacing", f"{message}: voxels count as 1 mm3", remedy, volumes)
    elif volumes:
        message = f"{_number(len(volumes), 'volume')} without a spacing, such as {volumes[0]}"
        yield Finding("error", "no-spacing", f"{message}: no distance in mm", remedy, volumes)
    if images and len(without) < len(pairs):
        message = (
            f"{_number(len(images), 'image')} without a spacing, such as {images[0]}, and others "
            "with one: distances in pixels and in mm"
        )
        yield Finding("warning", "mixed-units", message, remedy, images)
    elif images and case.plan.tolerance_unit != "mm":
        message = "no file says the size of a pixel: distances and tolerances are in pixels"
        yield Finding("info", "pixel-units", message, "--spacing 0.5,0.5 gives the size, if known")


def _tolerance_unit(case: Case) -> Iterator[Finding]:
    """A tolerance in mm for files without a spacing, or in pixels for files with one."""
    unit = None if case.plan is None else case.plan.tolerance_unit
    if case.plan is None or unit is None or not case.plan.uses_file_spacing:
        return
    other = tuple(
        pair.target
        for pair, pred, target in case.facts.header_pairs()
        if (pred.spacing is None and target.spacing is None) == (unit == "mm")
        and (len(target.shape) == 2 or unit == "pixel")  # of volumes that is said already
    )
    if other and unit == "mm":
        message = f"--tolerance is in mm, but no file says the spacing of {other[0]}"
        remedy = "--spacing gives the size of a pixel along each axis, --tolerance 2px is in pixels"
    elif other:
        message = f"--tolerance is in pixels, but {other[0]} has a spacing"
        remedy = "--spacing pixel measures in pixels, --tolerance 2mm is in mm"
    if other:
        message += _and_more(len(other) - 1)
        yield Finding("error", "tolerance-unit", message, remedy, other)


def _given_spacing(case: Case) -> Iterator[Finding]:
    """A spacing on the command line that contradicts the files."""
    given = None if case.plan is None else case.plan.spacing
    if given is None or isinstance(given, str):
        return
    wrong = tuple(p.target for p, _, t in case.facts.header_pairs() if len(t.shape) != len(given))
    if wrong:
        message = f"--spacing has {len(given)} numbers, {wrong[0]} another number of axes"
        remedy = "give one number for each array axis, or evaluate images and volumes apart"
        yield Finding(
            "error", "spacing-axes", f"{message}{_and_more(len(wrong) - 1)}", remedy, wrong
        )
    paths, example = [], ""
    for pair, _, target in case.facts.header_pairs():
        if len(target.shape) == len(given) and differing_spacing(given, target.spacing):
            example = example or f"{_shape(target.spacing)} in {pair.target}"
            paths.append(pair.target)
    if paths:
        message = f"--spacing {_shape(given)} is not what files say: {example}"
        yield Finding(
            "warning",
            "spacing-given",
            message + _and_more(len(paths) - 1),
            "--spacing auto takes it from the files",
            tuple(paths),
        )


def _placement(case: Case) -> Iterator[Finding]:
    by_difference: dict[str, list[str]] = defaultdict(list)
    for pair, pred, target in case.facts.header_pairs():
        difference = differing_affine(pred.affine, target.affine)
        if difference:
            by_difference[difference].append(pair.pred)
    for difference, paths in list(by_difference.items())[:_SHOWN]:
        message = (
            f"{paths[0]}: {difference}; counted by index all the same{_and_more(len(paths) - 1)}"
        )
        remedy = "bring predictions into the orientation and onto the grid of the targets"
        yield Finding("warning", "affine", message, remedy, tuple(paths))


def _lossy(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        paths = [
            path
            for path in case.facts.files(side)
            if isinstance(header := case.facts.headers[path], Header)
            and header.format.startswith("jpeg")
        ]
        if paths:
            message = f"{_NAMES[side]} are JPEG, which changes labels near every border"
            remedy = "save label maps as PNG" + (
                "" if side == "target" else ", or cut probabilities with --threshold"
            )
            yield Finding("warning", "lossy", message, remedy, tuple(paths))


def _notes(case: Case) -> Iterator[Finding]:
    by_note: dict[str, list[str]] = defaultdict(list)
    for path, header in case.facts.headers.items():
        if isinstance(header, Header) and not header.format.startswith("jpeg"):
            for note in header.notes:
                by_note[note].append(path)
    for note, paths in list(by_note.items())[:_SHOWN]:
        message = f"{paths[0]}: {note}{_and_more(len(paths) - 1)}"
        yield Finding("info", "reader-note", message, files=tuple(paths))


def _same_files(case: Case) -> Iterator[Finding]:
    paths = tuple(
        pair.pred
        for pair in case.facts.pairs
        if Path(pair.pred).resolve() == Path(pair.target).resolve()
    )
    if paths:
        message = f"{paths[0]} is compared with itself{_and_more(len(paths) - 1)}"
        remedy = "check --pred and --target: they name the same files"
        yield Finding("error", "same-file", message, remedy, paths)
    elif case.facts.compared and case.facts.identical == case.facts.compared:
        message = (
            "predictions equal targets in every pixel of "
            f"{_number(case.facts.compared, 'pair')} looked at"
        )
        remedy = "make sure that the predictions are not copies of the targets"
        yield Finding("warning", "identical", message, remedy)


# --- what the values are ----------------------------------------------------------------------


def _colors(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        known = case.facts.sides[side]
        if not known.color_files:
            continue
        number, example = len(known.colors), known.color_files[0]
        files = tuple(known.color_files)
        if number <= _MOST_COLORS:
            shown = ", ".join(f"{_rgb(code)}" for code, _ in known.colors.most_common(_SHOWN))
            more = ", ..." if number > _SHOWN else ""
            message = (
                f"{_NAMES[side]} are colour pictures of {number} colours: {shown}{more}"
                f" (as in {example})"
            )
            remedy = "give the label of each colour with --color-table"
            if all(len(set(_rgb(code))) == 1 for code in known.colors):
                remedy = "all are gray: save one channel, or " + remedy
            yield Finding("error", "color-coded", message, remedy, files)
        else:
            message = (
                f"{_NAMES[side]} hold {number:,} colours: panoptic ids or photographs ({example})"
            )
            remedy = (
                "panoptic ids: give the two JSON files with --protocol coco-panoptic; else give "
                "one-channel label maps"
            )
            yield Finding("error", "many-colors", message, remedy, files)


def _palettes(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        known = case.facts.sides[side]
        if known.palettes:
            message = (
                f"{_NAMES[side]} are palette images holding {_number(len(known.labels), 'index')}"
                f" ({_labels(known.labels)}); the indices are the labels, not the colours"
            )
            yield Finding("info", "palette", message)


def _many_labels(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        labels = case.facts.sides[side].labels
        against_mask = is_mask_against_ids(case.facts, side)
        many = labels and class_count(labels)[0] > _MOST_CLASSES
        if (many or against_mask) and not (case.plan is not None and case.plan.binary):
            message = (
                f"{_NAMES[side]} hold labels up to {max(labels)} ({len(labels):,} different): "
                "they look like instance ids"
            )
            remedy = (
                "if both sides number objects: --instances; else give semantic label maps "
                "(Cityscapes: *_labelIds.png, not *_instanceIds.png)"
            )
            if against_mask:
                remedy = "the other side is a two-class mask: --protocol binary compares the two"
            yield Finding("error", "instance-ids", message, remedy)


def _numbered(case: Case) -> Iterator[Finding]:
    numbers = case.facts.sides["target"].numbered
    binary = case.plan is not None and case.plan.binary
    if _numbers_objects(case.facts) and not (case.mapped or binary):
        message = (
            f"every one of the targets looked at holds the labels 1 to n without a gap, n from "
            f"{min(numbers)} to {max(numbers)}: they look like ids of objects, not like classes"
        )
        yield Finding("warning", "numbered-objects", message, "if so: --instances")


def _numbers_objects(facts: Facts) -> bool:
    """Whether each target numbers what is in it: 1 to n without a gap, n different and large."""
    numbers = facts.sides["target"].numbered
    complete = 1 < facts.sampled == len(numbers)
    return complete and _MANY_NUMBERED < max(numbers) < _MOST_CLASSES and len(set(numbers)) > 1


def _photographs(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        labels, plan = case.facts.sides[side].labels, case.plan
        cut = side == "pred" and plan is not None and plan.threshold is not None
        many = plan is not None and (plan.binary or plan.num_classes > _GRAY_LEVELS)
        gray = len(labels) > _GRAY_LEVELS and min(labels) >= 0 and max(labels) <= 255
        few = side == "pred" and len(case.facts.sides["target"].labels) <= 3  # see _scores
        if gray and not (cut or many or few or case.mapped):
            message = (
                f"{_NAMES[side]} hold {len(labels)} of the 256 values of 8 bits: they look like "
                "photographs or maps of scores, not like labels"
            )
            remedy = f"look at a file; is --{side} the folder of the label maps?"
            yield Finding("warning", "photograph", message, remedy)


def is_mask_against_ids(facts: Facts, side: str) -> bool:
    """Whether one side numbers objects while the other says only where there are any."""
    other = facts.sides["target" if side == "pred" else "pred"].labels
    labels = [label for label in facts.sides[side].labels if label != 0]
    foreground = [label for label in other if label != 0]
    if len(foreground) != 1 or len(labels) < 2 or min(labels) < 0:
        return False
    if class_count(labels)[0] > _MOST_CLASSES:
        return True
    if side == "pred":  # many values that 8 bits hold are scores rather
        return False
    # 1 may be the one class a poor model knows; a mask's 255 is nothing the targets name.
    is_named = foreground[0] in labels
    return len(labels) > (_MANY_IDS if is_named or foreground[0] not in _VOID_LABELS else 2)


def _constant(case: Case) -> Iterator[Finding]:
    for side in SIDES:
        known = case.facts.sides[side]
        if known.constant and len(known.constant) == case.facts.sampled:
            values = ", ".join(map(str, sorted({label for _, label in known.constant})[:_SHOWN]))
            message = f"every one of the {_NAMES[side]} looked at holds a single label ({values})"
            remedy = "check how they were written (scaled to 0..1 and cut to integers?)"
            paths = tuple(path for path, _ in known.constant)
            yield Finding("error", f"constant-{side}", message, remedy, paths)


def _scores(case: Case) -> Iterator[Finding]:
    pred, target = (case.facts.sides[side].labels for side in SIDES)
    cut = case.plan is not None and case.plan.threshold is not None
    few = 0 < len(target) <= 3 and max(target) <= 255
    if few and not cut and len(pred) > 32 and min(pred) >= 0 and max(pred) <= 255:
        message = (
            f"predictions hold {len(pred)} values from {min(pred)} to {max(pred)}, targets only "
            f"{_labels(target)}: predictions look like probabilities or blurred masks"
        )
        remedy = "cut them with " + " ".join(threshold_options(case.facts))
        yield Finding("error", "probabilities", message, remedy)


def threshold_options(facts: Facts) -> list[str]:
    """Options that cut whole-number scores in the middle of their range."""
    highest = max(facts.sides["pred"].labels)
    _, void = class_count(facts.sides["target"].labels)
    options = [f"--threshold {127 if highest > 127 else highest // 2}"]
    return options + (void_options(void) if len(facts.sides["target"].labels) > 2 else [])


def void_options(void: Iterable[int]) -> list[str]:
    """Options that leave labels out."""
    return [f"--ignore-index {label}" for label in sorted(set(void))]


def _out_of_range(case: Case) -> Iterator[Finding]:
    if case.plan is None:
        return
    for side in SIDES:
        known = case.plan.known_labels(side)
        labels = case.facts.sides[side].labels
        outside = {} if known is None else {k: n for k, n in labels.items() if k not in known}
        if not outside:
            continue
        share = 100 * sum(outside.values()) / sum(labels.values())
        message = (
            f"{_NAMES[side]} hold labels that are no class and not ignored: {_labels(outside)} "
            f"({share:.3g} % of their pixels)"
        )
        void = [label for label in outside if label in _VOID_LABELS or label < 0]
        remedy = "--mapping says what labels mean, --num-classes how many there are"
        if side == "target" and void:
            remedy = f"{void[0]} is usually void: --ignore-index {void[0]}"
        yield Finding("error", f"labels-{side}", message, remedy)


# --- what labels mean -------------------------------------------------------------------------


def _meaning(case: Case) -> Iterator[Finding]:
    """The first reading of the labels that explains the pairs clearly better than equality."""
    if case.mapped or not case.joint:
        return
    binary = case.plan is not None and case.plan.binary
    for rule in (
        (_inverted,) if binary else (_inverted, _binary_values, _train_ids, _off_by_one, _renamed)
    ):
        found = list(rule(case))
        if found:
            yield from found
            return


def _inverted(case: Case) -> Iterator[Finding]:
    pred, target = (sorted(case.facts.sides[side].labels) for side in SIDES)
    cut = case.plan is not None and case.plan.threshold is not None
    if cut or not (len(pred) == len(target) == 2 and pred[0] == target[0] == 0):
        return
    cells = case.joint.items()
    crossed = sum(pixels for (p, t), pixels in cells if (p != 0) != (t != 0))
    share = crossed / max(1, sum(case.joint.values()))
    if share - (1 - share) > _CLEARLY and _is_foreground_inverted(case):
        message = f"predictions look inverted: {pred[1]} where targets are 0, and 0 elsewhere"
        remedy = f"if so: {' '.join(inverted_options(case.facts))}"
        yield Finding("error", "inverted", message, remedy)


def _is_foreground_inverted(case: Case) -> bool:
    """Whether foreground is predicted more often off the target's foreground than on it.

    Without it, masks that predict far too much would pass for inverted ones.
    """
    rates = []
    for on_target in (False, True):
        pixels = {p: n for (p, t), n in case.joint.items() if (t != 0) == on_target}
        rates.append(sum(n for p, n in pixels.items() if p != 0) / max(1, sum(pixels.values())))
    return rates[0] > rates[1]


def inverted_options(facts: Facts) -> list[str]:
    """Options that read two-class masks with the predicted labels exchanged."""
    pred, target = (max(facts.sides[side].labels) for side in SIDES)
    return ["--protocol binary", f"--pred-mapping 0:{target},{pred}:0"]


def _binary_values(case: Case) -> Iterator[Finding]:
    labels = [case.facts.sides[side].labels.keys() for side in SIDES]
    pred, target = (sorted(values - {0}) for values in labels)
    if len(pred) == len(target) == 1 and pred != target:
        message = f"predictions hold 0 and {pred[0]}, targets 0 and {target[0]}: two-class masks"
        remedy = (
            f"--protocol binary (or --mapping 0:0,{target[0]}:1 --pred-mapping 0:0,{pred[0]}:1)"
        )
        yield Finding("error", "binary-values", message, remedy)


def _void_only_in_pred(case: Case) -> Iterator[Finding]:
    pred, target = (case.facts.sides[side].labels for side in SIDES)
    if case.mapped or not target or (case.plan is not None and case.plan.threshold is not None):
        return
    for label in class_count(pred)[1]:
        if label in _VOID_LABELS and label not in target and len(pred) > 2:
            message = f"{label} only in predictions: are pred and target swapped?"
            remedy = "look at --pred and --target; predictions rarely hold a void label"
            yield Finding("warning", "void-in-pred", message, remedy)


def _several_foregrounds(case: Case) -> Iterator[Finding]:
    labels = case.facts.sides["target"].labels
    if case.plan is None or not case.plan.binary:
        return
    known = [label for label in labels if label != 0 and label not in case.plan.ignore_index]
    if len(known) > 1:
        message = f"targets hold {_labels(labels)}: every one but 0 is counted as foreground"
        remedy = f"if {max(known)} is void: --ignore-index {max(known)}"
        yield Finding("warning", "several-foregrounds", message, remedy)


def _old_brats_labels(case: Case) -> Iterator[Finding]:
    """Enhancing tumour was label 4 until 2022; where a cavity is, there mostly is some as well."""
    if case.plan is None or case.plan.protocol not in ("brats2026", "brats2026-met"):
        return
    sides = [side for side in SIDES if _is_old_brats(case.facts.sides[side].labels)]
    if not sides:
        return
    both = " and ".join(_NAMES[side] for side in sides)
    message = f"{both} hold 4, but no 3: labels of BraTS until 2022, where 4 is enhancing tumour?"
    remedy = "if so: --protocol brats2023-lesionwise, which takes 3 and 4 for it"
    if sides == ["pred"]:
        remedy = "if so: --pred-mapping 0:0,1:1,2:2,4:3"
    yield Finding("warning", "old-labels", message, remedy)


def _is_old_brats(labels: Iterable[int]) -> bool:
    return 4 in labels and 3 not in labels


def _train_ids(case: Case) -> Iterator[Finding]:
    pred, target = (set(case.facts.sides[side].labels) for side in SIDES)
    ids_of = {k: v for k, v in TRAIN_ID_TO_ID.items() if k is not None and k != 255}
    for side, other, trains, ids, reading in (
        ("pred", "target", pred, target, lambda p, t: ids_of.get(p) == t),
        ("target", "pred", target, pred, lambda p, t: ids_of.get(t) == p),
    ):
        fits = max(trains - {255}, default=99) <= _LAST_TRAIN_ID
        fits = fits and _LAST_TRAIN_ID < max(ids - {255}, default=0) <= _LAST_LABEL_ID
        if fits and _explains(case.joint, reading):
            message = f"{_NAMES[side]} look like Cityscapes trainIds, {_NAMES[other]} like labelIds"
            remedy = " ".join(train_id_options(side))
            yield Finding("error", f"train-ids-{side}", message, remedy)


def train_id_options(side: str) -> list[str]:
    """Options that read one side as Cityscapes train ids and the other as label ids."""
    if side == "pred":
        table = ",".join(f"{train}:{label}" for train, label in TRAIN_ID_TO_ID.items())
        return ["--protocol cityscapes", f"--pred-mapping {table}"]
    table = ",".join(
        f"{label.id}:{'ignore' if label.train_id is None else label.train_id}" for label in LABELS
    )
    return ["--num-classes 19", "--ignore-index 255", f"--pred-mapping {table}"]


def _off_by_one(case: Case) -> Iterator[Finding]:
    if len(case.facts.sides["target"].labels) < 3:
        return  # with two labels, one below the other is what any bad prediction looks like
    if _explains(case.joint, lambda p, t: p == t - 1, lambda t: t > 0):
        message = "predictions are one below the targets: target label 0 seems to be 'nothing'"
        remedy = " ".join(one_below_options(case.facts))
        yield Finding("error", "off-by-one-pred", message, remedy)
    elif _explains(case.joint, lambda p, t: p - 1 == t):
        message = "predictions are one above the targets"
        remedy = "number the predictions from 0, or use " + " ".join(one_above_options(case))
        yield Finding("error", "off-by-one-target", message, remedy)


def one_below_options(facts: Facts) -> list[str]:
    """Options for predictions that are one below the targets.

    Where 0 - 1 has become 255 in the predictions, 0 is a class that was shifted like all others;
    otherwise it is a target label that predictions do not know.
    """
    pred, target = (facts.sides[side].labels for side in SIDES)
    (pred_count, pred_void), (count, void) = class_count(pred), class_count(target)
    wrapped = [p for p in pred_void if commonest_target(facts.joint).get(p) == 0]
    if wrapped:
        count = max(count, pred_count + 1)
        table = ",".join(f"{p}:{p + 1}" for p in range(count - 1))
        table = f"{wrapped[0]}:0,{table}"
        return [f"--num-classes {count}", *void_options(void), f"--pred-mapping {table}"]
    count = max(count - 1, pred_count)
    return ["--reduce-zero-label", f"--num-classes {count}", *void_options([*void, *pred_void])]


def one_above_options(case: Case) -> list[str]:
    """Options for predictions that are one above the targets."""
    pred, target = (case.facts.sides[side].labels for side in SIDES)
    reduced = case.plan is not None and case.plan.reduce_zero_label
    (pred_count, pred_void), (count, void) = class_count(pred), class_count(target)
    count = max(count - reduced, pred_count - 1)
    table: dict[int, int | None] = {label: None for label in [*pred_void, 0] if label in pred}
    table |= {k + 1: k for k in range(count)}
    options = ["--reduce-zero-label"] if reduced else []
    return [
        *options, f"--num-classes {count}", *void_options(void), _pred_mapping(table)
    ]  # fmt: skip


def _pred_mapping(table: Mapping[int, int | None]) -> str:
    """The option that says what predicted labels mean, every label written out."""
    pairs = (f"{p}:{'ignore' if t is None else t}" for p, t in sorted(table.items()))
    return "--pred-mapping " + ",".join(pairs)


def _renamed(case: Case) -> Iterator[Finding]:
    rename = commonest_target(case.joint)
    one_to_one = len(set(rename.values())) == len(rename) > 1
    if one_to_one and _explains(case.joint, lambda p, t: rename[p] == t):
        moved = {p: t for p, t in sorted(rename.items()) if p != t}
        shown = ", ".join(f"{p} is mostly {t}" for p, t in list(moved.items())[:_SHOWN])
        message = f"predictions seem to number the classes differently: {shown}"
        yield Finding("warning", "renamed", message, f"if so: {renaming_option(case)}")


def renaming_option(case: Case) -> str:
    """The option that gives predicted labels the numbers of the targets they meet most."""
    _, void = class_count(case.facts.sides["target"].labels)
    rename = commonest_target(case.joint)
    return _pred_mapping({p: None if t in void else t for p, t in rename.items()})


def commonest_target(joint: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """For every predicted label the target label it meets most."""
    best: dict[int, tuple[int, int]] = {}
    for (pred, target), pixels in joint.items():
        best[pred] = max(best.get(pred, (0, 0)), (pixels, target))
    return {pred: target for pred, (_, target) in best.items()}


def _explains(
    joint: Mapping[tuple[int, int], int],
    reading: Callable[[int, int], bool],
    counts: Callable[[int], bool] = lambda target: target >= 0 and target not in _VOID_LABELS,
) -> bool:
    """Whether a reading of the labels makes most pixels right, and clearly more than equality."""
    total = right = equal = 0
    for (pred, target), pixels in joint.items():
        if counts(target):
            total += pixels
            right += pixels * reading(pred, target)
            equal += pixels * (pred == target)
    return total > 0 and right / total > 0.5 and (right - equal) / total > _CLEARLY


# --- whether the two sides fit together -------------------------------------------------------


def _turned(case: Case) -> Iterator[Finding]:
    means = {
        name: float(np.mean(gains))
        for name, gains in case.facts.gains.items()
        if np.mean(np.array(gains) > 0) > 0.8
    }
    if not means:
        return
    name = max(means, key=lambda name: means[name])
    if means[name] > _TURNED:
        message = f"predictions fit the targets better when they are {name}"
        remedy = "look at one pair, and at how predictions are turned before they are saved"
        yield Finding("warning", "turned", message, remedy)


def _unrelated(case: Case) -> Iterator[Finding]:
    information = case.facts.information
    constant = any(len(c.constant) == case.facts.sampled for c in case.facts.sides.values())
    if len(information) > 1 and not constant and max(information) < _NOTHING:
        message = "predictions tell next to nothing about their targets"
        remedy = "check that the pairs belong together: --pred-suffix, --pattern, or a CSV of pairs"
        yield Finding("warning", "unrelated", message, remedy)


_RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _unpaired,
    _unreadable,
    _sizes,
    _spacing,
    _no_spacing,
    _tolerance_unit,
    _given_spacing,
    _placement,
    _lossy,
    _same_files,
    _colors,
    _many_labels,
    _numbered,
    _photographs,
    _constant,
    _scores,
    _meaning,
    _void_only_in_pred,
    _several_foregrounds,
    _old_brats_labels,
    _out_of_range,
    _turned,
    _unrelated,
    _palettes,
    _notes,
)
_LABEL_RULES = (
    _many_labels,
    _numbered,
    _scores,
    _meaning,
    _void_only_in_pred,
    _several_foregrounds,
    _out_of_range,
)
"""Rules that take labels for classes: of no use where they are ids of objects."""


# --- words ------------------------------------------------------------------------------------


def class_count(labels: Iterable[int]) -> tuple[int, list[int]]:
    """Number of classes that labels 0, 1, ... suggest, and the labels that look like void.

    Examples
    --------
    >>> class_count([0, 1, 4, 255])
    (5, [255])
    """
    values = sorted(set(labels))
    void = [value for value in values if value < 0]
    classes = [value for value in values if value >= 0]
    if len(classes) > 1 and classes[-1] in _VOID_LABELS and classes[-2] < classes[-1] - 1:
        void.append(classes.pop())
    return (classes[-1] + 1 if classes else 0), void


def sparse_options(labels: Iterable[int]) -> list[str] | None:
    """Options for labels with gaps, which name each label; None if they leave none to speak of.

    A gap among few labels is how they were numbered, one among many a class that happens to be
    missing in the sample.

    Examples
    --------
    >>> sparse_options([0, 1, 2, 4])
    ['--classes 0,1,2,4', '--mapping 0:0,1:1,2:2,4:3']
    >>> sparse_options([0, 100, 200, 255])
    ['--classes 0,100,200', '--mapping 0:0,100:1,200:2,255:ignore']
    >>> sparse_options([0, 128, 255])  # steps of gray: the last is no void label
    ['--classes 0,128,255', '--mapping 0:0,128:1,255:2']
    >>> sparse_options([0, 1, 2, 255]) is None
    True
    """
    values = sorted(set(labels))
    count, void = class_count(values)
    steps = {high - low for low, high in pairwise(values)}
    if len(values) > 2 and values[0] == 0 and max(steps) - min(steps) <= 1 < min(steps):
        void = []
    known = [label for label in values if label not in void]
    if not count - len(known) or not known or not (len(known) <= _FEW or count >= 4 * len(known)):
        return None
    table = {label: str(k) for k, label in enumerate(known)} | dict.fromkeys(void, "ignore")
    names = ",".join(map(str, known))
    return [f"--classes {names}", "--mapping " + ",".join(f"{k}:{v}" for k, v in table.items())]


def _number(count: int, noun: str) -> str:
    plural = "indices" if noun == "index" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _and_more(count: int) -> str:
    return f" (and {count:,} more)" if count else ""


def _labels(labels: Iterable[int]) -> str:
    values = sorted(labels)
    shown = ", ".join(map(str, values[:_SHOWN]))
    if len(values) <= _SHOWN + 1:
        return ", ".join(map(str, values))
    return f"{shown}, ..., {values[-1]}"


def _shape(values: Iterable[float] | None) -> str:
    return " x ".join(
        str(value) if isinstance(value, int) else f"{value:g}" for value in values or ()
    )


def _rgb(code: int) -> tuple[int, int, int]:
    return code & 255, code >> 8 & 255, code >> 16

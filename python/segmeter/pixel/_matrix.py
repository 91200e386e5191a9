"""The confusion matrix: label maps or scores in, exact counts out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast, get_args

import numpy as np
from numpy import ndarray  # millions of small images: np.ndarray costs a look-up each time

from .. import _core
from .._arrays import as_array, integer, is_list_of_arrays, thread_limit, truth_value
from ._counts import check_choice, checked_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Labels = Sequence[int] | Mapping[int, int | None]
OutOfRange = Literal["raise", "ignore", "wrong"]

MAX_CLASSES = 65_536
_LISTED = 5  # label values an error message lists
_CHANNELS_ARE_CLASSES = "pred_labels does not apply to scores: their channels are the classes"


VOID = -1  # what a label means that is no class, but ignored or nobody's true positive

# Labels, and the class or VOID of each; None: labels are classes.
_Mapping = tuple["NDArray[np.int64]", "NDArray[np.int64]"] | None


class Rules:
    """How labels are read: the validated form of the keyword arguments, made once.

    ``ignored_classes`` have no target label that counts: predictions of them are void.
    """

    __slots__ = (
        "_arguments", "ignored_classes", "native", "num_classes", "out_of_range", "pred_mapping",
        "target_mapping", "void_column",
    )  # fmt: skip

    def __init__(
        self,
        num_classes: int,
        pred_mapping: _Mapping,
        target_mapping: _Mapping,
        ignored_classes: tuple[int, ...],
        out_of_range: OutOfRange,
        void_column: bool,
        threads: int,
    ) -> None:
        self._arguments = (
            num_classes, pred_mapping, target_mapping, ignored_classes, out_of_range, void_column,
            threads,
        )  # fmt: skip
        self.num_classes = num_classes
        self.pred_mapping = pred_mapping
        self.target_mapping = target_mapping
        self.ignored_classes = ignored_classes
        self.out_of_range = out_of_range
        self.void_column = void_column
        channels = dict(enumerate(range(num_classes))) | dict.fromkeys(ignored_classes, VOID)
        self.native = _core.LabelRules(
            num_classes, pred_mapping, target_mapping, _stored(channels, num_classes),
            void_column, out_of_range == "wrong", threads,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return Rules, self._arguments


# The matrix, or one per image, and the number of pixels left out.
_Counted = tuple["NDArray[Any]", int]


def confusion_matrix(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    void_column: bool | None = None,
    per_image: bool = False,
    weights: ArrayLike | Sequence[ArrayLike] | None = None,
    from_scores: bool = False,
    channel_axis: int = 1,
    threshold: float | None = None,
    threads: int = 0,
) -> NDArray[Any]:
    """Count how often each class of ``target`` was predicted as each class of ``pred``.

    Parameters
    ----------
    pred : array_like of int or bool, or list of such maps
        Predicted label maps, any shape. With ``from_scores=True``: logits or probabilities.
    target : array_like of int or bool, or list of such maps
        True label maps, shaped like ``pred``. A list holds maps of different sizes. Any integer
        type, memory layout and byte order is read in place; tensors in CPU memory too.
    num_classes : int
        Number of classes C, 1 to 65,536. Labels ``0 .. C-1`` unless ``labels`` says otherwise.
    ignore_index : int, sequence of int, or bool array, optional
        Label value or values of ``target`` whose pixels are left out; or a mask of ``target``'s
        shape (a list of masks for a list of maps), true where pixels are left out. Values are
        looked at as they stand in ``target``, before anything maps them. Predicted, such a label
        is void; see Notes.
    labels : sequence of int, or mapping, optional
        The label value of each class, ``labels[k]`` being class ``k``; or a mapping from label
        value to class index, several values to one class allowed, ``None`` meaning "ignored".
        Applied inside the kernel, to both maps.
    pred_labels : sequence of int, or mapping, optional
        The same for ``pred`` alone, where its labels differ from those of ``target``; ``None``
        meaning "void". A label that it does not name, but ``labels`` ignores, is void too.
    reduce_zero_label : bool, default False
        ``target`` label 0 is ignored and label ``v`` is class ``v - 1`` (ADE20K as trained with
        by mmsegmentation); ``pred`` is read as it is. With ``labels``, the reduction comes first:
        ``labels`` names the values that are left, ``v - 1``, as they stand in ``pred``.
    out_of_range : {"raise", "ignore", "wrong"}, default "raise"
        What to do with labels that are neither a class nor ignored. ``"raise"``: an error with
        value, count and first position. ``"ignore"``: the pixel is left out. ``"wrong"``: a
        predicted one is a wrong pixel in the void column; one in ``target`` is still an error.
    void_column : bool, optional
        Whether the matrix has a last column for counted pixels whose prediction is void: the
        ignore label, or out of range under ``out_of_range="wrong"``. Such a pixel is a false
        negative of its class and nobody's false positive. Without the column (the default unless
        ``out_of_range="wrong"``) a predicted ignore label is an error: it is never dropped.
    per_image : bool, default False
        Return one matrix per image: the first axis, or the items of a list.
    weights : array_like of float, optional
        Weight of each pixel, shaped like ``target``, finite and not negative. The matrix then
        holds float64 sums, added up in an order that depends on the memory layout but not on
        ``threads``. Floats are read in place, other types are converted first.
    from_scores : bool, default False
        ``pred`` holds floating-point scores; the class with the largest one is taken without
        writing a label map. Ties go to the first class, NaN counts as largest (both as
        ``torch.argmax``). With two classes and a single channel, or no channel axis: class 1
        where ``score > threshold``.
    channel_axis : int, default 1
        Axis of ``pred`` that holds the classes: 1 for ``(N, C, *spatial)``, 0 for one image
        ``(C, *spatial)``, -1 for channels last.
    threshold : float, optional
        For a single channel of scores; 0.0 for logits. Left out, scores are probabilities cut at
        0.5, and one outside 0..1 is an error.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input and the machine's limits. The result
        does not depend on it.

    Returns
    -------
    numpy.ndarray
        Shape ``(C, C)``, or ``(C, C + 1)`` with a void column; with ``per_image``, one more
        leading axis. Rows are ``target``, columns ``pred``. int64, exact; float64 with
        ``weights``.

    Raises
    ------
    ValueError
        Shapes differ; labels out of range; an argument outside its range.
    TypeError
        Labels are not integers, scores not floats, or an argument is of the wrong type.
    MemoryError
        The matrix does not fit into memory.

    Notes
    -----
    Ignored pixels leave numerator, denominator and normaliser. So a class of which every target
    label is ignored is no class any more: its row and column are zero, every score of it is
    undefined, and a prediction of it on a counted pixel is void. A predicted ignore label is void
    as well; only where ``pred`` has numbers of its own (``pred_labels``, ``reduce_zero_label``)
    may the same number be a class there, and then it is one.

    Definition and source: rows are the truth, as in scikit-learn's ``confusion_matrix``;
    the void column is the one of the Cityscapes evaluation, where a pixel predicted as an
    unevaluated label is a false negative only. Empty maps give zeros.

    Examples
    --------
    >>> import segmeter
    >>> target = [[0, 0, 1], [1, 2, 255]]
    >>> pred = [[0, 1, 1], [1, 2, 2]]
    >>> segmeter.confusion_matrix(pred, target, num_classes=3, ignore_index=255)
    array([[1, 1, 0],
           [0, 2, 0],
           [0, 0, 1]])
    """
    rules = rules_of(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
        out_of_range, void_column, threads,
    )  # fmt: skip
    # Small images come in millions: no call that the usual case can do without.
    scoring = mask = None
    if from_scores is not False or threshold is not None or channel_axis != 1:
        scoring = _scoring(from_scores, channel_axis, threshold)
    if weights is not None and scoring is not None:
        raise ValueError("weights cannot be combined with from_scores=True; pass pred as labels")
    if pred_labels is not None and scoring is not None:
        raise ValueError(_CHANNELS_ARE_CLASSES)
    if per_image is not False:
        per_image = truth_value(per_image, "per_image")
    if ignore_index is not None:
        mask = mask_of(ignore_index)
    if type(target) is not ndarray and is_list_of_arrays(target):
        return _count_list(pred, target, mask, weights, rules, per_image, scoring)[0]
    return _count(pred, target, mask, weights, rules, per_image, scoring)[0]


class ConfusionMatrix:
    """Confusion matrix of many images, added up as they come.

    Holds counts and the rules they were counted by, nothing else: no image is kept. Two of them
    with equal rules add up, so shards, workers and epochs merge exactly.

    Parameters
    ----------
    num_classes : int
        Number of classes C.
    ignore_index, labels, pred_labels, reduce_zero_label, out_of_range, threads
        As in :func:`confusion_matrix`; masks go to :meth:`update`.
    class_names : sequence of str, optional
        Names of the classes, for the scores.

    Attributes
    ----------
    matrix : numpy.ndarray
        int64, shape ``(C, C + 1)``; the last column holds void predictions. A copy: what is done
        to it changes no count, and later counts do not change it.
    ignored : int
        Pixels left out.
    num_images : int
        Images counted: the items of a list, else one per call of :meth:`update`. Pass a batch as
        ``list(batch)`` to have its images counted.

    Examples
    --------
    >>> import segmeter
    >>> total = segmeter.ConfusionMatrix(2, ignore_index=255)
    >>> for pred, target in [([[0, 1]], [[0, 0]]), ([[1, 1]], [[1, 255]])]:
    ...     total = total.update(pred, target)
    >>> total.matrix
    array([[1, 1, 0],
           [0, 1, 0]])
    >>> total.ignored, total.num_images
    (1, 2)
    """

    def __init__(
        self,
        num_classes: int,
        *,
        ignore_index: int | Sequence[int] | None = None,
        labels: Labels | None = None,
        pred_labels: Labels | None = None,
        reduce_zero_label: bool = False,
        out_of_range: OutOfRange = "raise",
        class_names: Sequence[str] | None = None,
        threads: int = 0,
    ) -> None:
        if mask_of(ignore_index) is not None:
            raise TypeError("ignore_index must be label values here; pass masks to update(mask=)")
        self._rules = rules_of(
            num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
            out_of_range, True, threads,
        )  # fmt: skip
        self._has_pred_labels = pred_labels is not None
        self.class_names = None
        if class_names is not None:
            self.class_names = checked_names(class_names, self._rules.num_classes)
        shape = (self._rules.num_classes, self._rules.num_classes + 1)
        try:
            self._matrix = np.zeros(shape, np.int64)
        except MemoryError:
            raise _too_large(shape) from None
        self.ignored = 0
        self.num_images = 0

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self._rules.num_classes

    @property
    def matrix(self) -> NDArray[np.int64]:
        """A copy of the counts, ``(C, C + 1)``: rows are the target, the last column void."""
        return self._matrix.copy()

    def update(
        self,
        pred: ArrayLike | Sequence[ArrayLike],
        target: ArrayLike | Sequence[ArrayLike],
        *,
        mask: ArrayLike | Sequence[ArrayLike] | None = None,
        from_scores: bool = False,
        channel_axis: int = 1,
        threshold: float | None = None,
    ) -> Self:
        """Count one image, a batch or a list of images; returns ``self``.

        Parameters
        ----------
        pred, target, from_scores, channel_axis, threshold
            As in :func:`confusion_matrix`.
        mask : array_like of bool, optional
            True where pixels are left out, shaped like ``target``.

        Raises
        ------
        ValueError, TypeError
            As :func:`confusion_matrix`; the counts are then as before the call.
        """
        scoring = _scoring(from_scores, channel_axis, threshold)
        if self._has_pred_labels and scoring is not None:
            raise ValueError(_CHANNELS_ARE_CLASSES)
        if isinstance(target, (list, tuple)) and len(target) == 0:
            return self
        if is_list_of_arrays(target):
            matrix, ignored = _count_list(pred, target, mask, None, self._rules, False, scoring)
            images = len(cast("Sequence[ArrayLike]", target))
        else:
            matrix, ignored = _count(pred, target, mask, None, self._rules, False, scoring)
            images = 1
        self._matrix += matrix
        self.ignored += ignored
        self.num_images += images
        return self

    def add_counts(self, matrix: ArrayLike, *, ignored: int = 0, num_images: int = 1) -> Self:
        """Add counts that were made elsewhere by the same rules; returns ``self``.

        Parameters
        ----------
        matrix : array_like of int ``(C, C + 1)``
            As :func:`confusion_matrix` returns it with ``void_column=True``.
        ignored : int
            Pixels left out of it.
        num_images : int
            Images it was counted from.

        Raises
        ------
        ValueError
            If ``matrix`` has another shape, or holds anything but counts.

        Examples
        --------
        >>> import segmeter
        >>> matrix = segmeter.confusion_matrix([0, 1], [0, 0], num_classes=2, void_column=True)
        >>> segmeter.ConfusionMatrix(2).add_counts(matrix)
        ConfusionMatrix(num_classes=2, num_images=1, pixels=2, ignored=0)
        """
        counts = np.asarray(matrix)
        if counts.shape != self._matrix.shape or counts.dtype.kind not in "iu":
            raise ValueError(
                f"matrix must hold {self._matrix.shape} whole counts (C, C + 1), got shape "
                f"{counts.shape} of {counts.dtype}"
            )
        if (counts < 0).any():
            raise ValueError("matrix must not hold negative counts")
        self._matrix += counts.astype(np.int64)
        self.ignored += integer(ignored, "ignored")
        self.num_images += integer(num_images, "num_images")
        return self

    def scores(self) -> dict[str, Any]:
        """All scores that follow from the matrix; see :func:`segmeter.scores`."""
        from ._summary import scores

        return scores(self._matrix, class_names=self.class_names)

    def __add__(self, other: Self) -> Self:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if not self._counts_like(other):
            raise ValueError(
                "only confusion matrices of the same classes and the same rules of reading labels "
                "can be added"
            )
        total = copy(self)
        total._matrix = self._matrix + other._matrix
        total.ignored = self.ignored + other.ignored
        total.num_images = self.num_images + other.num_images
        return total

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        return (
            self._counts_like(other)
            and self.ignored == other.ignored
            and self.num_images == other.num_images
            and np.array_equal(self._matrix, other._matrix)
        )

    def _counts_like(self, other: ConfusionMatrix) -> bool:
        mine, theirs = self._rule_arrays(), other._rule_arrays()
        return (
            self.num_classes == other.num_classes
            and self.class_names == other.class_names
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
        )

    def _rule_arrays(self) -> dict[str, NDArray[Any]]:
        """The rules of reading labels; a mapping of no labels stands for none."""
        rules = self._rules
        nothing = np.empty((2, 0), np.int64)
        return {
            "pred_mapping": nothing if rules.pred_mapping is None else np.stack(rules.pred_mapping),
            "target_mapping": (
                nothing if rules.target_mapping is None else np.stack(rules.target_mapping)
            ),
            "ignored_classes": np.array(rules.ignored_classes, np.int64),
            "out_of_range": np.array(rules.out_of_range),
            "has_pred_labels": np.array(self._has_pred_labels),
        }

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return (
            f"ConfusionMatrix(num_classes={self.num_classes}, num_images={self.num_images}, "
            f"pixels={int(self._matrix.sum())}, ignored={self.ignored})"
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Counts as plain arrays, for a file or a message; see :meth:`from_arrays`.

        Examples
        --------
        >>> import segmeter
        >>> counts = segmeter.ConfusionMatrix(2).update([0, 1], [0, 1])
        >>> segmeter.ConfusionMatrix.from_arrays(counts.to_arrays()) == counts
        True
        """
        return {
            "matrix": self.matrix,
            "ignored": np.array(self.ignored),
            "num_images": np.array(self.num_images),
            "class_names": np.array(self.class_names or (), dtype=np.str_),
        } | self._rule_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts and rules from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing, or ``matrix`` is no matrix of counts.
        """
        missing = [name for name in _STORED if name not in arrays]
        if missing:
            raise ValueError(
                f"arrays must hold what to_arrays() gave; {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing"
            )
        matrix = np.asarray(arrays["matrix"])
        names = [str(name) for name in np.asarray(arrays["class_names"])]
        total = cls(len(np.atleast_1d(matrix)) or 1, class_names=names or None)
        total._has_pred_labels = bool(np.asarray(arrays["has_pred_labels"]))
        total._rules = Rules(
            total.num_classes,
            _restored(arrays["pred_mapping"]),
            _restored(arrays["target_mapping"]),
            tuple(np.asarray(arrays["ignored_classes"]).tolist()),
            cast("OutOfRange", str(np.asarray(arrays["out_of_range"]))),
            True,
            0,
        )
        ignored, num_images = (int(np.asarray(arrays[k])) for k in ("ignored", "num_images"))
        return total.add_counts(matrix, ignored=ignored, num_images=num_images)


_STORED = (
    "matrix", "ignored", "num_images", "class_names", "pred_mapping", "target_mapping",
    "ignored_classes", "out_of_range", "has_pred_labels",
)  # fmt: skip


def _restored(array: ArrayLike) -> _Mapping:
    labels, classes = np.asarray(array, np.int64)
    return (labels, classes) if labels.size else None


# --- arguments -----------------------------------------------------------------------------------


def rules_of(
    num_classes: int,
    ignore_index: Any,
    labels: Labels | None,
    pred_labels: Labels | None,
    reduce_zero_label: Any,
    out_of_range: str,
    void_column: Any,
    threads: int,
) -> Rules:
    """Validated rules; those of the usual calls are kept, since small images come in millions."""
    if (
        labels is None
        and pred_labels is None
        # True is equal to 1, so that it would find what was kept for 1.
        and type(num_classes) is int
        and type(threads) is int
        and (ignore_index is None or type(ignore_index) is int)
        and type(out_of_range) is str
        and type(reduce_zero_label) is bool
        and (void_column is None or type(void_column) is bool)
    ):
        return _usual_rules(
            num_classes, ignore_index, reduce_zero_label, out_of_range, void_column, threads
        )
    return _validated(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label, out_of_range,
        void_column, threads,
    )  # fmt: skip


def _validated(
    num_classes: int,
    ignore_index: Any,
    labels: Labels | None,
    pred_labels: Labels | None,
    reduce_zero_label: bool,
    out_of_range: str,
    void_column: bool | None,
    threads: int,
) -> Rules:
    num_classes = integer(num_classes, "num_classes")
    if not 1 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes must be between 1 and {MAX_CLASSES}, got {num_classes}")
    check_choice("out_of_range", out_of_range, get_args(OutOfRange))
    threads = thread_limit(threads)
    wide = out_of_range == "wrong"
    if void_column is not None:
        wide = truth_value(void_column, "void_column")
    if out_of_range == "wrong" and not wide:
        raise ValueError("out_of_range='wrong' needs void_column=True: wrong pixels go there")
    pred, target, gone = meanings_of(
        num_classes, ignored_labels(ignore_index), labels, pred_labels,
        truth_value(reduce_zero_label, "reduce_zero_label"),
    )  # fmt: skip
    return Rules(
        num_classes, _stored(pred, num_classes), _stored(target, num_classes), gone,
        cast("OutOfRange", out_of_range), wide, threads,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _usual_rules(
    num_classes: int,
    ignore_index: int | None,
    reduce_zero_label: bool,
    out_of_range: str,
    void_column: bool | None,
    threads: int,
) -> Rules:
    return _validated(
        num_classes, ignore_index, None, None, reduce_zero_label, out_of_range, void_column, threads
    )


def meanings_of(
    num_classes: int,
    ignored: tuple[int, ...],
    labels: Labels | None,
    pred_labels: Labels | None,
    reduce_zero_label: bool,
) -> tuple[dict[int, int], dict[int, int], tuple[int, ...]]:
    """What labels of pred and of target mean, and the classes of which no label is left."""
    named = {k: k for k in range(num_classes)}
    if labels is not None:
        named = _mapping(labels, num_classes, "labels")
    target = {v + 1: k for v, k in named.items()} | {0: VOID} if reduce_zero_label else named
    counted = target | dict.fromkeys(ignored, VOID)
    gone = set(target.values()) - set(counted.values()) - {VOID}
    if pred_labels is None and not reduce_zero_label:
        return counted, counted, tuple(sorted(gone))
    own = named if pred_labels is None else _mapping(pred_labels, num_classes, "pred_labels")
    # pred has numbers of its own: one that it knows is what it says, whatever target's are.
    void = [*ignored, *(label for label, k in named.items() if k == VOID)]
    pred = dict.fromkeys(void, VOID) | {v: VOID if k in gone else k for v, k in own.items()}
    return pred, counted, tuple(sorted(gone))


def _stored(meaning: dict[int, int], num_classes: int) -> _Mapping:
    """A mapping as the kernels take it, in one form for one meaning."""
    if len(meaning) == num_classes and all(label == k >= 0 for label, k in meaning.items()):
        return None
    labels = sorted(meaning)
    classes = [meaning[label] for label in labels]
    return np.array(labels, np.int64), np.array(classes, np.int64)


def label_value(value: Any, name: str) -> int:
    label = integer(value, name)
    if not -(2**62) <= label < 2**63:
        instead = "; pass a bool mask, target == label" if name == "ignore_index" else ""
        raise ValueError(f"{name} holds {label}; labels are read from -2**62 to 2**63 - 1{instead}")
    return label


def _mapping(labels: Any, num_classes: int, name: str) -> dict[int, int]:
    if isinstance(labels, Mapping):
        if not labels:
            raise ValueError(f"{name} maps no label; name at least one")
        return {
            label_value(label, name): VOID if k is None else _class(k, num_classes, name)
            for label, k in labels.items()
        }
    if not isinstance(labels, Sequence | np.ndarray) or isinstance(labels, str):
        raise TypeError(f"{name} must be a sequence or a mapping of label values, got {labels!r}")
    if len(labels) != num_classes:
        raise ValueError(
            f"{name} must name one label per class: num_classes={num_classes}, "
            f"got {len(labels)} labels"
        )
    meaning = {label_value(label, name): k for k, label in enumerate(labels)}
    if len(meaning) != len(labels):
        raise ValueError(f"{name} holds a label twice; use a mapping to merge labels")
    return meaning


def _class(value: Any, num_classes: int, name: str) -> int:
    index = integer(value, name)
    if not 0 <= index < num_classes:
        raise ValueError(
            f"{name} maps to class {index}, outside 0..{num_classes - 1} (num_classes="
            f"{num_classes}); use None for labels to ignore"
        )
    return index


def is_mask_array(value: Any) -> bool:
    return "bool" in str(getattr(value, "dtype", ""))


def mask_of(ignore_index: Any) -> Any:
    """The mask, or list of masks, among the forms of ``ignore_index``; else None."""
    if ignore_index is None or type(ignore_index) is int:
        return None
    if is_mask_array(ignore_index):
        return ignore_index
    if isinstance(ignore_index, list | tuple) and ignore_index and is_mask_array(ignore_index[0]):
        return ignore_index
    return None


def ignored_labels(ignore_index: Any) -> tuple[int, ...]:
    if ignore_index is None:
        return ()
    if type(ignore_index) is int:
        return (label_value(ignore_index, "ignore_index"),)
    if mask_of(ignore_index) is not None:
        return ()
    values = as_array(ignore_index, "ignore_index")
    if values.dtype == np.bool_:
        raise TypeError("ignore_index: a mask must be a bool array, such as numpy.array(mask)")
    if values.ndim > 1:
        raise TypeError(
            "ignore_index must be label values or a bool mask; got an array of shape "
            f"{values.shape} and dtype {values.dtype}: pass a mask as mask.astype(bool)"
        )
    labels = {label_value(value, "ignore_index") for value in values.ravel()}
    if labels <= {0, 1} and values.size > 2:
        raise ValueError(
            "ignore_index holds nothing but 0 and 1, many times: if it is a mask, pass it as "
            "mask.astype(bool), else name each label once"
        )
    return tuple(sorted(labels))


class _Scoring(NamedTuple):
    channel_axis: int
    threshold: float | None


def _scoring(from_scores: bool, channel_axis: int, threshold: float | None) -> _Scoring | None:
    if not truth_value(from_scores, "from_scores"):
        if threshold is not None or channel_axis != 1:
            raise ValueError("threshold and channel_axis are for scores: pass from_scores=True")
        return None
    if threshold is not None:
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.number)):
            raise TypeError(f"threshold must be a number, got {threshold!r}")
        if not math.isfinite(threshold):
            raise ValueError(f"threshold must be a finite number, got {threshold}")
    return _Scoring(integer(channel_axis, "channel_axis"), threshold)


# --- counting ------------------------------------------------------------------------------------


def _count(
    pred: Any,
    target: Any,
    mask: Any,
    weights: Any,
    rules: Rules,
    per_image: bool,
    scoring: _Scoring | None,
) -> _Counted:
    if type(pred) is not ndarray:
        pred = as_array(pred, "pred")
    if type(target) is not ndarray:
        target = as_array(target, "target")
    if mask is not None:
        mask = as_array(mask, "mask")
        require_mask(mask, target)
    native = rules.native
    try:
        if scoring is None:
            matrix, ignored, odd = native.count(pred, target, mask, per_image)
        else:
            require_labels(target, "target")
            scores, threshold = _channels_first(pred, target, rules.num_classes, scoring)
            matrix, ignored, odd = native.count_scores(scores, threshold, target, mask, per_image)
        if odd is not None:
            ignored += check_labels(pred, target, mask, rules, odd)
        if weights is not None:
            scale = _weights(weights, target)
            try:
                return native.sum_weights(pred, target, scale, mask, per_image), ignored
            except ValueError as error:
                raise _bad_weights(scale) or error from None
    except MemoryError:
        raise _too_large(_output_shape(target, rules, per_image)) from None
    except (TypeError, ValueError):
        # The kernel's own checks are enough to be safe; what is said of them is said here.
        require_labels(target, "target")
        if per_image and target.ndim == 0:
            raise ValueError("per_image=True needs an image axis, got a single pixel") from None
        if scoring is None:
            require_labels(pred, "pred")
            _require_shape(pred, target)
        raise
    return matrix, ignored


def _output_shape(target: NDArray[Any], rules: Rules, per_image: bool) -> tuple[int, ...]:
    square = (rules.num_classes, rules.num_classes + rules.void_column)
    return (len(target), *square) if per_image else square


def _too_large(shape: tuple[int, ...]) -> MemoryError:
    size = 8 * math.prod(shape) / 2**30
    images = "; count fewer images at once" if len(shape) == 3 else ""
    return MemoryError(
        f"a confusion matrix of shape {shape} takes {size:,.1f} GiB, more than there is; give the "
        f"classes that occur numbers from 0 with labels=, so that num_classes is small{images}"
    )


def _count_list(
    preds: Any,
    targets: Any,
    masks: Any,
    weights: Any,
    rules: Rules,
    per_image: bool,
    scoring: _Scoring | None,
) -> _Counted:
    """Maps of different sizes, one after another; a channel axis counts from each map's own."""
    for name, items in (("pred", preds), ("ignore_index", masks), ("weights", weights)):
        if items is not None and (
            not isinstance(items, list | tuple) or len(items) != len(targets)
        ):
            raise ValueError(f"{name} must be a list of {len(targets)} maps, as target is")
    matrices, left_out = None, 0
    for i, target in enumerate(targets):
        mask = None if masks is None else masks[i]
        scale = None if weights is None else weights[i]
        try:
            matrix, ignored = _count(preds[i], target, mask, scale, rules, False, scoring)
        except (ValueError, TypeError) as error:
            raise type(error)(f"image {i} of the list: {error}") from None
        if matrices is None:
            images = len(targets) if per_image else 1
            matrices = np.zeros((images, *matrix.shape), matrix.dtype)
        matrices[i if per_image else 0] += matrix
        left_out += ignored
    assert matrices is not None  # a list has an item
    return matrices if per_image else matrices[0], left_out


def _require_shape(pred: NDArray[Any], target: NDArray[Any]) -> None:
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target must have the same shape, got {pred.shape} and {target.shape}"
        ) from None


def require_labels(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind in "biu":
        return
    hint = ""
    if array.dtype.kind == "f":
        hint = (
            "; cast labels to an integer type, such as labels.astype(numpy.int32) (files of whole "
            "numbers are cast by the readers, which look at every value); scores become labels by "
            "argmax or a threshold, in confusion_matrix by from_scores=True"
        )
    raise TypeError(
        f"{name} must hold integer or bool labels, got dtype {array.dtype}{hint}"
    ) from None


def require_mask(mask: NDArray[Any], target: NDArray[Any]) -> None:
    if mask.dtype != np.bool_:
        raise TypeError(f"a mask of ignored pixels must be bool, got dtype {mask.dtype}")
    if mask.shape != target.shape:
        raise ValueError(
            f"the mask of ignored pixels must have target's shape {target.shape}, got {mask.shape}"
        )


def _weights(weights: Any, target: NDArray[Any]) -> NDArray[Any]:
    array = as_array(weights, "weights")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"weights must be numbers, got dtype {array.dtype}")
    if array.shape != target.shape:
        raise ValueError(f"weights must have target's shape {target.shape}, got {array.shape}")
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array
    return array.astype(np.float64)


def _bad_weights(weights: NDArray[Any]) -> ValueError | None:
    """What is wrong with weights, if anything is."""
    bad = ~(np.isfinite(weights) & (weights >= 0))
    count = np.count_nonzero(bad)
    if not count:
        return None
    first = np.unravel_index(bad.argmax(), bad.shape)
    return ValueError(
        f"weights must be finite and not negative, got {weights[first]} "
        f"({count} {'pixel' if count == 1 else 'pixels'}, first at {tuple(map(int, first))})"
    )


def _channels_first(
    scores: NDArray[Any], target: NDArray[Any], num_classes: int, scoring: _Scoring
) -> tuple[NDArray[Any], float | None]:
    """Scores as (channels, *target.shape), and the threshold as their type rounds it."""
    if scores.dtype.kind != "f" or scores.dtype.itemsize > 8:
        raise TypeError(
            f"from_scores=True needs float16, float32 or float64 scores, got dtype {scores.dtype}"
        )
    axis = scoring.channel_axis
    if scores.shape == target.shape:
        scores = scores[np.newaxis]
    elif not -scores.ndim <= axis < scores.ndim:
        raise ValueError(f"channel_axis {axis} does not exist in pred of shape {scores.shape}")
    else:
        scores = np.moveaxis(scores, axis, 0)
    channels = scores.shape[0]
    if scores.shape[1:] != target.shape:
        raise ValueError(
            f"pred without its channel axis {axis} must have target's shape {target.shape}, "
            f"got {scores.shape[1:]}; use channel_axis=0 for one image (C, H, W) and -1 for "
            "channels last"
        )
    if channels != num_classes and not (channels == 1 and num_classes == 2):
        raise ValueError(
            f"channel axis {axis} of pred must hold num_classes={num_classes} scores, "
            f"got {channels}"
        )
    if scoring.threshold is not None and not (channels == 1 and num_classes == 2):
        raise ValueError("threshold applies to a single channel of scores with num_classes=2")
    if scoring.threshold is None:
        return scores, None
    with np.errstate(over="ignore"):  # no float16 is greater than 1e6
        return scores, float(scores.dtype.type(scoring.threshold))


# --- what was wrong ------------------------------------------------------------------------------


def check_labels(
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[Any] | None,
    rules: Rules,
    odd: tuple[int, int, int],
) -> int:
    """Raise what the rules forbid among void and invalid labels; the pixels that leave instead."""
    void_pred, invalid_pred, invalid_target = odd
    policy = rules.out_of_range
    if invalid_target and policy != "ignore":
        remedy = (
            "pass it as ignore_index, map it with labels=, or choose out_of_range='ignore'"
            if policy == "raise"
            else "out_of_range='wrong' is for pred; pass it as ignore_index or map it with labels="
        )
        raise ValueError(_complaint("target", False, pred, target, mask, rules, remedy))
    if invalid_pred and policy == "raise":
        remedy = "map it with labels= or pred_labels=, or choose out_of_range='wrong' or 'ignore'"
        raise ValueError(_complaint("pred", False, pred, target, mask, rules, remedy))
    if void_pred and not rules.void_column:
        remedy = "it is a wrong pixel and has no column: pass void_column=True to count it there"
        if pred.dtype.kind == "f":
            raise ValueError(
                f"pred has its largest score in an ignored class (of {rules.ignored_classes}) at "
                f"{void_pred} counted pixels; {remedy}"
            )
        raise ValueError(_complaint("pred", True, pred, target, mask, rules, remedy))
    return invalid_pred + invalid_target if policy == "ignore" else 0


def _complaint(
    name: str,
    void: bool,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[Any] | None,
    rules: Rules,
    remedy: str,
) -> str:
    labels = pred if name == "pred" else None
    rows = rules.native.find_outsiders(labels, void, target, mask, _LISTED + 1)
    listed = [
        f"{label} ({count} {'pixel' if count == 1 else 'pixels'}, first at "
        f"{tuple(map(int, np.unravel_index(first, target.shape)))})"
        for label, count, first in rows[:_LISTED]
    ]
    more = ", and more" if len(rows) > _LISTED else ""
    if void:
        what = "ignored labels at counted pixels"
    elif _is_plain(rules.target_mapping if name == "target" else rules.pred_mapping):
        what = f"labels outside 0..{rules.num_classes - 1}"
    else:
        what = "labels that are neither mapped to a class nor ignored"
    return f"{name} holds {what}: {', '.join(listed)}{more}; {remedy}"


def _is_plain(mapping: _Mapping) -> bool:
    """Whether classes are the labels of the same number, some perhaps ignored."""
    if mapping is None:
        return True
    labels, classes = mapping
    return bool(((labels == classes) | (classes == VOID)).all())

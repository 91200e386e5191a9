"""Counts of tensors, added up over batches and over the processes of a training job."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar, cast

import numpy as np

from .. import pixel, region
from .._arrays import integer
from ._arrays import on_cpu
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..region._panoptic import PanopticPreset

CountsT = TypeVar("CountsT")


class Accumulator(Generic[CountsT]):
    """Counts of the images that the processes of a job have seen, each image counted once.

    Holds the sum of some measure's counts. In a job of several processes :meth:`counts` and
    :meth:`compute` merge what all of them hold, exactly and in one exchange, and give every process
    the same answer.

    A sampler that deals the images out to processes repeats some of them so that all get equally
    many (``torch.utils.data.DistributedSampler`` does). Name the images, ``update(..., ids=...)``,
    and an image that was seen twice, by one process or by two, is counted once.

    Parameters
    ----------
    measure : callable
        ``measure(pred, target)`` of one image, given as NumPy arrays, returns counts: anything that
        adds up with ``+`` and can be pickled, such as what :func:`segmeter.panoptic_counts` makes.
    score : callable, optional
        What :meth:`compute` makes of the sum; the sum itself by default.
    process_group : torch.distributed.ProcessGroup, optional
        Which processes to merge; all of them by default.

    Examples
    --------
    >>> import torch
    >>> import segmeter.torch
    >>> def count(pred, target):
    ...     return segmeter.confusion_matrix(pred, target, num_classes=2)
    >>> total = segmeter.torch.Accumulator(count, segmeter.mean_iou)
    >>> pred = torch.tensor([[[0, 1]], [[1, 1]]])
    >>> target = torch.tensor([[[0, 0]], [[1, 1]]])
    >>> total.update(pred, target, ids=["a", "b"]).update(pred[1:], target[1:], ids=["b"])
    Accumulator(num_images=2)
    >>> total.compute()
    np.float64(0.5833333333333333)
    """

    def __init__(
        self,
        measure: Callable[..., CountsT],
        score: Callable[[CountsT], Any] | None = None,
        *,
        process_group: Any = None,
    ) -> None:
        self._measure = measure
        self._score = score
        self.process_group = process_group
        self.reset()

    def reset(self) -> Self:
        """Forget everything; returns ``self``."""
        self._anonymous: CountsT | None = None
        self._num_anonymous = 0
        self._by_id: dict[Hashable, Any] = {}
        return self

    @property
    def num_images(self) -> int:
        """Images that this process has counted."""
        return self._num_anonymous + len(self._by_id)

    def update(self, pred: Any, target: Any, *, ids: Iterable[Hashable] | None = None) -> Self:
        """Count a batch; returns ``self``.

        Parameters
        ----------
        pred, target : torch.Tensor or numpy.ndarray, or lists of them
            Batches along the first axis. CPU tensors are read where they are; others are copied to
            the CPU as they are.
        ids : iterable of int, str or another hashable, or torch.Tensor of int, optional
            Name of each image, the same in every process. An image named before is not counted.
            Without names every image counts, and those that a sampler repeated count twice.

        Raises
        ------
        ValueError
            If `pred`, `target` and `ids` are not of equal length.
        """
        preds, targets, names = _batch(pred, target, ids)
        for i, name in enumerate(names):
            if name is None or name not in self._by_id:
                self._add(name, self._count_one(preds[i], targets[i]))
        return self

    def _count_one(self, pred: Any, target: Any) -> CountsT:
        return self._measure(on_cpu(pred), on_cpu(target))

    def _add(self, name: Hashable | None, counts: CountsT, images: int = 1) -> None:
        if name is None:
            self._anonymous = counts if self._anonymous is None else self._anonymous + counts  # type: ignore[operator]
            self._num_anonymous += images
        else:
            self._by_id[name] = self._packed(counts)

    def counts(self) -> CountsT | None:
        """The sum over all processes of the group, each named image once; None without an image.

        Every process of the group must call it.
        """
        mine = (self._anonymous, self._by_id)
        held = _gathered(mine, self.process_group)
        named: dict[Hashable, Any] = {}
        for _, by_id in held:
            named |= by_id
        total: Any = None
        everything = [counts for counts, _ in held if counts is not None]
        # In the order of the names: sums of floats come out the same in any division of the work.
        everything += [self._unpacked(named[name]) for name in sorted(named, key=_order)]
        for counts in everything:
            total = counts if total is None else total + counts
        return cast("CountsT | None", copy.deepcopy(total))

    def compute(self) -> Any:
        """The score of the sum over all processes; None without an image.

        Every process of the group must call it.
        """
        counts = self.counts()
        return counts if counts is None or self._score is None else self._score(counts)

    def state_dict(self) -> dict[str, Any]:
        """What this process has counted, for a checkpoint that is read by :meth:`load_state_dict`.

        The parts are counts as `measure` makes them: a file of them needs ``pickle``.
        """
        return {
            "anonymous": copy.deepcopy(self._anonymous),
            "num_anonymous": self._num_anonymous,
            "by_id": dict(self._by_id),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Go on from what :meth:`state_dict` gave; returns ``self``."""
        self._anonymous = copy.deepcopy(state["anonymous"])
        self._num_anonymous = int(state["num_anonymous"])
        self._by_id = dict(state["by_id"])
        return self

    # Counts of a named image are kept until the end; a measure of large counts can keep them small.

    def _packed(self, counts: CountsT) -> Any:
        return counts

    def _unpacked(self, packed: Any) -> CountsT:
        return packed  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_images={self.num_images})"


class _SparseMatrix(NamedTuple):
    cells: NDArray[np.int64]
    values: NDArray[np.int64]
    ignored: int


class ConfusionMatrix(Accumulator["pixel.ConfusionMatrix"]):
    """Confusion matrix of label maps or logits, over batches and processes.

    :meth:`counts` is a :class:`segmeter.ConfusionMatrix`, of which every pixel score is a
    function; :meth:`compute` gives its scores.

    Parameters
    ----------
    num_classes : int
        Number of classes C.
    process_group : torch.distributed.ProcessGroup, optional
        Which processes to merge; all of them by default.
    **options
        As :class:`segmeter.ConfusionMatrix` takes them: ``ignore_index``, ``labels``,
        ``class_names``, ...

    Examples
    --------
    >>> import torch
    >>> import segmeter.torch
    >>> matrix = segmeter.torch.ConfusionMatrix(2, ignore_index=255)
    >>> logits = torch.tensor([[[0.5, 2.0, 0.0]], [[1.5, 1.0, 3.0]]])[None]  # (1, 2, 1, 3)
    >>> target = torch.tensor([[[1, 0, 255]]])
    >>> matrix.update(logits, target).counts().matrix
    array([[1, 0, 0],
           [0, 1, 0]])
    """

    def __init__(self, num_classes: int, *, process_group: Any = None, **options: Any) -> None:
        self._empty = pixel.ConfusionMatrix(num_classes, **options)
        super().__init__(
            self._empty.update, pixel.ConfusionMatrix.scores, process_group=process_group
        )

    def update(
        self,
        pred: Any,
        target: Any,
        *,
        ids: Iterable[Hashable] | None = None,
        threshold: float | None = None,
    ) -> Self:
        """Count a batch; returns ``self``.

        Parameters
        ----------
        pred : torch.Tensor or numpy.ndarray
            Label maps ``(N, *spatial)`` of integers or bools; or scores ``(N, C, *spatial)`` of
            floats, whose largest is taken (ties go to the first class, NaN counts as largest).
        target : torch.Tensor or numpy.ndarray of int or bool
            Label maps ``(N, *spatial)``.
        ids : iterable of int, str or another hashable, optional
            Name of each image; see :class:`Accumulator`.
        threshold : float, optional
            For one channel of scores and two classes, as in :func:`segmeter.confusion_matrix`.
        """
        preds, targets, names = _batch(pred, target, ids)
        if ids is None and not isinstance(targets, (list, tuple)):
            self._add(None, self._count(preds, targets, 1, threshold, len(names)), len(names))
            return self
        for i, name in enumerate(names):
            if name is None or name not in self._by_id:
                self._add(name, self._count(preds[i], targets[i], 0, threshold, 1))
        return self

    def _count(
        self, pred: Any, target: Any, channel_axis: int, threshold: float | None, images: int
    ) -> pixel.ConfusionMatrix:
        counts = copy.deepcopy(self._empty)
        if not _is_float(pred):
            if threshold is not None:
                raise ValueError("threshold is for scores: pass floats as pred")
            counts.update(on_cpu(pred), on_cpu(target))
        elif _must_decide_first(pred) and pred.shape[channel_axis] > 1:
            counts.update(on_cpu(pred.detach().argmax(channel_axis)), on_cpu(target))
        else:
            counts.update(
                on_cpu(pred),
                on_cpu(target),
                from_scores=True,
                channel_axis=channel_axis,
                threshold=threshold,
            )
        counts.num_images = images
        return counts

    # A matrix of 150 classes takes 180 KB, what is not zero in one image's a few.

    def _packed(self, counts: pixel.ConfusionMatrix) -> _SparseMatrix:
        matrix = counts.matrix.ravel()
        cells = np.flatnonzero(matrix)
        return _SparseMatrix(cells, matrix[cells], counts.ignored)

    def _unpacked(self, packed: _SparseMatrix) -> pixel.ConfusionMatrix:
        counts = copy.deepcopy(self._empty)
        matrix = np.zeros(counts.matrix.shape, np.int64)
        matrix.ravel()[packed.cells] = packed.values
        return counts.add_counts(matrix, ignored=packed.ignored)


class PanopticQuality(Accumulator["region.PanopticCounts"]):
    """Panoptic quality of instance maps with classes, over batches and processes.

    Parameters
    ----------
    num_classes : int
        Classes are 0..num_classes-1.
    background : int or None, default 0
        Id that is no region.
    ignore_index : int or sequence of int, optional
        Ids of the target whose pixels are ignored.
    things : sequence of int, optional
        Classes that are things, for separate means.
    preset : {None, "panopticapi", "cityscapes", "torchmetrics", "monai"}
        As in :func:`segmeter.panoptic_quality`.
    process_group : torch.distributed.ProcessGroup, optional
        Which processes to merge; all of them by default.

    Examples
    --------
    Maps of ids, each beside a map of classes:

    >>> import torch
    >>> import segmeter.torch
    >>> quality = segmeter.torch.PanopticQuality(2)
    >>> ids = torch.tensor([[[1, 1, 2, 2]]])
    >>> classes = torch.tensor([[[0, 0, 1, 1]]])
    >>> quality.update((ids, classes), (ids, classes)).compute().pq
    array([1., 1.])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        background: int | None = 0,
        ignore_index: int | Sequence[int] | None = None,
        things: Sequence[int] | None = None,
        preset: PanopticPreset | None = None,
        process_group: Any = None,
    ) -> None:
        def measure(pred: Any, target: Any) -> region.PanopticCounts:
            table = region.overlap_table(
                pred[0],
                target[0],
                background=background,
                ignore_index=ignore_index,
                pred_classes=pred[1],
                target_classes=target[1],
            )
            return region.panoptic_counts(table, num_classes=num_classes, preset=preset)

        def score(counts: region.PanopticCounts) -> region.PanopticQuality:
            return region.panoptic_quality(counts, things=things, preset=preset)

        integer(num_classes, "num_classes")
        super().__init__(measure, score, process_group=process_group)

    def update(self, pred: Any, target: Any, *, ids: Iterable[Hashable] | None = None) -> Self:
        """Count a batch; returns ``self``.

        Parameters
        ----------
        pred, target : tuple of two torch.Tensor or numpy.ndarray of int
            ``(instances, classes)``, two maps ``(N, *spatial)``.
        ids : iterable of int, str or another hashable, optional
            Name of each image; see :class:`Accumulator`.
        """
        for name, pair in (("pred", pred), ("target", target)):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"{name} must be a pair (instances, classes) of maps (N, *spatial)")
        return super().update(
            list(zip(*pred, strict=True)), list(zip(*target, strict=True)), ids=ids
        )


def _is_float(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(value.is_floating_point())
    return np.asarray(value).dtype.kind == "f"


def _must_decide_first(pred: Any) -> bool:
    """Whether scores are better made labels where they are than brought into NumPy's reach."""
    return isinstance(pred, torch.Tensor) and (
        pred.device.type != "cpu" or pred.dtype == torch.bfloat16
    )


def _batch(
    pred: Any, target: Any, ids: Iterable[Hashable] | None
) -> tuple[Any, Any, list[Hashable | None]]:
    """The images of a batch and their names, None for those without one."""
    for name, value in (("pred", pred), ("target", target)):
        if not isinstance(value, (list, tuple)) and getattr(value, "ndim", 0) == 0:
            raise TypeError(
                f"{name} must be a batch (N, *spatial) or a list of maps, "
                f"got {type(value).__name__}"
            )
    if len(pred) != len(target):
        raise ValueError(
            f"pred and target must hold equally many images, got {len(pred)} and {len(target)}"
        )
    if ids is None:
        return pred, target, [None] * len(target)
    names = ids.tolist() if isinstance(ids, (torch.Tensor, np.ndarray)) else list(ids)
    if len(names) != len(target):
        raise ValueError(f"ids must name {len(target)} images, got {len(names)} names")
    if None in names:
        raise ValueError("ids must name every image, got None")
    return pred, target, names


def _order(name: Hashable) -> tuple[str, Any]:
    return (type(name).__name__, name)


def _gathered(mine: Any, group: Any) -> list[Any]:
    """What every process of the group gives, in the order of their ranks."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    everybody = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(everybody, mine, group=group)
    return everybody

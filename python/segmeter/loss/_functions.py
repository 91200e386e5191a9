"""Losses as functions: the options of the object and its call in one."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from . import _pixel, _region, _surrogate
from ._base import Loss
from ._table import without_mask

if TYPE_CHECKING:
    from collections.abc import Callable

_LOGITS = """    logits : array_like of float, shape (N, C, ...)
        Scores before the activation, or probabilities with ``activation="none"``; float16,
        float32, float64, or uint16 holding the bits of bfloat16. Any strides.
    target : array_like, shape (N, ...) or (N, C, ...)
        Class of every pixel, of any integer dtype; or for every class its share of the pixel, in
        0..1 (one-hot or soft labels)."""

_CLASSES = """    class_weight : float or sequence of float, optional
        Weight of every class, at least 0.
    classes : sequence of int, optional
        The classes that count; all by default.
    include_background : bool, default True
        False leaves out class 0."""

_REGION = """    region : {"per_sample", "batch"}, default "per_sample"
        Whether sums are over the pixels of a sample or of the whole batch.
    average : {"macro", "micro", "weighted"}, default "macro"
        ``"macro"``: a score per class, and their mean; ``"weighted"``: the mean weighs classes by
        their pixels in the target; ``"micro"``: one score from the sums of all classes.
    absent : {"score", "skip", "zero"}, default "score"
        A class of which a region has no pixel in the target: scored as any other, out of the
        mean, or 0 in the mean.
    normalise_weight : bool, default True
        Whether a mean divides by the sum of the class weights, or by the number of classes."""

_SMOOTH = """    smooth_nr, smooth_dr : float, default 1e-5
        Added to the numerator and to the denominator.
    eps : float, default 0.0
        The denominator is at least this."""

_PIXEL = """    normaliser : {"valid", "all", "weights"}, default "valid"
        What a mean divides by: the counted pixels, all pixels (those left out too), or the sum of
        the class and pixel weights of the counted pixels. With ``activation="sigmoid"`` every
        class of a pixel counts.
    divide_by_classes : bool, optional
        Whether a mean divides by the number of classes too; by default only with
        ``activation="sigmoid"``."""

_INPUTS = """    activation : {"softmax", "sigmoid", "none"}, default "softmax"
        What makes probabilities of the logits.
    ignore_index : int, sequence of int or array of bool, optional
        Labels whose pixels are left out of every sum and every mean, or these pixels, as in
        ``mask``.
    mask : array_like of bool, shape (N, ...), optional
        True where pixels are left out.
    pixel_weight : array_like of float, shape (N, ...), optional
        Weight of each pixel, finite and not negative.
    channels_last : bool, default False
        Whether the channel axis is the last one, of logits and of dense targets.
    reduction : {"mean", "sum", "none"}, default "mean"
        ``"none"`` gives the losses one by one: of regions and classes, or of pixels.
    empty : {"zero", "nan"}, default "zero"
        Value when no pixel counts. The gradient is zero.
    preset : str, optional
        Tool whose numbers and gradients to give: its options where none are given here.
    strict : bool, default False
        Whether to reproduce the preset's defects too, where a formula can.
    return_grad : bool, default False
        Whether to give the gradient with respect to the logits.
    out : numpy.ndarray, optional
        Memory for the gradient, of the shape and dtype of the logits; asks for the gradient.
    threads : int, default 0
        Threads to use; 0 takes what the machine offers and the size is worth."""

_RETURNS = """    Returns
    -------
    value : float
        Or an array of float64 with ``reduction="none"``.
    gradient : numpy.ndarray
        Only if asked for: in the shape and dtype of the logits, 0 where pixels are left out.

    Raises
    ------
    TypeError
        If the logits are not floating point, or an option is of the wrong type.
    ValueError
        If shapes do not fit, labels, weights or options are out of range, or the preset has no
        such loss."""

_SECTIONS = {
    "{logits}": _LOGITS,
    "{classes}": _CLASSES,
    "{region}": _REGION,
    "{smooth}": _SMOOTH,
    "{pixel}": _PIXEL,
    "{inputs}": _INPUTS,
    "{returns}": _RETURNS,
}

_CALL = [
    parameter.replace(annotation=inspect.Parameter.empty)
    for parameter in list(inspect.signature(Loss.__call__).parameters.values())[1:]
]


def _of(cls: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the function of a loss: the described one's name and text, the object's options."""

    def make(described: Callable[..., Any]) -> Callable[..., Any]:
        def function(
            logits: Any,
            target: Any,
            *,
            mask: Any = None,
            pixel_weight: Any = None,
            return_grad: bool = False,
            out: Any = None,
            threads: int = 0,
            **options: Any,
        ) -> Any:
            ignored = options.get("ignore_index")
            labels, mask = without_mask(ignored, mask)
            if labels is not ignored:  # it was pixels: the mask has them
                del options["ignore_index"]
            return cls(**options)(
                logits,
                target,
                mask=mask,
                pixel_weight=pixel_weight,
                return_grad=return_grad,
                out=out,
                threads=threads,
            )

        options = [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default)
            for one in fields(cls)
        ]
        function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*_CALL[:2], *options, *_CALL[2:]]
        )
        text = described.__doc__ or ""
        for marker, section in _SECTIONS.items():
            text = text.replace("    " + marker, section)
        function.__doc__ = text
        for name in ("__name__", "__qualname__", "__module__"):
            setattr(function, name, getattr(described, name))
        return function

    return make


# --- pixels


@_of(_pixel.CrossEntropy)
def cross_entropy(logits: Any, target: Any, **options: Any) -> Any:
    """Cross entropy: the mean of -log of the probability of what is true.

    Parameters
    ----------
    {logits}
    label_smoothing : float, default 0.0
        In 0..1: costs are those of the target (1 - s) y + s / C, or, where every class is a
        question of its own (sigmoid, or a single channel), (1 - s) y + s / 2.
    positive_weight : float or sequence of float, optional
        Factor of the positives of every class, with ``activation="sigmoid"``.
    exponent : float, default 1.0
        Power of -log p, as in the exponential logarithmic loss.
    {classes}
    {pixel}
    {inputs}

    {returns}

    Notes
    -----
    sum_i w_i u_c(i) (-log p_i,c(i)) / norm, with pixel weights w, class weights u and the true
    class c(i). Soft labels and smoothed ones cost sum_c y_ic u_c (-log p_ic) per pixel. A weight
    of 0 takes a class out even where its cost is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.zeros((1, 2, 3), np.float32)
    >>> round(cross_entropy(logits, [[0, 1, 255]], ignore_index=255), 4)
    0.6931
    >>> value, gradient = cross_entropy(logits, [[0, 1, 1]], return_grad=True)
    >>> (gradient * 6)[0, 0].round(3).tolist()
    [-1.0, 1.0, 1.0]
    """


@_of(_pixel.Focal)
def focal(logits: Any, target: Any, **options: Any) -> Any:
    """Focal loss: cross entropy that weighs a pixel by (1 - p_t)^gamma.

    Parameters
    ----------
    {logits}
    gamma : float, default 2.0
        Exponent, at least 0.
    alpha : float or sequence of float, optional
        Balance. A number, with ``activation="sigmoid"``: factor of positives, negatives get
        1 - alpha; with softmax: factor of all classes but 0, which gets 1 - alpha. A sequence:
        factor of every class where it is true.
    threshold : float, optional
        Reduced focal loss: the weight is 1 where p_t < threshold and
        ((1 - p_t) / threshold)^gamma elsewhere.
    normalised : bool, default False
        Whether to divide by the sum of the weights (1 - p_t)^gamma, the slope of which counts in
        the gradient, instead of the normaliser.
    {classes}
    {pixel}
    {inputs}

    {returns}

    Notes
    -----
    Lin et al., Focal loss for dense object detection, ICCV 2017; reduced: Sergievskiy and
    Ponamarev, 2019; normalised: Sofiiuk et al., AdaptIS, ICCV 2019. With softmax one p_t per
    pixel, with sigmoid one per pixel and class. The reduced form is as published: its weight
    jumps at the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[[0.9, 0.5], [0.1, 0.5]]]))
    >>> round(focal(logits, [[0, 1]], reduction="sum"), 4)
    0.1743
    >>> focal(logits, [[0, 1]], reduction="none").round(4)
    array([[0.0011, 0.1733]])
    """


@_of(_pixel.Poly)
def poly(logits: Any, target: Any, **options: Any) -> Any:
    """Poly-1 loss: cross entropy, or focal loss, plus epsilon times (1 - p_t)^(gamma + 1).

    Parameters
    ----------
    {logits}
    epsilon : float, default 1.0
        Factor of the added term, at least -1.
    gamma : float, default 0.0
        0 for Poly-1 of the cross entropy, more for that of the focal loss.
    {classes}
    {pixel}
    {inputs}

    {returns}

    Notes
    -----
    Leng et al., PolyLoss, ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> round(poly(np.zeros((1, 2, 1)), [[1]]), 4)
    1.1931
    """


@_of(_pixel.GeneralisedCrossEntropy)
def generalised_cross_entropy(logits: Any, target: Any, **options: Any) -> Any:
    """Generalised cross entropy (1 - p_t^q) / q: robust against wrong labels.

    Parameters
    ----------
    {logits}
    q : float, default 0.7
        In (0, 1]: near 0 it is the cross entropy, at 1 the mean absolute error.
    {classes}
    {pixel}
    {inputs}

    {returns}

    Notes
    -----
    Zhang and Sabuncu, Generalized cross entropy loss for training deep neural networks with noisy
    labels, NeurIPS 2018.

    Examples
    --------
    >>> import numpy as np
    >>> round(generalised_cross_entropy(np.zeros((1, 2, 1)), [[1]], q=1.0), 4)
    0.5
    """


# --- regions


@_of(_region.Dice)
def dice(logits: Any, target: Any, **options: Any) -> Any:
    """Soft Dice loss: 1 - 2 sum(p y) / (sum(p) + sum(y)) of regions and classes.

    Parameters
    ----------
    {logits}
    squared : bool, default False
        Whether the denominator is sum(p^2) + sum(y^2), as in V-Net.
    complement : bool, default True
        False gives -dice instead of 1 - dice.
    soft_label : bool, default False
        Whether sum(min(p, y)) stands for sum(p y), so that the best p is a soft target itself.
        The same number for labels of 0 and 1; soft targets take a path in plain NumPy.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Milletari et al., V-Net, 3DV 2016. In the convention (I + s) / (... + s) of other tools s
    stands for half of what smooth_nr and smooth_dr are here. Regions without a counted pixel leave
    the mean.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[[0.9, 0.2], [0.1, 0.8]]]))
    >>> round(dice(logits, [[0, 1]]), 4)
    0.1504
    >>> dice(logits, [[0, 1]], reduction="none").round(4)
    array([[0.1429, 0.1579]])
    """


@_of(_region.DiceMetric)
def dice_metric(logits: Any, target: Any, **options: Any) -> Any:
    """Dice semimetric loss: :func:`dice` with ``soft_label=True``, for soft labels.

    Parameters
    ----------
    {logits}
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Wang et al., Dice semimetric losses: optimizing the Dice score with soft labels, MICCAI 2023
    (their DML1).

    Examples
    --------
    >>> import numpy as np
    >>> soft = np.array([[[0.7, 0.2], [0.3, 0.8]]])
    >>> round(dice_metric(np.log(soft), soft), 4)
    0.0
    >>> round(dice(np.log(soft), soft), 4)
    0.3737
    """


@_of(_region.LogDice)
def log_dice(logits: Any, target: Any, **options: Any) -> Any:
    """Logarithm of the soft Dice: (-log dice)^gamma of regions and classes.

    Parameters
    ----------
    {logits}
    gamma : float, default 1.0
        Exponent; 0.3 in the exponential logarithmic loss.
    floor : float, default 1e-7
        The score counts as at least this.
    squared, soft_label
        As in :func:`dice`.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Wong et al., 3D segmentation with exponential logarithmic loss for highly unbalanced object
    sizes, MICCAI 2018; its other half is ``cross_entropy(..., exponent=0.3)``.

    Examples
    --------
    >>> import numpy as np
    >>> round(log_dice(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.6931
    """


@_of(_region.Jaccard)
def jaccard(logits: Any, target: Any, **options: Any) -> Any:
    """Soft Jaccard (IoU) loss: 1 - sum(p y) / (sum(p) + sum(y) - sum(p y)).

    Parameters
    ----------
    {logits}
    squared : bool, default False
        Whether sizes are sum(p^2) and sum(y^2).
    soft_label : bool, default False
        As in :func:`dice`.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Rahman and Wang, Optimizing intersection-over-union in deep neural networks for image
    segmentation, ISVC 2016.

    Examples
    --------
    >>> import numpy as np
    >>> round(jaccard(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.6667
    """


@_of(_region.JaccardMetric)
def jaccard_metric(logits: Any, target: Any, **options: Any) -> Any:
    """Jaccard metric loss: :func:`jaccard` with ``soft_label=True``, for soft labels.

    Parameters
    ----------
    {logits}
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Wang et al., Jaccard metric losses: optimizing the Jaccard index with soft labels, NeurIPS
    2023 (their JML1): 1 - (|p| + |y| - |p - y|) / (|p| + |y| + |p - y|).

    Examples
    --------
    >>> import numpy as np
    >>> soft = np.array([[[0.7, 0.2], [0.3, 0.8]]])
    >>> round(jaccard_metric(np.log(soft), soft), 4)
    0.0
    """


@_of(_region.Tversky)
def tversky(logits: Any, target: Any, **options: Any) -> Any:
    """Tversky loss: 1 - TP / (TP + alpha FP + beta FN), with soft counts.

    Parameters
    ----------
    {logits}
    alpha : float, default 0.5
        Weight of false positives.
    beta : float, default 0.5
        Weight of false negatives.
    soft_label : bool, default False
        As in :func:`dice`.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Salehi et al., Tversky loss function for image segmentation using 3D fully convolutional deep
    networks, 2017. With alpha = beta = 0.5 the soft Dice loss, with 1 the soft Jaccard loss.

    Examples
    --------
    >>> import numpy as np
    >>> round(tversky(np.zeros((1, 2, 2)), [[0, 0]], alpha=0.3, beta=0.7, classes=[0]), 4)
    0.4118
    """


@_of(_region.FocalTversky)
def focal_tversky(logits: Any, target: Any, **options: Any) -> Any:
    """Focal Tversky loss: (1 - tversky)^gamma of regions and classes.

    Parameters
    ----------
    {logits}
    gamma : float, default 0.75
        Exponent. The paper writes it as 1 / gamma with gamma = 4/3, which is this default.
    power_of_mean : bool, default False
        Whether the power is of the mean instead of every loss.
    alpha, beta, soft_label
        As in :func:`tversky`.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Abraham and Khan, A novel focal Tversky loss function with improved attention U-Net for lesion
    segmentation, ISBI 2019. Where the loss is 0 a gamma below 1 has no finite slope: it is 0.

    Examples
    --------
    >>> import numpy as np
    >>> round(focal_tversky(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.5946
    """


@_of(_region.GeneralisedDice)
def generalised_dice(logits: Any, target: Any, **options: Any) -> Any:
    """Generalised Dice loss: one Dice of all classes, which weigh by their size.

    Parameters
    ----------
    {logits}
    class_size : {"square", "simple", "uniform"}, default "square"
        Weight of a class in both sums: 1 / size^2, 1 / size or 1, with its pixels in the target
        of the region as size. An absent class weighs as much as the smallest present one.
    {smooth}
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Sudre et al., Generalised Dice overlap as a deep learning loss function for highly unbalanced
    segmentations, DLMIA 2017.

    Examples
    --------
    >>> import numpy as np
    >>> round(generalised_dice(np.zeros((1, 2, 4)), [[0, 0, 0, 1]]), 4)
    0.625
    """


@_of(_region.MatthewsCorrcoef)
def matthews_corrcoef(logits: Any, target: Any, **options: Any) -> Any:
    """Loss of Matthews' correlation coefficient: 1 - MCC of regions and classes, soft counts.

    Parameters
    ----------
    {logits}
    smooth_nr : float, default 0.0
        Added to TP TN - FP FN.
    smooth_dr : float, default 1e-5
        Added below the root of the denominator.
    pseudo_count : float, default 0.0
        Added to each of TP, TN, FP and FN.
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    Abhishek and Hamarneh, Matthews correlation coefficient loss for deep convolutional networks,
    ISBI 2021. Without any error the loss is 0, also where the coefficient is 0 / 0.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[[4.0, -4.0, 4.0, -4.0]]])
    >>> round(matthews_corrcoef(logits, [[1, 0, 1, 0]], activation="sigmoid"), 3)
    0.036
    """


@_of(_region.SensitivitySpecificity)
def sensitivity_specificity(logits: Any, target: Any, **options: Any) -> Any:
    """Sensitivity-specificity loss: squared errors of a class, weighed apart inside and outside.

    Parameters
    ----------
    {logits}
    sensitivity_weight : float, default 0.05
        Weight of the error inside the class, in 0..1; the rest is for outside.
    squared : bool, default True
        Whether errors are squared, as published.
    smooth : float, default 1e-5
        Added to both denominators.
    {region}
    {classes}
    {inputs}

    {returns}

    Notes
    -----
    r sum(y (1 - p)^2) / sum(y) + (1 - r) sum((1 - y) p^2) / sum(1 - y): Brosch et al., Deep
    convolutional encoder networks for multiple sclerosis lesion segmentation, MICCAI 2015.

    Examples
    --------
    >>> import numpy as np
    >>> round(sensitivity_specificity(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.25
    """


# --- ranks of pixels

_LOVASZ = """    region : {"per_sample", "batch"}
        Whether pixels are ranked within a sample or within the batch; ``"batch"`` by default.
    classes : {"present", "all"} or sequence of int
        The classes to average over: those in the target of the region, all, or named ones.
    class_weight : float or sequence of float, optional
        Weight of every class, at least 0.
    normalise_weight : bool, default True
        Whether a mean divides by the sum of the class weights, or by the number of classes.
    exact : bool, default False
        Whether errors are ranked exactly, or in 65,536 levels: the value is within 2^-17 then,
        and as a rule within 1e-6.
    ignore_index : int, sequence of int or array of bool, optional
        Labels whose pixels are left out, or these pixels, as in ``mask``.
    mask : array_like of bool, shape (N, ...), optional
        True where pixels are left out. There is no ``pixel_weight``.
    channels_last : bool, default False
        Whether the channel axis is the last one.
    reduction : {"mean", "sum", "none"}, default "mean"
        ``"none"`` gives the losses of regions and classes, NaN where one does not count.
    empty : {"zero", "nan"}, default "zero"
        Value when no pixel counts.
    preset, strict, return_grad, out, threads
        As in :func:`dice`."""

_HARD = """    normaliser : {"valid", "all"}, default "valid"
        Whether shares and means are of the counted pixels, or of all pixels.
    activation : {"softmax", "sigmoid"}, default "softmax"
        ``"sigmoid"`` for a single channel.
    ignore_index, mask, pixel_weight, channels_last, empty, preset, strict, return_grad, out, \
threads
        As in :func:`cross_entropy`.
    reduction : {"mean", "sum"}, default "mean"
        Mean over the selected pixels, or their sum."""

_SECTIONS["{lovasz}"] = _LOVASZ
_SECTIONS["{hard}"] = _HARD


@_of(_surrogate.LovaszSoftmax)
def lovasz_softmax(logits: Any, target: Any, **options: Any) -> Any:
    """Lovász-softmax loss: the convex extension of 1 - Jaccard at the errors of probabilities.

    Parameters
    ----------
    {logits}
    {lovasz}

    {returns}

    Notes
    -----
    Berman et al., The Lovász-softmax loss, CVPR 2018. The target holds labels. Pixels of equal
    error share the mean of the derivatives of the two extreme orders, so that the gradient does
    not depend on the order of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[[0.9, 0.2], [0.1, 0.8]]]))
    >>> round(lovasz_softmax(logits, [[0, 1]], exact=True), 4)
    0.175
    """


@_of(_surrogate.LovaszHinge)
def lovasz_hinge(logits: Any, target: Any, **options: Any) -> Any:
    """Lovász hinge loss: the convex extension of 1 - Jaccard at the hinge errors of logits.

    Parameters
    ----------
    {logits}
    {lovasz}

    {returns}

    Notes
    -----
    Yu and Blaschko, Learning submodular losses with the Lovász hinge, ICML 2015. Every channel is
    a question of its own: one channel and labels 0 and 1, or one-hot integers.

    Examples
    --------
    >>> import numpy as np
    >>> round(lovasz_hinge(np.array([[[2.0, 0.5, -3.0]]]), [[1, 1, 0]], exact=True), 4)
    0.25
    """


@_of(_surrogate.TopK)
def top_k(logits: Any, target: Any, **options: Any) -> Any:
    """Cross entropy of the hardest share of the pixels of the batch.

    Parameters
    ----------
    {logits}
    fraction : float, default 0.1
        Share of the pixels to keep, in (0, 1]; the number is rounded down.
    class_weight : float or sequence of float, optional
        Weight of every class; it takes part in the ranking.
    label_smoothing : float, default 0.0
        As in :func:`cross_entropy`.
    {hard}

    {returns}

    Notes
    -----
    Wu et al., Bridging category-level and instance-level semantic image segmentation, 2016. The
    selection is exact; of equal costs the first pixels are kept.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[[0.9, 0.2], [0.1, 0.8]]]))
    >>> round(top_k(logits, [[0, 1]], fraction=0.5), 4)
    0.2231
    """


@_of(_surrogate.Ohem)
def ohem(logits: Any, target: Any, **options: Any) -> Any:
    """Online hard example mining: cross entropy of the pixels that are not certain enough.

    Parameters
    ----------
    {logits}
    threshold : float, default 0.7
        Pixels are kept whose true class has a probability below it.
    least : int, default 0
        At least so many pixels of the batch are kept, the hardest.
    {hard}

    {returns}

    Notes
    -----
    Shrivastava et al., Training region-based object detectors with online hard example mining,
    CVPR 2016, as segmentation uses it.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[[0.9, 0.4], [0.1, 0.6]]]))
    >>> round(ohem(logits, [[0, 1]]), 4)
    0.5108
    """


__all__ = [
    "cross_entropy",
    "dice",
    "dice_metric",
    "focal",
    "focal_tversky",
    "generalised_cross_entropy",
    "generalised_dice",
    "jaccard",
    "jaccard_metric",
    "log_dice",
    "lovasz_hinge",
    "lovasz_softmax",
    "matthews_corrcoef",
    "ohem",
    "poly",
    "sensitivity_specificity",
    "top_k",
    "tversky",
]

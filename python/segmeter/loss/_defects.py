"""What other tools compute without saying so, found by running them."""

from __future__ import annotations

from dataclasses import dataclass

from ._presets import PRESETS


@dataclass(frozen=True, slots=True)
class Defect:
    """Something a tool computes that is not what it says.

    Parameters
    ----------
    tool : str
        Name of its preset.
    version : str
        Version it was found in.
    loss : str
        Name of the loss there.
    found : str
        What the tool does.
    here : str
        What the preset does instead.
    strict : bool
        Whether ``strict=True`` reproduces it.
    """

    tool: str
    version: str
    loss: str
    found: str
    here: str
    strict: bool = False


_DEFECTS = (
    Defect(
        "torch",
        "2.13",
        "cross_entropy",
        "1 - p of a float32 probability near 1 is 0: gradients of confident pixels lose all digits",
        "1 - p is summed from the other classes: relative error 1e-6",
    ),
    Defect(
        "monai",
        "1.6.1",
        "FocalLoss",
        "an ignore_index, even one that never occurs, multiplies the mean by the number of classes",
        "the mean is over counted pixels and classes",
        strict=True,
    ),
    Defect(
        "monai",
        "1.6.1",
        "FocalLoss(use_softmax=True)",
        "include_background=False drops logit 0 before the softmax, so that p is another",
        "p is the softmax of all logits; pixels of class 0 cost nothing",
    ),
    Defect(
        "monai",
        "1.6.1",
        "FocalLoss",
        "gamma below 1 gives NaN gradients at perfectly predicted pixels, a logit of -inf NaN",
        "the limit, 0",
    ),
    Defect(
        "monai",
        "1.6.1",
        "FocalLoss",
        "float64 logits are rounded to float32",
        "float64 stays float64",
    ),
    Defect(
        "monai",
        "1.6.1",
        "DiceLoss, TverskyLoss",
        "float16 logits of a large image overflow: sums of inf, NaN or a wrong loss",
        "float16 is computed in float32 with float64 sums",
    ),
    Defect(
        "monai",
        "1.6.1",
        "DiceCELoss",
        "has no ignore_index, and its cross entropy disregards include_background",
        "ignore_index leaves both; include_background is for each loss to say",
    ),
    Defect(
        "monai",
        "1.6.1",
        "DiceLoss",
        "a sample whose pixels are all ignored costs 0 and stays in the mean",
        "it leaves the mean",
    ),
    Defect(
        "smp",
        "0.6.0",
        "DiceLoss, JaccardLoss, TverskyLoss",
        "TP is half of sum(p) + sum(y) - sum(abs(p - y)) in float32: small classes cancel",
        "TP is the sum of p y, in float64; pass soft_label=True for soft targets",
    ),
    Defect(
        "smp",
        "0.6.0",
        "DiceLoss, JaccardLoss, TverskyLoss",
        "float16 logits of a large image overflow: sums of inf, NaN or a wrong loss",
        "float16 is computed in float32 with float64 sums",
    ),
    Defect(
        "smp",
        "0.6.0",
        "FocalLoss",
        "gamma below 1 gives NaN gradients at perfectly predicted pixels",
        "the limit, 0",
    ),
    Defect(
        "smp",
        "0.6.0",
        "FocalLoss(normalized=True)",
        "divides by the sum of the weights and by the number of pixels too",
        "divides by the sum of the weights alone, of all classes together",
    ),
    Defect(
        "smp",
        "0.6.0",
        "SoftCrossEntropyLoss",
        "raises TypeError unless smooth_factor is given",
        "0 by default",
    ),
    Defect(
        "smp",
        "0.6.0",
        "LovaszLoss",
        "takes float32 alone",
        "takes any type of logits",
    ),
    Defect(
        "kornia",
        "0.9.0",
        "dice_loss, tversky_loss",
        "a sample whose pixels are all ignored enters the mean with loss 1",
        "it leaves the mean",
    ),
    Defect(
        "kornia",
        "0.9.0",
        "lovasz_softmax_loss, lovasz_hinge_loss",
        "have no ignore_index; the hinge accepts labels of -100 and can become negative",
        "ignore_index leaves pixels out, labels out of range are refused",
    ),
    Defect(
        "keras",
        "3.15.1",
        "Tversky",
        "alpha weighs false negatives and beta false positives, the reverse of its text",
        "alpha weighs false positives, beta false negatives",
        strict=True,
    ),
    Defect(
        "keras",
        "3.15.1",
        "CategoricalFocalCrossentropy, BinaryFocalCrossentropy",
        "probabilities are clipped to 1e-7, where the gradient is 0",
        "no clipping: wrong and certain pixels keep their gradient",
    ),
    Defect(
        "mmseg",
        "1.2.2",
        "DiceLoss",
        "ignore_index drops a class, not the pixels of a label",
        "leaves out pixels; drop a class with classes=",
    ),
    Defect(
        "mmseg",
        "1.2.2",
        "FocalLoss",
        "on the CPU, class C of the one-hot target is taken as the target of all",
        "every class has its own target",
    ),
)


def known_defects(preset: str | None = None) -> tuple[Defect, ...]:
    """Give what other tools compute without saying so, and what their presets do instead.

    Parameters
    ----------
    preset : str, optional
        One tool; all by default.

    Returns
    -------
    tuple of Defect

    Raises
    ------
    ValueError
        If there is no such preset.

    Examples
    --------
    >>> [defect.loss for defect in known_defects("keras") if defect.strict]
    ['Tversky']
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return tuple(defect for defect in _DEFECTS if preset in (None, defect.tool))


__all__ = ["Defect", "known_defects"]

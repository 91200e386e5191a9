"""PyTorch: losses of tensors with gradients, and metrics that merge over processes.

Every loss of :mod:`segmeter.loss` is here under the same options, as a module and as a function of
tensors: ``DiceLoss(region="batch")``, ``dice(logits, target)``. Needs PyTorch:
``pip install "segmeter[torch]"``.
"""

from __future__ import annotations

from .. import loss as _losses
from ._counts import soft_counts
from ._metrics import Accumulator, ConfusionMatrix, PanopticQuality
from ._modules import CompoundLoss, DeepSupervisionLoss, Loss, function_of, lovasz, module_of

LovaszLoss = module_of(lovasz, "LovaszLoss")
DiceCELoss = module_of(_losses.dice_cross_entropy, "DiceCELoss")
DiceFocalLoss = module_of(_losses.dice_focal, "DiceFocalLoss")

CrossEntropyLoss = module_of(_losses.CrossEntropy)
DiceLoss = module_of(_losses.Dice)
DiceMetricLoss = module_of(_losses.DiceMetric)
FocalLoss = module_of(_losses.Focal)
FocalTverskyLoss = module_of(_losses.FocalTversky)
GeneralisedCrossEntropyLoss = module_of(_losses.GeneralisedCrossEntropy)
GeneralisedDiceLoss = module_of(_losses.GeneralisedDice)
JaccardLoss = module_of(_losses.Jaccard)
JaccardMetricLoss = module_of(_losses.JaccardMetric)
LogDiceLoss = module_of(_losses.LogDice)
LovaszHingeLoss = module_of(_losses.LovaszHinge)
LovaszSoftmaxLoss = module_of(_losses.LovaszSoftmax)
MatthewsCorrcoefLoss = module_of(_losses.MatthewsCorrcoef)
OhemLoss = module_of(_losses.Ohem)
PolyLoss = module_of(_losses.Poly)
SensitivitySpecificityLoss = module_of(_losses.SensitivitySpecificity)
TopKLoss = module_of(_losses.TopK)
TverskyLoss = module_of(_losses.Tversky)

cross_entropy = function_of(_losses.CrossEntropy)
dice = function_of(_losses.Dice)
dice_metric = function_of(_losses.DiceMetric)
focal = function_of(_losses.Focal)
focal_tversky = function_of(_losses.FocalTversky)
generalised_cross_entropy = function_of(_losses.GeneralisedCrossEntropy)
generalised_dice = function_of(_losses.GeneralisedDice)
jaccard = function_of(_losses.Jaccard)
jaccard_metric = function_of(_losses.JaccardMetric)
log_dice = function_of(_losses.LogDice)
lovasz_hinge = function_of(_losses.LovaszHinge)
lovasz_softmax = function_of(_losses.LovaszSoftmax)
matthews_corrcoef = function_of(_losses.MatthewsCorrcoef)
ohem = function_of(_losses.Ohem)
poly = function_of(_losses.Poly)
sensitivity_specificity = function_of(_losses.SensitivitySpecificity)
top_k = function_of(_losses.TopK)
tversky = function_of(_losses.Tversky)

__all__ = [
    "Accumulator",
    "CompoundLoss",
    "ConfusionMatrix",
    "CrossEntropyLoss",
    "DeepSupervisionLoss",
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceLoss",
    "DiceMetricLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GeneralisedCrossEntropyLoss",
    "GeneralisedDiceLoss",
    "JaccardLoss",
    "JaccardMetricLoss",
    "LogDiceLoss",
    "Loss",
    "LovaszHingeLoss",
    "LovaszLoss",
    "LovaszSoftmaxLoss",
    "MatthewsCorrcoefLoss",
    "OhemLoss",
    "PanopticQuality",
    "PolyLoss",
    "SensitivitySpecificityLoss",
    "TopKLoss",
    "TverskyLoss",
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
    "soft_counts",
    "top_k",
    "tversky",
]

"""PyTorch: losses of tensors with gradients, and metrics that merge over processes.

Every loss of :mod:`segmeter.loss` is here under the same options, as a module and as a function of
tensors: ``DiceLoss(region="batch")``, ``dice(logits, target)``. Needs PyTorch:
``pip install "segmeter[torch]"``.
"""

from __future__ import annotations

from .. import loss as _losses
from ._metrics import Accumulator, ConfusionMatrix, PanopticQuality
from ._modules import CompoundLoss, DeepSupervisionLoss, Loss, function_of, module_of

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
MatthewsCorrcoefLoss = module_of(_losses.MatthewsCorrcoef)
PolyLoss = module_of(_losses.Poly)
SensitivitySpecificityLoss = module_of(_losses.SensitivitySpecificity)
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
matthews_corrcoef = function_of(_losses.MatthewsCorrcoef)
poly = function_of(_losses.Poly)
sensitivity_specificity = function_of(_losses.SensitivitySpecificity)
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
    "MatthewsCorrcoefLoss",
    "PanopticQuality",
    "PolyLoss",
    "SensitivitySpecificityLoss",
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
    "matthews_corrcoef",
    "poly",
    "sensitivity_specificity",
    "tversky",
]

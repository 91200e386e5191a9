"""Losses that rank pixels, in plain torch: Lovász extensions and the hardest pixels.

Everything stays on the device and has a fixed shape: pixels that are left out rank last and weigh
nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..loss import Ohem, TopK
from ._require import torch

if TYPE_CHECKING:
    from ..loss._surrogate import LovaszLoss

    Tensor = Any


def lovasz(
    loss: LovaszLoss, logits: Tensor, target: Tensor, counted: Tensor | None, sums: Any
) -> Tensor:
    """Lovász extension of the Jaccard loss, by sorting; ties share their slope.

    Parameters
    ----------
    loss : LovaszLoss
    logits : torch.Tensor of float32 or float64, shape (N, C, P)
    target : torch.Tensor, shape (N, P) of int64, or (N, C, P) of 0 and 1
    counted : torch.Tensor of bool, shape (N, P), or None for all
    sums : torch.dtype
        Type of sums.

    Returns
    -------
    torch.Tensor
        A scalar, or (R, C) with ``reduction="none"``.
    """
    if counted is None:
        counted = torch.ones_like(logits[:, 0], dtype=torch.bool)
    dense = target.ndim == logits.ndim
    if loss.region == "batch":
        logits = logits.movedim(1, 0).flatten(1)[None]
        target = target.movedim(1, 0).flatten(1)[None] if dense else target.reshape(1, -1)
        counted = counted.reshape(1, -1)
    channels = logits.shape[1]
    single = channels == 1
    logits = torch.where(counted[:, None], logits, 0.0)
    scores = logits if loss.hinge else logits.softmax(1)
    losses, present = [], []
    for channel in range(channels):
        true = target[:, channel] > 0 if dense else target == (1 if single else channel)
        true = true & counted
        score = scores[:, channel]
        if loss.hinge:
            error = torch.where(true, 1.0 - score, 1.0 + score).relu()
        else:
            error = torch.where(true, 1.0 - score, score)
        losses.append(_extension(error.to(sums), true, counted, sums))
        present.append(true.any(1))
    return _mean(loss, torch.stack(losses, 1), torch.stack(present, 1), counted.any(1))


def _extension(error: Tensor, true: Tensor, counted: Tensor, sums: Any) -> Tensor:
    """Sum over pixels, largest error first, of the error times the growth of 1 - Jaccard."""
    with torch.no_grad():
        ranked, order = torch.where(counted, -error, 1.0).sort(dim=1, stable=True)
        sorted_true = true.gather(1, order)
        yes = torch.nn.functional.pad(sorted_true.to(sums).cumsum(1), (1, 0))
        no = torch.nn.functional.pad((~sorted_true).to(sums).cumsum(1), (1, 0))
        total = yes[:, -1:]
        # Pixels of one error: from the first of them up to the last.
        first = torch.searchsorted(ranked, ranked, right=False)
        last = torch.searchsorted(ranked, ranked, right=True)
        yes_before, yes_after = yes.gather(1, first), yes.gather(1, last)
        no_before, no_after = no.gather(1, first), no.gather(1, last)

        def jaccard_loss(missed: Tensor, invented: Tensor) -> Tensor:
            union = total + invented
            return torch.where(union > 0, 1.0 - (total - missed) / union.clamp(min=1.0), 0.0)

        # They may become wrong in any order: the mean of the two extreme ones.
        growth = jaccard_loss(yes_after, no_after) - jaccard_loss(yes_before, no_before)
        order_matters = jaccard_loss(yes_after, no_before) - jaccard_loss(yes_before, no_after)
        by_yes = (growth + order_matters) / 2 / (yes_after - yes_before).clamp(min=1.0)
        by_no = (growth - order_matters) / 2 / (no_after - no_before).clamp(min=1.0)
        slope = torch.where(sorted_true, by_yes, by_no)
        slope = torch.zeros_like(slope).scatter(1, order, slope)
        slope = torch.where(counted, slope, 0.0)
    return (slope * error).sum(1)


def _mean(loss: LovaszLoss, losses: Tensor, present: Tensor, valid: Tensor) -> Tensor:
    channels = losses.shape[1]
    if isinstance(loss.classes, str):
        counts = present if loss.classes == "present" else torch.ones_like(present)
    else:
        chosen = [channel in loss.classes for channel in range(channels)]
        counts = torch.tensor(chosen, device=losses.device).expand_as(present)
    counts = counts & valid[:, None]
    if loss.reduction == "none":
        return torch.where(counts, losses, math.nan)
    weight = 1.0 if loss.class_weight is None else losses.new_tensor(loss.class_weight)
    share = counts * weight + torch.zeros_like(losses)
    if loss.reduction == "mean":
        whole = (share if loss.normalise_weight else counts.to(share.dtype)).sum(1, keepdim=True)
        share = torch.where(whole > 0, share / torch.where(whole > 0, whole, 1.0), 0.0)
        share = share / (whole > 0).sum().clamp(min=1)
    value = torch.where(counts, share * losses, 0.0).sum()
    return value if loss.empty == "zero" else torch.where(valid.any(), value, math.nan)


def hard_pixels(loss: TopK | Ohem, costs: Tensor, ranked: Tensor, counted: Tensor) -> Tensor:
    """Cross entropy (N, *spatial) of the pixels that a loss selects by costs to rank by."""
    costs, ranked, counted = costs.flatten(), ranked.flatten(), counted.flatten()
    with torch.no_grad():
        if isinstance(loss, TopK):
            kept, norm = _hardest(loss, ranked, counted)
        else:
            kept, norm = _hard(loss, ranked, counted)
    total = torch.where(kept, costs, 0.0).sum()
    if loss.reduction == "mean":
        total = torch.where(norm > 0, total / torch.where(norm > 0, norm, 1), 0.0)
    return total if loss.empty == "zero" else torch.where(kept.any(), total, math.nan)


def _rank(costs: Tensor, counted: Tensor) -> Tensor:
    """Place of every pixel, the costliest first; NaN costs most, what is left out nothing."""
    cost = torch.where(costs.isnan(), torch.inf, costs)
    order = torch.where(counted, cost, -torch.inf).argsort(descending=True, stable=True)
    place = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).scatter(0, order, place)


def _hardest(loss: TopK, costs: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """A share of the pixels, and its number."""
    number = counted.sum()
    whole = number if loss.normaliser == "valid" else torch.full_like(number, costs.numel())
    # Shares as 0.1 are no binary numbers: 0.1 * 30 is 3 pixels all the same.
    share = (loss.fraction * (1 + 1e-12) * whole.to(_exact(costs))).floor().long()
    return counted & (_rank(costs, counted) < share), share


def _hard(loss: Ohem, costs: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels that are not certain enough, or a number of them if those are fewer."""
    hard = counted & ((costs > -math.log(loss.threshold)) | costs.isnan())
    least = counted.sum().clamp(max=loss.least)
    kept = torch.where(hard.sum() >= least, hard, counted & (_rank(costs, counted) < least))
    number = kept.sum()
    return kept, number if loss.normaliser == "valid" else torch.full_like(number, costs.numel())


def _exact(tensor: Tensor) -> Any:
    return torch.float32 if tensor.device.type == "mps" else torch.float64

"""One process of a job of several, started by the tests of segmeter.torch.

    python torch_job.py PART RANK WORLD_SIZE RENDEZVOUS

Prints its answer as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch

import segmeter.torch


def draw_images() -> tuple[torch.Tensor, torch.Tensor]:
    """Seven images: two processes cannot share them equally."""
    generator = torch.Generator().manual_seed(7)
    target = torch.randint(0, 4, (7, 12, 10), generator=generator)
    pred = torch.where(torch.rand(target.shape, generator=generator) < 0.3, 0, target)
    return pred, target


def metrics(rank: int, world_size: int) -> dict[str, Any]:
    """The counts of seven images, dealt out by torch's sampler, which repeats one of them."""
    pred, target = draw_images()
    sampler = torch.utils.data.DistributedSampler(range(7), world_size, rank, shuffle=False)
    mine = list(sampler)
    named = segmeter.torch.ConfusionMatrix(4)
    unnamed = segmeter.torch.ConfusionMatrix(4)
    quality = segmeter.torch.PanopticQuality(4, background=None)
    for image in mine:
        one = slice(image, image + 1)
        named.update(pred[one], target[one], ids=[image])
        unnamed.update(pred[one], target[one])
        quality.update((pred[one], pred[one]), (target[one], target[one]), ids=[image])
    nobody = segmeter.torch.ConfusionMatrix(4)
    if rank == 1:  # a process whose share is empty still takes part
        nobody.update(pred, target)
    return {
        "mine": mine,
        "matrix": named.counts().matrix.tolist(),
        "images": named.counts().num_images,
        "images with repeats": unnamed.counts().num_images,
        "pq": quality.compute().pq.tolist(),
        "one process only": nobody.counts().matrix.tolist(),
    }


def draw_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Four images with features, and labels of which one process sees more than the other."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 3, (4, 6, 5), generator=generator)
    labels[3] = 0
    labels[0, :3] = 255
    return torch.randn(4, 2, 6, 5, generator=generator), labels


def network() -> torch.nn.Module:
    torch.manual_seed(11)
    return torch.nn.Conv2d(2, 3, 1)


def batch_losses(*, sync_batch: bool) -> dict[str, segmeter.torch.Loss]:
    options = {"sync_batch": sync_batch, "ignore_index": 255}
    return {
        "Dice": segmeter.torch.DiceLoss(region="batch", **options),
        "cross entropy": segmeter.torch.CrossEntropyLoss(**options),
        "over all pixels": segmeter.torch.CrossEntropyLoss(normaliser="all", **options),
    }


def losses(rank: int, world_size: int) -> dict[str, Any]:
    """Value and averaged gradient of a batch of which each process has a part."""
    from segmeter.torch import _evaluate

    images, labels = draw_batch()
    mine = slice(rank, None, world_size)
    answer = {}
    for name, module in batch_losses(sync_batch=True).items():

        def plain(logits: Any, target: Any, module: Any = module) -> Any:
            return _evaluate.plain(module.loss, _evaluate.Inputs(logits, target), module._setting)

        compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
        for way, loss in {"native": module, "plain": plain, "compiled": compiled}.items():
            parallel = torch.nn.parallel.DistributedDataParallel(network())
            value = loss(parallel(images[mine]), labels[mine])
            value.backward()
            gradient = parallel.module.weight.grad.flatten().tolist()
            answer[f"{name}, {way}"] = {"value": value.item(), "gradient": gradient}
    return answer


PARTS = {"metrics": metrics, "losses": losses}


def main() -> None:
    part, rank, world_size, rendezvous = sys.argv[1:5]
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=Path(rendezvous).as_uri(),
        rank=int(rank),
        world_size=int(world_size),
    )
    answer = PARTS[part](int(rank), int(world_size))
    torch.distributed.destroy_process_group()
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()

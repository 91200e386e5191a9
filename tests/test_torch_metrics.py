"""Accumulators of tensors: equal to the functions on arrays, merged over processes."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

JOB = Path(__file__).with_name("torch_job.py")


@pytest.fixture(scope="module")
def torch(peer: Callable[[str], ModuleType]) -> Any:
    return peer("torch")


@pytest.fixture(scope="module")
def backend(torch: Any) -> Any:
    assert torch is not None
    return importlib.import_module("segmeter.torch")


def run_job(part: str, folder: Path, world_size: int = 2) -> list[dict[str, Any]]:
    """What every process of a job answers."""
    command = [sys.executable, str(JOB), part]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(world_size), str(folder / "rendezvous")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    for process, (_, errors) in zip(processes, ends, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(output.splitlines()[-1]) for output, _ in ends]


def draw_images() -> tuple[Any, Any]:
    spec = importlib.util.spec_from_file_location("torch_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw_images()


# --- one process ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [None, range(7)])
def test_matrix_of_label_maps(backend: Any, ids: Any) -> None:
    pred, target = draw_images()
    total = backend.ConfusionMatrix(4, ignore_index=3).update(pred.clamp(max=2), target, ids=ids)
    counts = total.counts()
    expected = segmeter.confusion_matrix(
        pred.clamp(max=2).numpy(), target.numpy(), num_classes=4, ignore_index=3, void_column=True
    )
    np.testing.assert_array_equal(counts.matrix, expected)
    assert counts.num_images == total.num_images == 7
    assert counts.ignored == int((target == 3).sum())
    assert total.compute()["mean_iou"] == counts.scores()["mean_iou"]


@pytest.mark.parametrize("ids", [None, list("abc")])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_matrix_of_scores(torch: Any, backend: Any, ids: Any, dtype: str) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, 6, 5, generator=generator).to(getattr(torch, dtype))
    target = torch.randint(0, 4, (3, 6, 5), generator=generator)
    counts = backend.ConfusionMatrix(4).update(logits.requires_grad_(), target, ids=ids).counts()
    labels = logits.argmax(1)
    assert (
        counts.matrix[:, :4].tolist()
        == segmeter.confusion_matrix(labels, target, num_classes=4).tolist()
    )
    assert counts.num_images == 3


def test_scores_of_a_matrix_ask_for_its_counts(backend: Any) -> None:
    metric = backend.ConfusionMatrix(2).update(np.array([[0, 1]]), np.array([[0, 1]]))
    with pytest.raises(ValueError, match=r"pass its counts\(\)"):
        segmeter.mean_iou(metric)
    assert segmeter.mean_iou(metric.counts()) == 1


def test_one_channel_of_scores(torch: Any, backend: Any) -> None:
    logits = torch.tensor([[[[-1.0, 2.0, 0.5]]]])
    target = torch.tensor([[[0, 1, 0]]])
    for scores in (logits, logits.bfloat16()):
        counts = backend.ConfusionMatrix(2).update(scores, target, threshold=0.0).counts()
        assert counts.matrix.tolist() == [[1, 1, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match="threshold is for scores"):
        backend.ConfusionMatrix(2).update(target, target, threshold=0.0)


def test_named_images_count_once(backend: Any) -> None:
    pred, target = draw_images()
    once = backend.ConfusionMatrix(4).update(pred, target, ids=range(7))
    twice = backend.ConfusionMatrix(4).update(pred, target, ids=range(7))
    twice.update(pred[2:4], target[2:4], ids=[2, 3])
    assert twice.counts() == once.counts()
    assert twice.reset().counts() is None
    assert twice.compute() is None
    assert twice.num_images == 0


def test_lists_of_maps_of_different_sizes(torch: Any, backend: Any) -> None:
    maps = [torch.tensor([[0, 1]]), torch.tensor([[1], [1], [0]])]
    for ids in (None, ["first", "second"]):
        counts = backend.ConfusionMatrix(2).update(maps, maps, ids=ids).counts()
        assert counts.matrix.tolist() == [[2, 0, 0], [0, 3, 0]]
        assert counts.num_images == 2


def test_counts_are_copies(backend: Any) -> None:
    pred, target = draw_images()
    total = backend.Accumulator(lambda p, t: np.array([int((p == t).sum())]))
    total.update(pred, target)
    total.counts()[0] = -1
    assert total.counts()[0] == int((pred == target).sum())


def test_panoptic_quality(backend: Any) -> None:
    pred, target = draw_images()
    quality = backend.PanopticQuality(4, background=None, things=[1, 2])
    found = quality.update((pred, pred), (target, target)).compute()
    parts = [
        segmeter.panoptic_counts(
            segmeter.overlap_table(p, t, background=None, pred_classes=p, target_classes=t),
            num_classes=4,
        )
        for p, t in zip(pred.numpy(), target.numpy(), strict=True)
    ]
    expected = segmeter.panoptic_quality(sum(parts), things=[1, 2])
    np.testing.assert_array_equal(found.pq, expected.pq)
    assert found.things == expected.things
    with pytest.raises(TypeError, match="pred must be a pair"):
        quality.update(pred, (target, target))


def test_state_goes_into_a_checkpoint(backend: Any) -> None:
    pred, target = draw_images()
    first = backend.ConfusionMatrix(4).update(pred[:3], target[:3], ids=[0, 1, 2])
    first.update(pred[3:4], target[3:4])
    state = pickle.loads(pickle.dumps(first.state_dict()))
    second = backend.ConfusionMatrix(4).load_state_dict(state)
    second.update(pred[2:], target[2:], ids=[2, 3, 4, 5, 6])
    first.update(pred[3:], target[3:], ids=[3, 4, 5, 6])
    assert second.counts() == first.counts()
    assert second.num_images == 8


@pytest.mark.parametrize(
    ("pred", "target", "ids", "message"),
    [
        ([[[0]]], [[[0]], [[1]]], None, "equally many images, got 1 and 2"),
        ([[[0]]], [[[0]]], ["a", "b"], "ids must name 1 images, got 2 names"),
        ([[[0]]], [[[0]]], [None], "ids must name every image"),
        ([[[0]]], [[[9]]], None, "outside 0..3"),
    ],
)
def test_bad_input(
    torch: Any, backend: Any, pred: Any, target: Any, ids: Any, message: str
) -> None:
    total = backend.ConfusionMatrix(4)
    with pytest.raises(ValueError, match=message):
        total.update(torch.tensor(pred), torch.tensor(target), ids=ids)
    assert total.num_images == 0
    with pytest.raises(TypeError, match="pred must be a batch"):
        total.update(torch.tensor(3), torch.tensor(3))


def test_missing_torch_is_one_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "try:\n    import segmeter.torch\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == 'segmeter.torch needs PyTorch: pip install "segmeter[torch]"\n'


def test_core_does_not_load_torch() -> None:
    code = "import sys, segmeter; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- two processes -------------------------------------------------------------------------------


def test_merged_over_processes(backend: Any, tmp_path: Path) -> None:
    pred, target = draw_images()
    answers = run_job("metrics", tmp_path)
    assert answers[0].pop("mine") + answers[1].pop("mine") == [0, 2, 4, 6, 1, 3, 5, 0]
    assert answers[0] == answers[1]
    answer = answers[0]
    alone = backend.ConfusionMatrix(4).update(pred, target).counts().matrix.tolist()
    assert answer["matrix"] == answer["one process only"] == alone
    assert answer["images"] == 7
    assert answer["images with repeats"] == 8
    quality = backend.PanopticQuality(4, background=None)
    assert answer["pq"] == quality.update((pred, pred), (target, target)).compute().pq.tolist()

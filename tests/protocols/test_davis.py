"""Protocol davis2016: J, F and their statistics on four sequences, by the toolkit's own rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter.evaluation import evaluate
from segmeter.evaluation.protocols.davis import DavisCounts, open_folders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

COLUMNS = ["J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay"]
SEQUENCES = ["blackswan", "car-shadow", "drift-straight", "libby"]


def toolkit_f(pred: np.ndarray, target: np.ndarray, cv2: ModuleType, disk: Any) -> float:
    """F of a frame: outlines half a pixel off, dilated by a disk."""

    def outline(mask: np.ndarray) -> np.ndarray:
        edge = np.pad(mask, (0, 1), mode="edge")
        return (mask ^ edge[:-1, 1:]) | (mask ^ edge[1:, :-1]) | (mask ^ edge[1:, 1:])

    element = disk(np.ceil(0.008 * np.linalg.norm(pred.shape))).astype(np.uint8)
    a, b = outline(pred), outline(target)
    near_a, near_b = (cv2.dilate(side.astype(np.uint8), element) > 0 for side in (a, b))
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision, recall = np.sum(a & near_b) / a.sum(), np.sum(b & near_a) / b.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def toolkit_statistics(values: np.ndarray) -> list[float]:
    ends = np.round(np.linspace(1, len(values), 5) + 1e-10) - 1
    ends = ends.astype(np.uint8)
    quarters = [values[ends[i] : ends[i + 1] + 1] for i in range(4)]
    decay = np.nanmean(quarters[0]) - np.nanmean(quarters[3])
    return [np.nanmean(values), np.nanmean(values > 0.5), decay]


def test_sequences_equal_the_rules_of_the_toolkit(
    shared: Path, peer: Callable[[str], ModuleType]
) -> None:
    image, cv2 = peer("PIL.Image"), peer("cv2")
    disk = peer("skimage.morphology").disk
    folder = shared / "data" / "davis_osvos"
    result = evaluate(folder / "osvos", folder / "Annotations", protocol="davis2016")
    official = json.loads(result.to_official_json())
    assert result.exit_code == 0
    assert sorted(official["sequences"]) == SEQUENCES
    rows = []
    for name in SEQUENCES:
        frames = sorted((folder / "Annotations" / name).iterdir())[1:-1]
        pairs = [
            [np.array(image.open(path)) > 0 for path in (folder / "osvos" / name / f.name, f)]
            for f in frames
        ]
        j = np.array([np.sum(p & t) / np.sum(p | t) for p, t in pairs])
        f = np.array([toolkit_f(p, t, cv2, disk) for p, t in pairs])
        rows.append(toolkit_statistics(j) + toolkit_statistics(f))
        assert official["sequences"][name] == dict(zip(COLUMNS, rows[-1], strict=True))
    means = np.mean(rows, axis=0)
    joint = (means[0] + means[3]) / 2
    assert official["global"] == {"J&F-Mean": joint} | dict(zip(COLUMNS, means, strict=True))
    assert result.scores["j_and_f_mean"] == pytest.approx(joint, rel=1e-15)
    shown = {name: round(value, 4) for name, value in official["global"].items()}
    assert (shown["J-Mean"], shown["F-Mean"], shown["J&F-Mean"]) == (0.79, 0.8374, 0.8137)


def _write(folder: Path, frames: dict[str, np.ndarray]) -> None:
    for name, mask in frames.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, mask)


def _square(size: int) -> np.ndarray:
    mask = np.zeros((20, 30), np.uint8)
    mask[5 : 5 + size, 5 : 5 + size] = 255
    return mask


def test_first_and_last_frames_do_not_count(tmp_path: Path) -> None:
    target = {f"cat/{k:02}": _square(10) for k in range(7)}
    pred = {name: _square(5) for name in target} | {"cat/00": _square(0), "cat/06": _square(0)}
    _write(tmp_path / "target", target)
    _write(tmp_path / "pred", pred)
    result = evaluate(tmp_path / "pred", tmp_path / "target", protocol="davis2016")
    assert result.scores["j_mean"] == 0.25
    assert result.scores["j_recall"] == 0
    assert result.scores["j_decay"] == 0
    assert result.totals.protocol is not None
    assert result.totals.protocol.class_scores()["frames"].tolist() == [5]


def test_missing_frames_are_reported_and_do_not_move_the_others(tmp_path: Path) -> None:
    target = {f"cat/{k:02}": _square(10) for k in range(5)}
    pred = {name: mask for name, mask in target.items() if name != "cat/00"}
    pred |= {"cat/01": _square(0)}
    _write(tmp_path / "target", target | {"dog/0": _square(3)})
    _write(tmp_path / "pred", pred | {"dog/0": _square(3)})
    data = open_folders(str(tmp_path / "pred"), str(tmp_path / "target"))
    assert data.class_names == ("cat", "dog")
    assert [problem.kind for problem in data.problems] == ["missing-prediction"]
    counts = [data.measure(pair).counts for pair in data.pairs]
    total = counts[0]
    for part in counts[1:]:
        total = total + part
    assert isinstance(total, DavisCounts)
    scores = total.class_scores()
    np.testing.assert_array_equal(scores["frames"], [3, 0])
    assert scores["j_mean"][0] == pytest.approx(2 / 3)
    assert np.isnan(scores["j_mean"][1])  # one frame is first and last
    again = DavisCounts.from_arrays(total.to_arrays())
    np.testing.assert_array_equal(again.j, total.j)
    np.testing.assert_array_equal(again.f, total.f)


def test_frames_of_other_sizes_and_sequences_of_one_name_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "target", {"cat/0": _square(3)})
    _write(tmp_path / "pred", {"cat/0": _square(3)[1:]})
    result = evaluate(tmp_path / "pred", tmp_path / "target", protocol="davis2016")
    assert [problem["kind"] for problem in result.problems] == ["shape"]
    _write(tmp_path / "target", {"a/cat/0": _square(3), "b/cat/0": _square(3)})
    with pytest.raises(ValueError, match="'cat'"):
        open_folders(str(tmp_path / "target"), str(tmp_path / "target"))


def test_counts_of_other_sequences_do_not_add() -> None:
    empty = [np.zeros((0, n), np.int64) for n in (2, 2, 4)]
    one = DavisCounts(("a",), np.array([3]), *empty)
    with pytest.raises(ValueError, match="different sequences"):
        one + DavisCounts(("b",), np.array([3]), *empty)

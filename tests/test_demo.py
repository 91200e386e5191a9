"""The demonstration set: the truth it states about its faults is what its pixels say."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segmeter import confusion_matrix, demo

if TYPE_CHECKING:
    from pathlib import Path

WRONG_PIXELS = {
    "01_perfect": 0,
    "02_boundary_shift": 389,
    "03_missed_object": 1639,
    "04_invented_object": 1015,
    "05_wrong_class": 5502,
    "06_split": 289,
    "07_merge": 246,
    "08_ignored_border": 0,
}


def test_the_set_is_the_same_everywhere() -> None:
    pixels = b"".join(image.target.tobytes() + image.pred.tobytes() for image in demo.draw())
    digest = hashlib.sha256(pixels).hexdigest()
    assert digest == "c1c4c5e3ec8e5cad5af16a20cb0cb693214a813437935292e592278b5ed35e94"


def test_wrong_pixels_of_every_fault() -> None:
    assert {image.name: image.fault.pixels for image in demo.draw()} == WRONG_PIXELS


@pytest.mark.parametrize("image", demo.draw(), ids=lambda image: image.name)
def test_a_fault_says_what_the_pixels_say(image: demo.DemoImage) -> None:
    counted = image.target != demo.VOID
    for (target, pred), pixels in image.fault.moved.items():
        assert target != pred
        assert pixels == np.count_nonzero((image.target == target) & (image.pred == pred))
    assert image.fault.pixels == np.count_nonzero((image.target != image.pred) & counted)
    assert image.fault.ignored == np.count_nonzero(~counted)


def test_sentences_hold_the_sizes() -> None:
    sentences = {image.fault.kind: image.fault.sentence for image in demo.draw()}
    assert sentences["missed object"] == "a car of 1,639 pixels was missed"
    assert sentences["ignored border"] == "13,186 pixels differ, all of them ignored"


def test_expected_matrix_is_the_confusion_matrix() -> None:
    images = demo.draw()
    matrix = confusion_matrix(
        [image.pred for image in images],
        [image.target for image in images],
        num_classes=len(demo.CLASS_NAMES),
        ignore_index=demo.VOID,
    )
    np.testing.assert_array_equal(matrix, demo.expected_matrix())


def test_files_hold_labels_as_palette_indices(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    files = demo.write(tmp_path / "made" / "on the way")
    for image in files.images:
        for folder, labels in ((files.pred, image.pred), (files.target, image.target)):
            with image_module.open(folder / f"{image.name}.png") as picture:
                assert picture.mode == "P"
                np.testing.assert_array_equal(np.asarray(picture), labels)
                palette = picture.getpalette()
        assert tuple(palette[3 * demo.VOID :]) == demo.COLORS[demo.VOID]


def test_files_state_names_and_faults(tmp_path: Path) -> None:
    files = demo.write(tmp_path)
    assert tuple(files.classes.read_text(encoding="utf-8").split()) == demo.CLASS_NAMES
    faults = json.loads((tmp_path / "faults.json").read_text(encoding="utf-8"))
    assert {name: fault["wrong_pixels"] for name, fault in faults.items()} == WRONG_PIXELS
    moved = faults["03_missed_object"]["moved"]
    assert moved == [{"target": "car", "pred": "road", "pixels": 1639}]


def test_writing_twice_gives_the_same_files(tmp_path: Path) -> None:
    def contents() -> dict[Path, bytes]:
        demo.write(tmp_path)
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert contents() == contents()


def test_writing_over_a_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OSError, match="taken"):
        demo.write(tmp_path / "taken")

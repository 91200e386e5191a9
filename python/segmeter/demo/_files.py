"""The demonstration set as files: palette PNGs, class names, and the truth about the faults."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segmeter.demo._faults import DemoImage, draw
from segmeter.demo._scene import CLASS_NAMES, COLORS

if TYPE_CHECKING:
    from segmeter.demo._scene import LabelMap


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where :func:`write` put things, and the images it wrote."""

    pred: Path
    target: Path
    classes: Path
    images: tuple[DemoImage, ...]


def write(directory: str | Path) -> DemoFiles:
    """Write the demonstration set under a directory, which is made if needed.

    Parameters
    ----------
    directory : str or path
        Receives ``target/*.png`` and ``pred/*.png`` (8-bit palette PNGs: labels are palette
        indices, 255 is void), ``classes.txt`` (one name per line) and ``faults.json`` (what is
        wrong in each prediction). Files of these names are replaced, others are left alone.

    Returns
    -------
    DemoFiles

    Raises
    ------
    ImportError
        If Pillow is absent.
    OSError
        If the directory cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> from segmeter import demo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = demo.write(folder)
    ...     sorted(path.name for path in files.pred.iterdir())[:2]
    ['01_perfect.png', '02_boundary_shift.png']
    """
    directory = Path(directory)
    files = DemoFiles(directory / "pred", directory / "target", directory / "classes.txt", draw())
    for folder in (files.pred, files.target):
        folder.mkdir(parents=True, exist_ok=True)
    for image in files.images:
        _write_png(files.pred / f"{image.name}.png", image.pred)
        _write_png(files.target / f"{image.name}.png", image.target)
    files.classes.write_text("".join(f"{name}\n" for name in CLASS_NAMES), encoding="utf-8")
    faults = {image.name: _truth(image) for image in files.images}
    (directory / "faults.json").write_text(json.dumps(faults, indent=2) + "\n", encoding="utf-8")
    return files


def _truth(image: DemoImage) -> dict[str, object]:
    return {
        "kind": image.fault.kind,
        "sentence": image.fault.sentence,
        "wrong_pixels": image.fault.pixels,
        "ignored_pixels": image.fault.ignored,
        "moved": [
            {"target": CLASS_NAMES[target], "pred": CLASS_NAMES[pred], "pixels": pixels}
            for (target, pred), pixels in image.fault.moved.items()
        ],
    }


def _write_png(path: Path, labels: LabelMap) -> None:
    try:
        from PIL import Image
    except ImportError as error:
        message = 'writing PNG files needs Pillow: pip install "segmeter[eval]"'
        raise ImportError(message) from error
    palette = [0] * 768
    for label, color in COLORS.items():
        palette[3 * label : 3 * label + 3] = color
    picture = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    picture.putpalette(palette)
    picture.save(path)

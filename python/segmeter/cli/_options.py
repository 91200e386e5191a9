"""Options of the commands, each declared once as a field, and the decorator that reads them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

_FILES = "Files"
_LABELS = "Labels"
_MEASURES = "Measures"
_OUTPUT = "Output"
_RUNNING = "Running"


def _option(panel: str, metavar: str, text: str, *names: str, **rest: Any) -> Any:
    """Option with its help; a default is shown where it is a value one might change."""
    rest.setdefault("show_default", False)
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar, **rest)


def _whole(panel: str, metavar: str, text: str, what: str = "a whole number", **rest: Any) -> Any:
    """Option that is a whole number, or several, each given on its own."""
    return _option(panel, metavar, text, parser=_reader(int, what), **rest)


def _real(panel: str, metavar: str, text: str) -> Any:
    """Option that is a number."""
    return _option(panel, metavar, text, parser=_reader(float, "a number"))


def _reader(kind: Callable[[str], float], what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not {what}") from None

    return read


def _flag(panel: str, text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, metavar="", show_default=False)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Which files are compared, and what their labels mean; common to evaluate and check."""

    pred: Annotated[
        str | None, _option(_FILES, "PATH", "Predictions: folder, glob, or .txt list of files.")
    ] = None
    target: Annotated[
        str | None, _option(_FILES, "PATH", "Truth: folder, glob, or .txt list of files.")
    ] = None
    pairs: Annotated[
        str | None, _option(_FILES, "CSV", "Both at once: a table with columns pred,target,id.")
    ] = None
    pair: Annotated[
        str,
        _option(
            _FILES,
            "RULE",
            "Match names by stem or regex, or files by order.",
            show_default=True,
        ),
    ] = "stem"
    pred_suffix: Annotated[
        str | None, _option(_FILES, "TEXT", "End of prediction names to leave off: _pred.")
    ] = None
    target_suffix: Annotated[
        str | None, _option(_FILES, "TEXT", "End of target names to leave off: _labelIds.")
    ] = None
    pattern: Annotated[
        list[str] | None,
        _option(_FILES, "REGEX", "Its groups are the common name; a second one is for targets."),
    ] = None
    classes: Annotated[
        str | None,
        _option(_LABELS, "NAMES", "road,car,... or a TXT, JSON or TOML file of class names."),
    ] = None
    num_classes: Annotated[
        int | None, _whole(_LABELS, "N", "Number of classes, where they have no names.")
    ] = None
    ignore_index: Annotated[
        list[int] | None,
        _whole(
            _LABELS,
            "LABEL",
            "Target label that does not count; repeatable.",
            "a whole number (give the option once for each label)",
        ),
    ] = None
    mapping: Annotated[
        str | None, _option(_LABELS, "PAIRS", "Label:class, such as 255:1,7:ignore; or a file.")
    ] = None
    pred_mapping: Annotated[
        str | None, _option(_LABELS, "PAIRS", "The same for predictions, where they differ.")
    ] = None
    label_groups: Annotated[
        list[str] | None,
        _option(_LABELS, "NAME=CLASSES", "Classes scored as one, such as WT=1,2,4; repeatable."),
    ] = None
    reduce_zero_label: Annotated[
        bool,
        _flag(_LABELS, "Target 0 does not count, target v is class v-1.", "--reduce-zero-label"),
    ] = False
    out_of_range: Annotated[
        str,
        _option(
            _LABELS, "RULE", "Labels that are no class: raise, ignore, wrong.", show_default=True
        ),
    ] = "raise"
    threshold: Annotated[
        float | None, _real(_LABELS, "X", "Two classes: values above X are class 1.")
    ] = None
    color_table: Annotated[
        str | None, _option(_LABELS, "FILE", "Colors of the labels, for masks in true color.")
    ] = None
    protocol: Annotated[
        str | None,
        _option(
            _LABELS,
            "NAME",
            "As the official tool counts: cityscapes, cityscapes-trainids, voc, ade20k, camvid,"
            " binary, coco-panoptic, cityscapes-panoptic, coco-instances, cellpose, stardist,"
            " brats2023-lesionwise (-men, -met), brats2026 (-met), picai, davis2016.",
        ),
    ] = None
    measures: Annotated[
        str | None,
        _option(
            _MEASURES,
            "NAMES",
            "Any of pixel,region,boundary,cause: pixel by pixel, object by object, how far surfaces"
            " are apart, and why pixels are wrong. Default: pixel; with --instances pixel,region.",
        ),
    ] = None
    instances: Annotated[
        bool, _flag(_MEASURES, "Labels are ids of objects, 0 is background.", "--instances")
    ] = False
    connectivity: Annotated[
        int | None,
        _whole(
            _MEASURES,
            "N",
            "Neighbours that make a region: 4 or 8 in images, 6, 18 or 26 in volumes; else all.",
        ),
    ] = None
    things: Annotated[
        str | None,
        _option(
            _MEASURES,
            "CLASSES",
            "car,person,...: classes of countable things; others are one region per image.",
        ),
    ] = None
    spacing: Annotated[
        str,
        _option(
            _MEASURES,
            "STEPS",
            "Size of a pixel along each array axis, for distances: auto (as the files say), pixel"
            " (1), or numbers such as 3,0.8,0.8.",
            show_default=True,
        ),
    ] = "auto"
    tolerance: Annotated[
        str | None,
        _option(
            _MEASURES,
            "DISTANCES",
            "Distances that are right in the surface Dice: 1,2 for all classes, or"
            " liver=3,tumour=1. In mm where files say a spacing, else in pixels; with a unit, as in"
            " 1,2mm or 2px, images of the other one are problems. Default: 1.",
        ),
    ] = None
    preset: Annotated[
        str | None,
        _option(
            _MEASURES,
            "TOOL",
            "Conventions of distances: deepmind, monai, medpy, metrics_reloaded, panoptica,"
            " seg_metrics, meshmetrics, distorch, simpleitk, torchmetrics, skimage.",
        ),
    ] = None
    boundary_ratio: Annotated[
        float | None,
        _real(
            _MEASURES,
            "SHARE",
            "Boundary PQ and AP beside PQ and AP: objects by Boundary IoU as well, with bands of"
            " this share of the image's diagonal (0.02 in the papers). For regions, --instances,"
            " coco-panoptic, cityscapes-panoptic, coco-instances; it is the width for --measures"
            " boundary, too.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What evaluate does with the result."""

    json: Annotated[
        Path | None, _option(_OUTPUT, "FILE", "Everything, as JSON; - for standard output.")
    ] = None
    csv: Annotated[
        Path | None,
        _option(
            _OUTPUT,
            "FOLDER",
            "per_image.csv, per_class.csv, per_image_per_class.csv, and the same for label groups;"
            " or a FILE.csv for the first alone.",
        ),
    ] = None
    cause_maps: Annotated[
        Path | None,
        _option(_OUTPUT, "FOLDER", "Maps of the causes of wrong pixels; with --measures cause."),
    ] = None
    fail_under: Annotated[
        list[str] | None,
        _option(
            _OUTPUT,
            "SCORE=X",
            "Exit with 1 if mean_iou=0.75, or iou:road=0.9, is not reached; repeatable.",
        ),
    ] = None
    fail_over: Annotated[
        list[str] | None,
        _option(
            _OUTPUT,
            "DISTANCE=X",
            "Exit with 1 if mean_hd95_per_image=5 is exceeded, or infinite for an image;"
            " repeatable.",
        ),
    ] = None
    worst: Annotated[
        int, _whole(_OUTPUT, "N", "How many of the worst images to list.", show_default=True)
    ] = 5


@dataclass(frozen=True, kw_only=True)
class Running:
    """How evaluate runs."""

    missing: Annotated[
        str,
        _option(_FILES, "RULE", "Files without a partner: report, raise.", show_default=True),
    ] = "report"
    threads: Annotated[
        int, _whole(_RUNNING, "N", "Threads; 0 means as many as are allowed.", show_default=True)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How much check reads."""

    sample: Annotated[
        int, _whole(_RUNNING, "N", "Pairs whose labels are read; 0 means all.", show_default=True)
    ] = 32


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a command looks."""

    quiet: Annotated[bool, _flag(_RUNNING, "No tables, no progress.", "--quiet", "-q")] = False
    no_color: Annotated[
        bool, _flag(_RUNNING, "No colors; the variable NO_COLOR does the same.", "--no-color")
    ] = False
    debug: Annotated[bool, _flag(_RUNNING, "Show where an error arose.", "--debug")] = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where demo puts its files."""

    directory: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to put the pictures.")
    ] = Path("segmeter-demo")


def reads(*groups: type) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a function of option groups a function of their fields, as typer wants it.

    The fields of every group become the parameters typer sees; the decorated function receives
    one instance of each group, in order.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        def run(**values: Any) -> int:
            return command(
                *(
                    group(**{field.name: values[field.name] for field in fields(group)})
                    for group in groups
                )
            )

        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        run.__annotations__ = {}
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter for group in groups for parameter in _parameters(group)]
        )
        return run

    return decorate


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]

"""Every public function of every family has a plain twin in ``segmeter.reference``."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import pytest

from segmeter import reference

FAMILIES = ("pixel", "region", "boundary", "cause", "loss")

# Twins of pixel scores take label maps, not matrices: their module has a name of its own.
MODULES = {"scores": "pixel"}

# Counts and scores whose twin does both steps at once, or gives several scores.
UNDER_ANOTHER_NAME = {
    "aggregated_jaccard_counts": "region_scores.aggregated_jaccard_index",
    "best_dice_counts": "region_scores.symmetric_best_dice",
    "cell_tracking_counts": "region_scores.cell_tracking",
    "cell_tracking_seg": "region_scores.cell_tracking",
    "coco_average_precision": "region_coco.coco_curves",
    "coco_counts": "region_coco.coco_outcomes",
    "component_iou_counts": "region_scores.component_iou",
    "count_error_counts": "region_scores.count_errors",
    "mean_component_iou": "region_scores.component_iou",
    "object_counts": "region_scores.object_dice",
    "object_pairs": "region_scores.object_dice",
    "partition_counts": "region_scores.pairs_of_pixels",
    "split_merge_information": "region_scores.conditional_entropy",
    # Surfaces: one twin has every score of a case.
    **dict.fromkeys(
        (
            *("asd", "assd", "boundary_scores", "hausdorff_distance", "masd", "nsd"),
            "surface_overlap",
        ),
        "boundary_scores.surface_scores",
    ),
    "boundary_counts": "boundary_scores.histogram",
    "dataset_nsd": "boundary_scores.overlap",
    # Quotients of counts that have a twin.
    "boundary_displacement": "boundary_band.displacement_counts",
    "boundary_iou": "boundary_band.boundary_iou_counts",
    "trimap_iou": "boundary_band.trimap_counts",
    **dict.fromkeys(
        ("boundary_f_score", "boundary_precision", "boundary_recall"),
        "boundary_band.boundary_f_counts",
    ),
}

WITHOUT = {
    "clear_buffers": "memory, no number",
    "evaluate": "runs a formula; every formula has a twin",
    "known_defects": "a list of texts",
    "loss_profile": "evaluates losses, which have twins, along a line",
    "scores": "collects the other functions, each with a twin",
    "set_buffer_limit": "memory, no number",
}


def public_functions(family: str) -> set[str]:
    """Names under which functions are exported; another name for one of them counts as that one."""
    module = import_module(f"segmeter.{family}")
    functions = [getattr(module, name) for name in module.__all__]
    return {function.__name__ for function in functions if inspect.isfunction(function)}


def twins(family: str) -> dict[str, set[str]]:
    """Names of the functions of each reference module of a family."""
    found = {}
    for module in pkgutil.iter_modules(reference.__path__):
        if MODULES.get(module.name, module.name).split("_")[0] == family:
            members = vars(import_module(f"segmeter.reference.{module.name}"))
            found[module.name] = {name for name, o in members.items() if inspect.isfunction(o)}
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_every_public_function_has_a_twin(family: str) -> None:
    modules = twins(family)
    by_name = set().union(*modules.values())
    public = public_functions(family)
    assert public
    missing = [
        name
        for name in sorted(public - by_name - WITHOUT.keys())
        if (other := UNDER_ANOTHER_NAME.get(name)) is None
        or other.split(".")[1] not in modules.get(other.split(".")[0], ())
    ]
    assert not missing, f"no twin in segmeter.reference: {', '.join(missing)}"


def test_exceptions_are_public_functions_without_a_twin_of_their_name() -> None:
    exceptions = WITHOUT.keys() | UNDER_ANOTHER_NAME.keys()
    assert exceptions <= set().union(*map(public_functions, FAMILIES))
    for family in FAMILIES:
        named = set().union(*twins(family).values()) & public_functions(family)
        assert not exceptions & named, f"have a twin of their name: {exceptions & named}"

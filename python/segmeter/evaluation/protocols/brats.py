"""BraTS: lesion-wise Dice and HD95 of tumour regions, by the rules of 2023 and of 2026.

Labels 1 (necrosis), 2 (oedema) and 3 (enhancing tumour) form the groups WT, TC and ET; under the
rules of 2023 the enhancing tumour may also be 4, as it was until 2022. A case's score is that of
:func:`segmeter.lesion_scores_per_case`; the score of a data set is the mean over its cases.
Under the rules of 2026 there is also normalised surface Dice, at a tolerance of the smallest
spacing.

Source: for 2023 the lesion-wise evaluation of the challenge (Saluja et al.), for 2026
brats-evaluation 0.0.10, which runs on panoptica.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.region import (
    LESION_RULES,
    LesionCounts,
    LesionRules,
    lesion_scores,
    lesion_scores_per_case,
    lesion_wise,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Measure = Callable[[NDArray[Any], NDArray[Any], str, Sequence[float] | None], Measured]

GROUPS_2023 = {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (3, 4)}
GROUPS_2026 = {
    "snfh": (2,), "et": (3,), "netc": (1,), "rc": (4,), "tc": (1, 3), "wt": (1, 2, 3)
}  # fmt: skip
GROUPS_2026_MET = {"et": (3,), "rc": (4,), "tc": (1, 3), "wt": (1, 2, 3)}


@dataclass(frozen=True, slots=True)
class BratsCounts:
    """Lesions of one case or of many.

    Attributes
    ----------
    lesions : LesionCounts
    """

    lesions: LesionCounts

    def __add__(self, other: BratsCounts) -> BratsCounts:
        """Counts of both sets of cases."""
        return BratsCounts(self.lesions + other.lesions)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return self.lesions.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> BratsCounts:
        """Counts from what :meth:`to_arrays` gave."""
        return cls(LesionCounts.from_arrays(arrays))

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Lesion-wise scores of the groups, whose means are shown."""
        columns = self.class_scores()
        names = _score_columns(self.lesions.rules)
        return {f"mean_{name}": columns[name] for name in names} | {"mean_lesion_f1": columns["f1"]}

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of groups."""
        table = lesion_scores(self.lesions)
        columns = _score_columns(self.lesions.rules) | {
            "sensitivity": "sensitivity",
            "precision": "precision",
            "f1": "f1",
            "found": "tp",
            "missed": "fn",
            "invented": "fp",
            "left_out": "left_out",
        }
        return {
            shown: np.array([table[name][key] for name in self.lesions.group_names])
            for shown, key in columns.items()
        }

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: the groups are the classes here."""
        return {}

    def official(self) -> dict[str, Any]:
        """Scores of every case and group, under the names of the challenge's tables."""
        counts = self.lesions
        scores = lesion_scores_per_case(counts)
        shown = {_OFFICIAL[name]: name for name in _score_columns(counts.rules).values()}
        counted = counts.lesion_counted
        cases = []
        for case in range(counts.num_cases):
            row = {}
            for g, name in enumerate(counts.group_names):
                own = (counts.lesion_case == case) & (counts.lesion_group == g)
                found = counts.lesion_matches > 0
                false = (counts.pred_case == case) & (counts.pred_group == g)
                volume = counts.lesion_volume[own].sum() * counts.voxel_volume[case]
                row[name] = {
                    "Num_TP": int((own & counted & found).sum()),
                    "Num_FP": int((false & (counts.pred_matches == 0)).sum()),
                    "Num_FN": int((own & counted & ~found).sum()),
                    "GT_Complete_Volume": float(volume),
                } | {key: float(scores[name][score][case]) for key, score in shown.items()}
            cases.append(row)
        table = lesion_scores(counts)
        return {"cases": cases} | {
            key: {name: table[name][score] for name in table} for key, score in shown.items()
        }


_OFFICIAL = {
    "dice": "LesionWise_Score_Dice",
    "distance": "LesionWise_Score_HD95",
    "nsd": "LesionWise_Score_NSD",
}


def _score_columns(rules: LesionRules) -> dict[str, str]:
    """Columns of the lesion-wise scores, by name in :func:`segmeter.lesion_scores`."""
    columns = {"lesion_dice": "dice", "lesion_hd95": "distance"}
    return columns | ({"lesion_nsd": "nsd"} if rules.surface == "panoptica" else {})


def measure_with(rules: str, groups: Mapping[str, Sequence[int]]) -> Measure:
    """The measurement of one case under a set of rules.

    Examples
    --------
    >>> measure = measure_with("brats2023", GROUPS_2023)
    >>> target = np.full((8, 8, 8), 3)
    >>> measure(target, target, "case.nii.gz", None).scores["ET_lesion_dice"]
    1.0
    """

    def measure(
        pred: NDArray[Any], target: NDArray[Any], target_path: str, spacing: Sequence[float] | None
    ) -> Measured:
        warning = None
        if spacing is None:
            warning = f"{target_path}: no file says the spacing, so voxels are taken for 1 mm3"
        steps = 1.0 if spacing is None else spacing
        columns = _score_columns(LESION_RULES[rules])
        tolerance = float(np.min(steps)) if "lesion_nsd" in columns else None
        counts = lesion_wise(
            pred, target, rules=rules, groups=groups, spacing=steps, distance="hd95",
            tolerance=tolerance, threads=1,
        )  # fmt: skip
        per_case = lesion_scores_per_case(counts)
        scores = {
            f"{name}_{shown}": float(per_case[name][score][0])
            for name in groups
            for shown, score in columns.items()
        }
        return Measured(BratsCounts(counts), warning, scores)

    return measure


def _protocol(
    name: str, summary: str, rules: str, groups: Mapping[str, Sequence[int]]
) -> EvaluationProtocol:
    return EvaluationProtocol(
        name=name,
        summary=summary,
        source="the challenge's lesion-wise evaluation",
        class_names=tuple(groups),
        measure=measure_with(rules, groups),
        pixels=False,
        uses_spacing=True,
        score_names=tuple(
            f"mean_{name}" for name in (*_score_columns(LESION_RULES[rules]), "lesion_f1")
        ),
    )


PROTOCOLS = (
    _protocol(
        "brats2023-lesionwise", "BraTS 2023, lesion-wise: GLI, SSA, PED", "brats2023", GROUPS_2023
    ),
    _protocol(
        "brats2023-lesionwise-men", "BraTS 2023, lesion-wise: MEN", "brats2023-men", GROUPS_2023
    ),
    _protocol(
        "brats2023-lesionwise-met", "BraTS 2023, lesion-wise: MET", "brats2023-met", GROUPS_2023
    ),
    _protocol("brats2026", "BraTS 2026: GLI", "brats2026", GROUPS_2026),
    _protocol("brats2026-met", "BraTS 2026: metastases", "brats2026-met", GROUPS_2026_MET),
)

"""Groups of labels, overlapping or not, evaluated from the matrix of the labels themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import shown
from ._counts import Absent, Counts, MatrixLike, class_indices, exported
from ._summary import plain, score_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

Groups = Mapping[str, Sequence[int]]


def group_counts(matrix: MatrixLike, groups: Groups) -> NDArray[Any]:
    """Binary confusion matrices of unions of classes, such as the tumour regions WT, TC and ET.

    A pixel is in a group if its class is; groups may overlap. Every score of class 1 of the result
    is the score of the group: ``dice(group_counts(matrix, groups))[..., 1]``.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    groups : mapping of str to sequence of int
        Class indices of each group.

    Returns
    -------
    ndarray ``(..., G, 2, 2)``
        ``[[TN, FP], [FN, TP]]`` of each group in the mapping's order, int64 or float64 (types as
        in :func:`true_positives`). A void prediction is outside of every group.

    Raises
    ------
    ValueError
        If there is no group, or one is empty, out of range or names a class twice.

    Examples
    --------
    >>> group_counts([[5, 1, 0], [2, 4, 1], [0, 3, 6]], {"any": [1, 2], "core": [2]})
    array([[[ 5,  1],
            [ 2, 14]],
           [[12,  1],
            [ 3,  6]]])
    """
    counts = Counts.of(matrix)
    if not isinstance(groups, Mapping):
        raise TypeError(f"groups must map names to class indices, got {shown(groups)}")
    if not groups:
        raise ValueError("groups must name at least one group, got an empty mapping")
    values = counts.matrix
    result = np.zeros((*values.shape[:-2], len(groups), 2, 2), values.dtype)
    for g, (name, members) in enumerate(groups.items()):
        chosen = list(members) if isinstance(members, Set) else members
        inside = class_indices(chosen, counts.num_classes, f"groups[{name!r}]")
        for i, rows in enumerate((np.setdiff1d(np.arange(values.shape[-2]), inside), inside)):
            sums = values[..., rows, :].sum(axis=-2)
            for j, columns in enumerate(
                (np.setdiff1d(np.arange(values.shape[-1]), inside), inside)
            ):
                result[..., g, i, j] = sums[..., columns].sum(axis=-1)
    return exported(result)


def group_scores(
    matrix: MatrixLike, groups: Groups, *, absent: Absent = "nan"
) -> dict[str, dict[str, Any]]:
    """Counts and scores of unions of classes: for each group what :func:`scores` has per class.

    Parameters
    ----------
    matrix, groups
        As in :func:`group_counts`.
    absent : {"nan", "zero", "one", "raise"}
        Value where no pixel of either map is in the group; see :func:`iou`.

    Returns
    -------
    dict of str to dict
        Group name to score name to float (int for counts; arrays ``(...)`` for a batch).

    Examples
    --------
    >>> result = group_scores([[5, 1, 0], [2, 4, 1], [0, 3, 6]], {"any": [1, 2], "core": [2]})
    >>> round(result["core"]["dice"], 3)
    0.75
    """
    table = score_table(Counts.of(group_counts(matrix, groups)), absent)
    return {
        name: {key: plain(values[..., g, 1]) for key, values in table.items()}
        for g, name in enumerate(groups)
    }

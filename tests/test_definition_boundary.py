"""What the boundary family promises, tested from the definitions alone.

Written against the definitions of the scores and the documented interface, without a look at the
implementation. The oracle pads maps, compares shifted copies, measures every point with every other
one, and reduces the distances with plain NumPy; other numbers were worked out by hand.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import segmeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

ndimage = pytest.importorskip("scipy.ndimage")

VOID = 255
INF = math.inf
RULES = ("corner", "voxel_face", "voxel_full", "foreground", "face_mesh")
POINT_RULES = RULES[:-1]
few = settings(max_examples=60)
fewer = settings(max_examples=25)


# ---------------------------------------------------------------------------------- the oracle


def drawn(text: str) -> NDArray[np.int64]:
    """Label map of a drawing, its rows apart by blanks."""
    signs = {".": 0, "#": VOID}
    return np.array([[signs.get(s) if s in signs else int(s) for s in row] for row in text.split()])


def steps(ndim: int) -> Iterator[tuple[int, ...]]:
    """All positions of a block of two pixels along every axis."""
    return itertools.product((0, 1), repeat=ndim)


def moved(padded: NDArray[Any], step: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    """The part of that shape which begins at a step."""
    return padded[tuple(slice(s, s + n) for s, n in zip(step, shape, strict=True))]


def surface(mask: NDArray[Any], ignored: NDArray[Any], rule: str, border: str) -> NDArray[np.bool_]:
    """Points of the surface, true on the grid of pixels or, one longer, of corners."""
    mask = mask & ~ignored
    mode: Any = "constant" if border == "background" else "edge"
    padded, unknown = np.pad(mask, 1, mode=mode), np.pad(ignored, 1, mode=mode)
    if rule == "foreground":
        return mask
    if rule == "corner":
        shape = tuple(n + 1 for n in mask.shape)
        blocks = [moved(padded, s, shape) for s in steps(mask.ndim)]
        near_unknown = np.any([moved(unknown, s, shape) for s in steps(mask.ndim)], axis=0)
        return np.any(blocks, axis=0) & ~np.all(blocks, axis=0) & ~near_unknown
    found = np.zeros_like(mask)
    for step in itertools.product((0, 1, 2), repeat=mask.ndim):
        if rule == "voxel_face" and sum(s != 1 for s in step) != 1:
            continue
        found |= ~moved(padded, step, mask.shape) & ~moved(unknown, step, mask.shape)
    return found & mask


def nearest(a: NDArray[Any], b: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """From every point of one set the distance to the nearest of the other, by looking at all."""
    here, there = np.argwhere(a), np.argwhere(b)
    if not len(there):
        return np.full(len(here), INF)
    squares = np.zeros((len(here), len(there)))
    for axis, step in enumerate(spacing):
        way = (here[:, None, axis] - there[None, :, axis]) * np.float64(step)
        squares = squares + way * way
    return np.sqrt(squares.min(axis=1))


def element_lengths(mask: NDArray[Any], border: str, spacing: tuple[float, ...]) -> NDArray[Any]:
    """Length of marching squares' line in the cell around each corner, in 2-D."""
    mode: Any = "constant" if border == "background" else "edge"
    padded = np.pad(mask, 1, mode=mode)
    shape = tuple(n + 1 for n in mask.shape)
    a, b, c, d = (moved(padded, s, shape).astype(int) for s in steps(2))
    slanted = math.hypot(spacing[0] / 2, spacing[1] / 2)
    total = a + b + c + d
    length = np.where((total == 1) | (total == 3), slanted, 0.0)
    halves = total == 2
    length = np.where(halves & (a == b), spacing[1], length)  # a row inside, a row outside
    length = np.where(halves & (a == c), spacing[0], length)
    return np.where(halves & (a == d), 2 * slanted, length)


def face_shares(mask: NDArray[Any], border: str, spacing: tuple[float, ...]) -> NDArray[Any]:
    """Every face between inside and outside, divided among its corners."""
    mode: Any = "constant" if border == "background" else "edge"
    padded = np.pad(mask, 1, mode=mode)
    shares = np.zeros([n + 1 for n in mask.shape])
    for axis in range(mask.ndim):
        others = [k for k in range(mask.ndim) if k != axis]
        share = math.prod(spacing[k] for k in others) / 2 ** len(others)
        faces = np.diff(padded.astype(int), axis=axis) != 0
        for step in itertools.product((0, 1), repeat=len(others)):
            start = np.insert(np.array(step, int), axis, 0)
            shares += share * moved(faces, tuple(start), shares.shape)
    return shares


def mesh_2d(mask: NDArray[Any], ignored: NDArray[Any], border: str) -> NDArray[np.float64]:
    """First and last corner of every edge between inside and outside, (M, 2, 2)."""
    beyond = int(border == "background")
    padded, unknown = np.pad(mask & ~ignored, beyond), np.pad(ignored, beyond)
    edges = [np.zeros((0, 2, 2))]
    for axis in (0, 1):
        between = np.diff(padded.astype(int), axis=axis) != 0
        known = ~unknown
        between &= np.delete(known, 0, axis) & np.delete(known, -1, axis)
        along = np.eye(2, dtype=int)[1 - axis]
        first = np.argwhere(between) + np.eye(2, dtype=int)[axis]
        edges.append(np.stack([first, first + along], axis=1))
    return np.concatenate(edges)


def mesh_3d(mask: NDArray[Any]) -> NDArray[np.float64]:
    """First and last corner of every face between inside and outside, (M, 2, 3)."""
    faces = [np.zeros((0, 2, 3))]
    for axis, normal in enumerate(np.eye(3, dtype=int)):
        first = np.argwhere(np.diff(np.pad(mask, 1).astype(int), axis=axis) != 0) + normal
        faces.append(np.stack([first, first + 1 - normal], axis=1))
    return np.concatenate(faces)


def to_boxes(
    points: NDArray[Any], boxes: NDArray[Any], spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    """Distance of each point to the nearest of some boxes, given by first and last corner."""
    if not len(boxes):
        return np.full(len(points), INF)
    here = points[:, None]
    beyond = np.maximum(np.maximum(boxes[None, :, 0] - here, here - boxes[None, :, 1]), 0)
    return np.asarray(np.sqrt(((beyond * spacing) ** 2).sum(-1)).min(axis=1))


def weighted_cdf(distance: NDArray[Any], weight: NDArray[Any], percentile: float) -> float:
    """The smallest distance within which that share of the weight lies."""
    order = np.argsort(distance, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    place = np.searchsorted(share, percentile / 100)
    return float(distance[order][min(place, len(distance) - 1)])


def percentile_of(pair: Any, rule: str, percentile: float) -> Any:
    """Percentile of the Hausdorff distance of two surfaces that exist."""
    forth, back = pair.pred_to_target, pair.target_to_pred
    if rule == "weighted_cdf":
        return max(
            weighted_cdf(forth, pair.pred_weight, percentile),
            weighted_cdf(back, pair.target_weight, percentile),
        )
    if rule == "pooled":
        return np.percentile(np.concatenate([forth, back]), percentile)
    both = [np.percentile(forth, percentile), np.percentile(back, percentile)]
    return max(both) if rule == "max_directed" else both


def directed_means(pair: Any) -> tuple[float, float]:
    """Mean distance from the predicted surface and from the target's."""
    return (
        float(np.average(pair.pred_to_target, weights=pair.pred_weight)),
        float(np.average(pair.target_to_pred, weights=pair.target_weight)),
    )


def shares_within(pair: Any, tolerance: float) -> tuple[float, float]:
    """Weight of each surface within a tolerance."""
    return (
        float(pair.pred_weight[pair.pred_to_target <= tolerance].sum()),
        float(pair.target_weight[pair.target_to_pred <= tolerance].sum()),
    )


def masks(ndim: int, longest: int = 7, shortest: int = 1) -> st.SearchStrategy[Any]:
    """Two masks of one shape, and spacings for it."""
    shapes = hnp.array_shapes(
        min_dims=ndim, max_dims=ndim, min_side=shortest, max_side=longest if ndim == 2 else 5
    )
    spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.25, 3.3])] * ndim)
    return shapes.flatmap(
        lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape), spacings)
    )


some_masks = st.one_of(masks(2), masks(3))


def label_maps(count: int, longest: int = 7) -> st.SearchStrategy[Any]:
    """Two maps of labels below ``count`` and a mask, of one shape, 2-D or 3-D."""
    return hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=longest).flatmap(
        lambda shape: st.tuples(
            hnp.arrays(np.uint8, shape, elements=st.integers(0, count - 1)),
            hnp.arrays(np.uint8, shape, elements=st.integers(0, count - 1)),
            hnp.arrays(bool, shape, elements=st.sampled_from([False, False, False, True])),
        )
    )


def check_pair(
    pair: Any, pred: NDArray[Any], target: NDArray[Any], spacing: tuple[float, ...]
) -> None:
    """Distances of one class, bit by bit, from the points on both sides."""
    assert_array_equal(pair.pred_to_target, nearest(pred, target, spacing))
    assert_array_equal(pair.target_to_pred, nearest(target, pred, spacing))
    assert pair.empty_pred == (not pred.any())
    assert pair.empty_target == (not target.any())
    for values in (pair.pred_to_target, pair.target_to_pred, pair.pred_weight, pair.target_weight):
        assert values.dtype == np.float64
    assert pair.pred_weight.shape == pair.pred_to_target.shape
    assert pair.target_weight.shape == pair.target_to_pred.shape


# -------------------------------------------------------------------- surfaces and distances


class TestSurfaceDistances:
    @few
    @given(some_masks, st.sampled_from(POINT_RULES), st.sampled_from(["background", "ignore"]))
    def test_points_and_distances_of_masks(self, case: Any, rule: Any, border: Any) -> None:
        pred, target, spacing = case
        no = np.zeros_like(pred)
        pair = segmeter.surface_distances(
            pred, target, spacing=spacing, surface=rule, border=border
        )[1]
        check_pair(
            pair, surface(pred, no, rule, border), surface(target, no, rule, border), spacing
        )
        if rule != "corner":
            assert (pair.pred_weight == 1).all()
            assert (pair.target_weight == 1).all()

    @few
    @given(label_maps(4), st.sampled_from(POINT_RULES), st.sampled_from(["background", "ignore"]))
    def test_all_classes_and_groups_with_ignored_pixels(
        self, case: Any, rule: Any, border: Any
    ) -> None:
        pred, target, ignored = case
        spacing = (0.7, 1.25, 3.3)[: pred.ndim]
        options = {"surface": rule, "border": border, "spacing": spacing, "num_classes": 4}
        whole = segmeter.surface_distances(pred, target, ignore_index=ignored, **options)
        every = segmeter.surface_distances(
            pred, target, ignore_index=ignored, background=None, **options
        )
        assert whole.classes == (1, 2, 3)
        assert every.classes == (0, 1, 2, 3)
        for k in every.classes:
            points = [surface(m == k, ignored, rule, border) for m in (pred, target)]
            check_pair(every[k], *points, spacing)
            if k:
                check_pair(whole[k], *points, spacing)
        groups = {"odd": (1, 3), "late": [2, 3], "one": [1]}
        grouped = segmeter.surface_distances(
            pred, target, ignore_index=ignored, groups=groups, **options
        )
        assert grouped.classes == ("odd", "late", "one")
        for name, members in groups.items():
            points = [surface(np.isin(m, members), ignored, rule, border) for m in (pred, target)]
            check_pair(grouped[name], *points, spacing)

    @few
    @given(label_maps(4))
    def test_ignored_label_and_its_mask_are_one(self, case: Any) -> None:
        pred, target, _ = case
        by_label = segmeter.surface_distances(pred, target, num_classes=4, ignore_index=3)
        by_mask = segmeter.surface_distances(
            pred, target, classes=[1, 2], num_classes=4, ignore_index=target == 3
        )
        assert by_label.classes == (1, 2)
        for k in (1, 2):
            points = [surface(m == k, target == 3, "corner", "background") for m in (pred, target)]
            check_pair(by_label[k], *points, (1.0,) * pred.ndim)
            assert_array_equal(by_label[k].pred_to_target, by_mask[k].pred_to_target)
            assert_array_equal(by_label[k].pred_weight, by_mask[k].pred_weight)

    @few
    @given(masks(2), st.sampled_from(["background", "ignore"]))
    def test_marching_squares(self, case: Any, border: Any) -> None:
        pred, target, spacing = case
        pair = segmeter.surface_distances(pred, target, spacing=spacing, border=border)[1]
        for mask, weight in ((pred, pair.pred_weight), (target, pair.target_weight)):
            points = surface(mask, np.zeros_like(mask), "corner", border)
            assert_allclose(weight, element_lengths(mask, border, spacing)[points], rtol=1e-14)

    @fewer
    @given(case=masks(3))
    def test_marching_cubes(self, case: Any, peer: Callable[[str], ModuleType]) -> None:
        area_of_code = peer(
            "surface_distance.lookup_tables"
        ).create_table_neighbour_code_to_surface_area
        pred, target, spacing = case
        areas = np.array(area_of_code(spacing))
        pair = segmeter.surface_distances(pred, target, spacing=spacing)[1]
        shape = tuple(n + 1 for n in pred.shape)
        for mask, weight in ((pred, pair.pred_weight), (target, pair.target_weight)):
            code = np.zeros(shape, int)
            for bit, step in enumerate(steps(3)):
                code += moved(np.pad(mask, 1), step, shape) * (128 >> bit)
            points = (code != 0) & (code != 255)
            assert_allclose(weight, areas[code[points]], rtol=1e-12)

    @few
    @given(some_masks, st.sampled_from(["background", "ignore"]))
    def test_face_shares(self, case: Any, border: Any) -> None:
        pred, target, spacing = case
        pair = segmeter.surface_distances(
            pred, target, spacing=spacing, border=border, weights="face_share"
        )[1]
        for mask, weight in ((pred, pair.pred_weight), (target, pair.target_weight)):
            points = surface(mask, np.zeros_like(mask), "corner", border)
            assert_allclose(weight, face_shares(mask, border, spacing)[points], rtol=1e-12)

    @few
    @given(masks(2), st.sampled_from(["background", "ignore"]), st.booleans())
    def test_face_mesh_in_2d(self, case: Any, border: Any, ignoring: bool) -> None:
        pred, target, spacing = case
        ignored = np.zeros_like(pred)
        if ignoring:
            ignored[len(pred) // 2] = True
        pair = segmeter.surface_distances(
            pred,
            target,
            spacing=spacing,
            border=border,
            surface="face_mesh",
            ignore_index=ignored,
        )[1]
        a, b = (mesh_2d(m, ignored, border) for m in (pred, target))
        for mine, other, far, weight in (
            (a, b, pair.pred_to_target, pair.pred_weight),
            (b, a, pair.target_to_pred, pair.target_weight),
        ):
            length = np.where(mine[:, 0, 0] != mine[:, 1, 0], spacing[0], spacing[1])
            expected = to_boxes(mine.mean(axis=1), other, spacing)
            order, mine_order = np.lexsort([far, weight]), np.lexsort([expected, length])
            assert_allclose(far[order], expected[mine_order], rtol=1e-14)
            assert_allclose(weight[order], length[mine_order], rtol=1e-14)

    @fewer
    @given(masks(3))
    def test_face_mesh_in_3d(self, case: Any) -> None:
        """Triangles of one diagonal: their centres at a third and two thirds along both sides."""
        pred, target, spacing = case
        pair = segmeter.surface_distances(pred, target, spacing=spacing, surface="face_mesh")[1]
        a, b = mesh_3d(pred), mesh_3d(target)
        for mine, other, far, weight in (
            (a, b, pair.pred_to_target, pair.pred_weight),
            (b, a, pair.target_to_pred, pair.target_weight),
        ):
            sides = mine[:, 1] - mine[:, 0]
            area = np.prod(np.where(sides == 0, 1, sides * spacing), axis=1) / 2
            centres = [mine[:, 0] + part * sides for part in (1 / 3, 2 / 3)]
            expected = to_boxes(np.concatenate(centres), other, spacing)
            assert_allclose(np.sort(far), np.sort(expected), rtol=1e-12, atol=1e-12)
            assert_allclose(np.sort(weight), np.sort(np.tile(area, 2)), rtol=1e-12)

    def test_face_mesh_of_voxels(self) -> None:
        """Triangles of a voxel beside another: centres are at thirds of their faces."""
        one = np.zeros((3, 3, 4), bool)
        one[1, 1, 1] = True
        pair = segmeter.surface_distances(
            np.roll(one, 1, axis=2), one, surface="face_mesh", spacing=(2, 1, 3)
        )[1]
        assert_array_equal(pair.pred_to_target, pair.target_to_pred[::-1])
        # shared face: 0; far face: 3; on the four sides 1 and 2 thirds of 3, twice each
        assert_allclose(
            np.sort(pair.pred_to_target), [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3], rtol=1e-14
        )
        assert_allclose(np.sort(pair.pred_weight), [1] * 4 + [1.5] * 4 + [3] * 4)

    @few
    @given(some_masks)
    def test_corners_counted(self, case: Any) -> None:
        pred, target, spacing = case
        pair = segmeter.surface_distances(pred, target, spacing=spacing, weights="count")[1]
        assert (pair.pred_weight == 1).all()
        assert (pair.target_weight == 1).all()

    def test_single_voxel_is_an_octahedron(self) -> None:
        one, none = np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
        one[1, 1, 1] = True
        a, b, c = 2.0, 1.0, 0.5
        pair = segmeter.surface_distances(one, none, spacing=(a, b, c))[1]
        p, q, r = a / 2, b / 2, c / 2  # triangle through the middles of three edges
        triangle = math.sqrt((p * q) ** 2 + (q * r) ** 2 + (p * r) ** 2) / 2
        assert_allclose(pair.pred_weight, [triangle] * 8, rtol=1e-14)
        assert (pair.pred_to_target == INF).all()
        assert pair.target_to_pred.shape == (0,)
        shares = segmeter.surface_distances(one, none, spacing=(a, b, c), weights="face_share")[1]
        assert_allclose(shares.pred_weight, [(a * b + b * c + a * c) / 4] * 8, rtol=1e-14)

    def test_flat_plate_in_the_middle(self) -> None:
        """The elements of a plane are flat: each corner has the area of a pixel's face."""
        half = np.zeros((4, 3, 3), bool)
        half[:2] = True
        pair = segmeter.surface_distances(half, half, spacing=(3, 2, 0.5), border="ignore")[1]
        assert_array_equal(pair.pred_weight, np.full(16, 1.0))

    @pytest.mark.parametrize(
        ("rule", "count"), [("corner", 12), ("voxel_face", 6), ("voxel_full", 6), ("foreground", 6)]
    )
    def test_full_mask_has_a_surface_at_the_border(self, rule: Any, count: int) -> None:
        full = np.ones((2, 3), bool)
        pair = segmeter.surface_distances(full, full, surface=rule)[1]
        corners = 10 if rule == "corner" else count  # 3 * 4 corners but for the two in the middle
        assert len(pair.pred_to_target) == corners
        open_ended = segmeter.surface_distances(full, full, surface=rule, border="ignore")[1]
        assert len(open_ended.pred_to_target) == (6 if rule == "foreground" else 0)

    def test_one_pixel_thick_axes(self) -> None:
        """A length-1 axis is an axis: above and below the slice is background."""
        one = np.zeros((1, 4, 4), bool)
        one[0, 1:3, 1:3] = True
        both = np.roll(one, 1, axis=2)
        corner = segmeter.surface_distances(both, one, spacing=(5, 1, 1))[1]
        assert len(corner.pred_to_target) == 18  # two layers of 3 x 3 corners
        full = np.ones((1, 5, 5), bool)
        face = segmeter.surface_distances(full, full, surface="voxel_face")[1]
        assert len(face.pred_to_target) == 25
        flat = segmeter.surface_distances(full[0], full[0], surface="voxel_face")[1]
        assert len(flat.pred_to_target) == 16

    def test_far_apart(self) -> None:
        a, b = np.zeros((70, 70, 70), bool), np.zeros((70, 70, 70), bool)
        a[0, 0, 0] = b[69, 69, 69] = True
        got = segmeter.hausdorff_distance(a, b, spacing=(0.3, 2, 1.1), surface="voxel_face")
        assert got == math.sqrt(((69 * 0.3) ** 2 + (69 * 2.0) ** 2) + (69 * 1.1) ** 2)

    def test_in_raster_order(self) -> None:
        pred, target = drawn("1... .... ...1"), drawn("1... .... 1...")
        pair = segmeter.surface_distances(pred, target, surface="voxel_face")[1]
        assert_array_equal(pair.pred_to_target, [0, 3])
        assert_array_equal(pair.target_to_pred, [0, 2])

    def test_noise_equals_the_distance_transform(self) -> None:
        """Larger than the search reaches, dense and sparse: bit by bit what SciPy has."""
        rng = np.random.default_rng(4)
        for shape, share in (((150, 170), 0.5), ((40, 45, 50), 0.5), ((40, 45, 50), 2e-4)):
            spacing = (2.5, 0.7, 0.9)[-len(shape) :]
            pred, target = rng.random((2, *shape)) < share
            pred[0] = False
            pair = segmeter.surface_distances(pred, target, spacing=spacing, surface="voxel_full")[
                1
            ]
            no = np.zeros_like(pred)
            a, b = (surface(m, no, "voxel_full", "background") for m in (pred, target))
            exact = ndimage.distance_transform_edt(~b, sampling=spacing)
            assert_array_equal(pair.pred_to_target, exact[a])

    def test_classes_by_value(self) -> None:
        pred, target = drawn("7..9 7..9"), drawn("7... 77.5")
        found = segmeter.surface_distances(pred, target, classes=[9, 7, 3])
        assert found.classes == (9, 7, 3)
        assert found[9].empty_target
        assert not found[9].empty_pred
        assert found[3].empty_pred
        assert found[3].empty_target
        assert found[3].pred_to_target.shape == (0,)
        assert found[7].target_to_pred.max() == 1

    def test_label_table(self) -> None:
        pred, target = drawn("3388"), drawn("3888")
        by_table = segmeter.surface_distances(pred, target, num_classes=3, labels={3: 1, 8: 2})
        plain = segmeter.surface_distances(
            (pred == 3) + 2 * (pred == 8), (target == 3) + 2 * (target == 8), num_classes=3
        )
        for k in (1, 2):
            assert_array_equal(by_table[k].pred_to_target, plain[k].pred_to_target)

    def test_diagonal(self) -> None:
        some = np.eye(3, 4, dtype=int)
        found = segmeter.surface_distances(some, some, spacing=(2, 2))
        assert found.diagonal == pytest.approx(10)


# ---------------------------------------------------------------------------------- scores


BAR, SQUARE = drawn("...... .11... .11... .11... .11... ......"), np.zeros((6, 6), np.int64)
SQUARE[1:5, 1:5] = 1


class TestScores:
    @few
    @given(
        some_masks,
        st.sampled_from(RULES),
        st.sampled_from(["weighted_cdf", "max_directed", "pooled", "directed"]),
        st.sampled_from([0, 1, 5, 37.5, 50, 90, 95, 99, 100]),
    )
    def test_percentiles(self, case: Any, rule: Any, how: Any, percentile: float) -> None:
        pred, target, spacing = case
        pair = segmeter.surface_distances(pred, target, spacing=spacing, surface=rule)[1]
        got = segmeter.hausdorff_distance(
            pred,
            target,
            percentile=percentile,
            percentile_rule=how,
            spacing=spacing,
            surface=rule,
        )
        if pair.empty_pred and pair.empty_target:
            assert_array_equal(got, 0)
        elif pair.empty_pred or pair.empty_target:
            assert_array_equal(got, INF)
        else:
            assert_allclose(got, percentile_of(pair, how, percentile), rtol=1e-13)

    @few
    @given(some_masks, st.sampled_from(RULES), st.sampled_from([0, 0.7, 1, 1.25, 2, 5]))
    def test_means_and_overlaps(self, case: Any, rule: Any, tolerance: float) -> None:
        pred, target, spacing = case
        found = segmeter.surface_distances(pred, target, spacing=spacing, surface=rule)
        pair = found[1]
        if pair.empty_pred or pair.empty_target:
            return
        forth, back = directed_means(pair)
        whole = pair.pred_weight.sum(), pair.target_weight.sum()
        pooled = (forth * whole[0] + back * whole[1]) / sum(whole)
        options = {"spacing": spacing, "surface": rule}
        close = {"rtol": 1e-12, "atol": 1e-15}
        assert_allclose(segmeter.asd(pred, target, **options), forth, **close)
        assert_allclose(
            segmeter.asd(pred, target, direction="target_to_pred", **options), back, **close
        )
        assert_allclose(segmeter.masd(pred, target, **options), (forth + back) / 2, **close)
        for how, value in (
            ("pooled", pooled),
            ("mean_of_directed", (forth + back) / 2),
            ("max_of_directed", max(forth, back)),
            ("directed", [forth, back]),
        ):
            got = segmeter.assd(pred, target, mean_rule=how, **options)
            assert_allclose(got, value, **close)
            assert_allclose(segmeter.assd(found, mean_rule=how)[0], value, **close)
        near = shares_within(pair, tolerance)
        assert_allclose(
            segmeter.nsd(pred, target, tolerance=tolerance, **options),
            sum(near) / sum(whole),
            **close,
        )
        shares = near[0] / whole[0], near[1] / whole[1]
        assert_allclose(
            segmeter.nsd(
                pred, target, tolerance=tolerance, overlap_rule="mean_of_directed", **options
            ),
            sum(shares) / 2,
            **close,
        )
        for share, way in zip(shares, ("pred_to_target", "target_to_pred"), strict=True):
            got = segmeter.surface_overlap(
                pred, target, tolerance=tolerance, direction=way, **options
            )
            assert_allclose(got, share, **close)

    def test_by_hand(self) -> None:
        """Two columns of a square of four: 8 outline pixels against 12."""
        options = {"surface": "voxel_face", "spacing": (1, 0.5)}
        # from the target: 0 for the 2 columns but their inner pixels, see the rows one by one
        #   row 1: 0 0 .5 1     row 2: 0 . . 1    row 3: 0 . . 1    row 4: 0 0 .5 1
        back = [0, 0, 0.5, 1, 0, 1, 0, 1, 0, 0, 0.5, 1]
        # the inner column of the bar is .5 from its neighbour's right, or 1 from above
        forth = [0, 0, 0, 0.5, 0, 0.5, 0, 0]
        pair = segmeter.surface_distances(BAR, SQUARE, **options)[1]
        assert_array_equal(pair.target_to_pred, back)
        assert_array_equal(pair.pred_to_target, forth)
        assert segmeter.hausdorff_distance(BAR, SQUARE, **options) == 1
        assert segmeter.asd(BAR, SQUARE, **options) == 1 / 8
        assert segmeter.asd(BAR, SQUARE, direction="target_to_pred", **options) == 5 / 12
        assert segmeter.assd(BAR, SQUARE, **options) == 6 / 20
        assert segmeter.masd(BAR, SQUARE, **options) == pytest.approx(13 / 48)
        assert segmeter.nsd(BAR, SQUARE, tolerance=0.5, **options) == 16 / 20
        assert segmeter.nsd(BAR, SQUARE, tolerance=0.49, **options) == 12 / 20
        for tolerance, shares in ((0, (6 / 8, 6 / 12)), (0.5, (1, 8 / 12)), (1, (1, 1))):
            got = [
                segmeter.surface_overlap(BAR, SQUARE, tolerance=tolerance, direction=way, **options)
                for way in ("pred_to_target", "target_to_pred")
            ]
            assert_allclose(got, shares, rtol=1e-15)
        # 12 distances: rank 0.5 * 11 between 0 and .5; rank 0.95 * 11 is among the ones
        directed = segmeter.hausdorff_distance(
            BAR, SQUARE, percentile=[50, 95], percentile_rule="directed", **options
        )
        assert_allclose(directed, [[0, 0.25], [0.5, 1]], rtol=1e-15)

    def test_weighted_percentile_by_hand(self) -> None:
        """No interpolation: the first distance at which the share is reached, not passed."""
        target = np.zeros((3, 22), int)
        target[1, 1] = 1
        pred = np.zeros((3, 22), int)
        pred[1, 1:21] = 1
        options = {"surface": "voxel_face", "percentile_rule": "weighted_cdf"}
        for percentile, value in ((0, 0), (5, 0), (5.01, 1), (50, 9), (95, 18), (95.1, 19)):
            got = segmeter.hausdorff_distance(pred, target, percentile=percentile, **options)
            assert got == value

    def test_scores_of_all_kinds_at_once(self) -> None:
        rng = np.random.default_rng(1)
        pred, target = rng.integers(0, 4, (2, 9, 8, 7))
        options = {"num_classes": 5, "spacing": (2, 1, 0.5)}
        found = segmeter.surface_distances(pred, target, **options)
        scores = segmeter.surface_scores(
            pred, target, percentile=(50, 95), tolerance=(0, 1), **options
        )
        again = segmeter.surface_scores(found, percentile=(50, 95), tolerance=(0, 1))
        for name in ("hausdorff", "asd", "assd", "masd", "nsd", "surface_overlap", "weight"):
            assert_array_equal(getattr(scores, name), getattr(again, name))
        assert scores.classes == (1, 2, 3, 4)
        assert scores.spacing == (2, 1, 0.5)
        assert_array_equal(scores.hausdorff, segmeter.hausdorff_distance(found))
        assert_array_equal(
            scores.hausdorff_percentile, segmeter.hausdorff_distance(found, percentile=(50, 95))
        )
        assert_array_equal(scores.asd[:, 0], segmeter.asd(found))
        assert_array_equal(scores.asd[:, 1], segmeter.asd(found, direction="target_to_pred"))
        assert_array_equal(scores.assd, segmeter.assd(found))
        assert_array_equal(scores.masd, segmeter.masd(found))
        assert_array_equal(scores.nsd, segmeter.nsd(found, tolerance=(0, 1)))
        assert_array_equal(
            scores.surface_overlap[..., 0], segmeter.surface_overlap(found, tolerance=(0, 1))
        )
        assert_array_equal(scores.tolerances, [[0, 1]] * 4)
        assert_array_equal(scores.empty_pred, [False, False, False, True])
        for k, row in enumerate(scores.classes[:3]):
            pair = found[row]
            assert_array_equal(scores.points[k], [len(pair.pred_weight), len(pair.target_weight)])
            assert_allclose(scores.weight[k], [pair.pred_weight.sum(), pair.target_weight.sum()])
            assert_allclose(scores.within[k, 1], shares_within(pair, 1))

    def test_tolerance_of_every_class(self) -> None:
        pred, target = drawn("11.22 11.22"), drawn(".1122 .11.2")
        options = {"num_classes": 3, "surface": "voxel_face"}
        all_of_them = segmeter.nsd(pred, target, tolerance=[0, 1, 2], **options)
        assert all_of_them.shape == (2, 3)
        own = segmeter.nsd(pred, target, tolerance={2: 0, 1: 1}, **options)
        assert_array_equal(own, [all_of_them[0, 1], all_of_them[1, 0]])
        table = segmeter.nsd(pred, target, tolerance=np.array([[0, 2], [1, 0]]), **options)
        assert_array_equal(table, [all_of_them[0, [0, 2]], all_of_them[1, [1, 0]]])
        with pytest.raises((ValueError, TypeError), match="tolerance"):
            segmeter.nsd(pred, target, tolerance={1: 1}, **options)
        with pytest.raises((ValueError, TypeError), match="tolerance"):
            segmeter.nsd(pred, target, tolerance={1: 1, 2: 1, 3: 1}, **options)

    def test_a_number_for_masks_and_an_array_for_classes(self) -> None:
        assert isinstance(segmeter.hausdorff_distance(BAR, SQUARE), float)
        assert segmeter.hausdorff_distance(BAR, SQUARE, percentile=[95]).shape == (1,)
        assert segmeter.hausdorff_distance(BAR, SQUARE, num_classes=3).shape == (2,)
        assert segmeter.hausdorff_distance(BAR, SQUARE, classes=[1], percentile=[5, 9]).shape == (
            1,
            2,
        )
        assert segmeter.nsd(BAR, SQUARE, tolerance=1, groups={"a": [1]}, num_classes=2).shape == (
            1,
        )


class TestEmpty:
    nothing = np.zeros((4, 5), int)
    dot = drawn("..... ..1.. ..... .....")
    sides = (("pred", nothing, dot), ("target", dot, nothing), ("both", nothing, nothing))

    def distances(self, pred: Any, target: Any, **options: Any) -> list[Any]:
        options |= {"spacing": (3, 1)}
        return [
            segmeter.hausdorff_distance(pred, target, **options),
            segmeter.hausdorff_distance(pred, target, percentile=95, **options),
            segmeter.assd(pred, target, **options),
            segmeter.masd(pred, target, **options),
            segmeter.asd(pred, target, **options),
            segmeter.asd(pred, target, direction="target_to_pred", **options),
        ]

    def overlaps(self, pred: Any, target: Any, **options: Any) -> list[Any]:
        options |= {"tolerance": 1}
        return [
            segmeter.nsd(pred, target, **options),
            segmeter.surface_overlap(pred, target, **options),
            segmeter.surface_overlap(pred, target, direction="target_to_pred", **options),
        ]

    def test_default(self) -> None:
        """Both empty: perfect; one: infinitely far, and no overlap."""
        for side, pred, target in self.sides:
            assert self.distances(pred, target) == [0 if side == "both" else INF] * 6
            assert self.overlaps(pred, target) == [1 if side == "both" else 0] * 3

    @pytest.mark.parametrize(
        ("empty", "value"), [("inf", INF), (7.5, 7.5), ("diagonal", 13.0), ("nan", math.nan)]
    )
    def test_of_one_side(self, empty: Any, value: float) -> None:
        """The diagonal of 4 x 5 pixels of 3 x 1 is that of 12 x 5."""
        for side, pred, target in self.sides[:2]:
            assert_array_equal(self.distances(pred, target, empty=empty), [value] * 6)
            assert_array_equal(self.distances(pred, target, empty={side: empty}), [value] * 6)
            other = {"pred": "target", "target": "pred"}[side]
            assert_array_equal(self.distances(pred, target, empty={other: empty}), [INF] * 6)

    def test_of_both_sides(self) -> None:
        nothing = self.nothing
        for empty, value in (("inf", 0), (7.5, 0), ("diagonal", 0), ("nan", math.nan)):
            assert_array_equal(self.distances(nothing, nothing, empty=empty), [value] * 6)
        for empty, value in (("inf", INF), (7.5, 7.5), ("diagonal", 13.0), ("nan", math.nan)):
            assert_array_equal(self.distances(nothing, nothing, empty={"both": empty}), [value] * 6)

    def test_overlap_where_distances_are_chosen(self) -> None:
        for side, pred, target in self.sides:
            for empty in ("inf", 7.5, "diagonal"):
                assert self.overlaps(pred, target, empty=empty) == [1 if side == "both" else 0] * 3
            assert_array_equal(self.overlaps(pred, target, empty="nan"), [math.nan] * 3)

    def test_raise(self) -> None:
        for _, pred, target in self.sides:
            for score in (segmeter.hausdorff_distance, segmeter.assd, segmeter.masd, segmeter.asd):
                with pytest.raises(ValueError, match=r"empty|surface"):
                    score(pred, target, empty="raise")
            with pytest.raises(ValueError, match=r"empty|surface"):
                segmeter.nsd(pred, target, tolerance=1, empty="raise")
        assert segmeter.hausdorff_distance(self.dot, self.dot, empty="raise") == 0

    @pytest.mark.parametrize("empty", ["zero", -1, (), {"neither": 1}, {"both": "x"}, True, None])
    def test_unknown(self, empty: Any) -> None:
        if empty is None:
            assert segmeter.hausdorff_distance(self.dot, self.nothing, empty=None) == INF
            return
        with pytest.raises((ValueError, TypeError), match="empty"):
            segmeter.hausdorff_distance(self.dot, self.dot, empty=empty)

    @pytest.mark.parametrize(
        ("preset", "one", "both"),
        [  # HD, HD95, ASSD, NSD as the tools have them
            ("deepmind", (INF, INF, None, 0), (INF, None, None, math.nan)),
            ("monai", (INF, math.nan, INF, 0), (math.nan, math.nan, math.nan, math.nan)),
            ("metrics_reloaded", (math.nan, math.nan, math.nan, 0), (0, 0, 0, 1)),
            ("seg_metrics", (0, 0, 0, None), (0, 0, 0, None)),
            ("distorch", (math.nan, math.nan, math.nan, None), (math.nan,) * 3 + (None,)),
            ("skimage", (INF, None, None, None), (0, None, None, None)),
            ("torchmetrics", (INF, None, None, None), "raise"),
            ("medpy", "raise", "raise"),
            ("panoptica", "raise", "raise"),
            ("simpleitk", "raise", "raise"),
        ],
    )
    def test_presets(self, preset: str, one: Any, both: Any) -> None:
        for side, pred, target in self.sides:
            expected = both if side == "both" else one
            scores = (
                lambda p, t: segmeter.hausdorff_distance(p, t, preset=preset),
                lambda p, t: segmeter.hausdorff_distance(p, t, percentile=95, preset=preset),
                lambda p, t: segmeter.assd(p, t, preset=preset),
                lambda p, t: segmeter.nsd(p, t, tolerance=1, preset=preset),
            )
            for k, score in enumerate(scores):
                if expected == "raise":
                    if k < 3:
                        with pytest.raises(ValueError, match=r"empty|surface"):
                            score(pred, target)
                elif expected[k] is not None:
                    assert_array_equal(score(pred, target), expected[k])

    def test_infinite_surfaces_leave_no_mean_unsaid(self) -> None:
        counts = segmeter.boundary_counts(self.dot, self.nothing) + segmeter.boundary_counts(
            self.dot, self.dot
        )
        mean = segmeter.boundary_scores(counts)["assd"]
        assert (mean.mean[0], mean.mean_of_finite[0]) == (INF, 0)
        assert (mean.num_cases[0], mean.num_infinite[0], mean.num_undefined[0]) == (2, 1, 0)
        undefined = segmeter.boundary_counts(self.dot, self.nothing, empty="nan") + (
            segmeter.boundary_counts(self.dot, self.dot, empty="nan")
        )
        mean = segmeter.boundary_scores(undefined)["hausdorff_percentile"]
        assert (mean.mean[0, 0], mean.num_cases[0, 0], mean.num_undefined[0, 0]) == (0, 1, 1)


# ------------------------------------------------------------------------------------ laws


class TestLaws:
    @few
    @given(some_masks, st.sampled_from(RULES), st.sampled_from(["background", "ignore"]))
    def test_identity(self, case: Any, rule: Any, border: Any) -> None:
        mask, _, spacing = case
        scores = segmeter.surface_scores(
            mask, mask, tolerance=0, surface=rule, border=border, spacing=spacing
        )
        for name in ("hausdorff", "hausdorff_percentile", "asd", "assd", "masd"):
            assert_array_equal(getattr(scores, name), np.zeros_like(getattr(scores, name)))
        assert (scores.nsd == 1).all()
        assert (scores.surface_overlap == 1).all()

    @few
    @given(some_masks, st.sampled_from(RULES))
    def test_symmetry_and_order(self, case: Any, rule: Any) -> None:
        pred, target, spacing = case
        options = {"surface": rule, "spacing": spacing, "tolerance": (0, 0.5, 1, 2, 4, 50)}
        options["percentile"] = (0, 50, 90, 95, 100)
        forth = segmeter.surface_scores(pred, target, **options)
        back = segmeter.surface_scores(target, pred, **options)
        for name in ("hausdorff", "hausdorff_percentile"):
            assert_array_equal(getattr(forth, name), getattr(back, name))
        for name in ("assd", "masd", "nsd"):
            assert_allclose(getattr(forth, name), getattr(back, name), rtol=1e-12)
        assert_array_equal(forth.asd[:, ::-1], back.asd)
        assert_array_equal(forth.surface_overlap[..., ::-1], back.surface_overlap)
        assert_array_equal(forth.points[:, ::-1], back.points)
        assert (forth.hausdorff[:, None] >= forth.hausdorff_percentile).all()
        assert_array_equal(forth.hausdorff, forth.hausdorff_percentile[:, -1])
        percentiles = forth.hausdorff_percentile[0]
        assert (percentiles[1:] >= percentiles[:-1]).all()
        assert (np.diff(forth.nsd) >= 0).all()
        assert ((forth.nsd >= 0) & (forth.nsd <= 1)).all()
        if pred.any() and target.any():
            assert (forth.nsd[0, -1] == 1) or rule != "foreground"
            rounding = 1e-12
            assert forth.assd[0] <= max(forth.asd[0]) + rounding
            assert max(forth.asd[0]) <= forth.hausdorff[0] + rounding

    @few
    @given(some_masks, st.sampled_from(RULES), st.sampled_from([2.0, 0.25, 1024.0]))
    def test_units(self, case: Any, rule: Any, factor: float) -> None:
        """In another unit distances are other numbers, and shares are not."""
        pred, target, spacing = case
        larger = tuple(factor * s for s in spacing)
        here = segmeter.surface_scores(
            pred, target, surface=rule, spacing=spacing, tolerance=(0.5, 2)
        )
        there = segmeter.surface_scores(
            pred, target, surface=rule, spacing=larger, tolerance=(0.5 * factor, 2 * factor)
        )
        for name in ("hausdorff", "hausdorff_percentile", "asd", "assd", "masd"):
            assert_allclose(getattr(there, name), factor * getattr(here, name), rtol=1e-12)
        assert_allclose(there.nsd, here.nsd, rtol=1e-12)

    @few
    @given(some_masks, st.sampled_from(POINT_RULES), st.data())
    def test_axes(self, case: Any, rule: Any, data: Any) -> None:
        """Turned or mirrored, a pair of masks is as far apart."""
        pred, target, spacing = case
        order = data.draw(st.permutations(range(pred.ndim)))
        flips = data.draw(st.sets(st.sampled_from(range(pred.ndim))))
        turned = [np.flip(m.transpose(order), tuple(flips)) for m in (pred, target)]
        here = segmeter.surface_scores(pred, target, surface=rule, spacing=spacing)
        there = segmeter.surface_scores(
            *turned, surface=rule, spacing=tuple(spacing[k] for k in order)
        )
        for name in ("hausdorff", "asd", "assd", "masd", "nsd", "weight"):
            assert_allclose(
                getattr(there, name), getattr(here, name), rtol=1e-9, atol=1e-12, err_msg=name
            )
        assert_array_equal(there.points, here.points)

    @fewer
    @given(some_masks, st.sampled_from(RULES))
    def test_more_background_changes_nothing(self, case: Any, rule: Any) -> None:
        pred, target, spacing = case
        here = segmeter.surface_distances(pred, target, surface=rule, spacing=spacing)[1]
        wider = segmeter.surface_distances(
            np.pad(pred, 3), np.pad(target, 3), surface=rule, spacing=spacing
        )[1]
        for name in ("pred_to_target", "target_to_pred", "pred_weight", "target_weight"):
            assert_array_equal(getattr(here, name), getattr(wider, name))

    @fewer
    @given(label_maps(3))
    def test_threads(self, case: Any) -> None:
        pred, target, ignored = case
        found = [
            segmeter.surface_distances(
                pred, target, num_classes=3, ignore_index=ignored, threads=threads
            )
            for threads in (1, 2, 3, 5)
        ]
        for other in found[1:]:
            for k in found[0].classes:
                for name in ("pred_to_target", "target_to_pred", "pred_weight", "target_weight"):
                    assert_array_equal(getattr(found[0][k], name), getattr(other[k], name))

    def test_threads_on_more(self) -> None:
        rng = np.random.default_rng(8)
        noise = ndimage.gaussian_filter(rng.random((3, 60, 70, 50)), (0, 3, 3, 3))
        pred = np.digitize(noise[0], np.quantile(noise[0], [0.5, 0.7, 0.9]))
        target = np.digitize(noise[0] + noise[1] / 4, np.quantile(noise[0] * 1.3, [0.5, 0.7, 0.9]))
        tables = [
            segmeter.boundary_counts(
                pred, target, num_classes=4, spacing=(2, 1, 1), threads=threads
            )
            for threads in (1, 2, 3, 5)
        ]
        bands = [
            segmeter.boundary_iou_counts(pred, target, num_classes=4, threads=threads)
            for threads in (1, 2, 3, 5)
        ]
        far = [
            segmeter.distance_transform(target, spacing=(2, 1, 1), labels=True, threads=threads)
            for threads in (1, 2, 3, 5)
        ]
        for k in (1, 2, 3):
            assert tables[0] == tables[k]
            assert_array_equal(bands[0].intersection, bands[k].intersection)
            assert_array_equal(far[0], far[k])


class TestLayouts:
    rng = np.random.default_rng(3)
    pred, target = rng.integers(0, 3, (2, 9, 10, 11))

    def check(self, pred: Any, target: Any) -> None:
        """By any road the same distances, weights and counts."""
        scores = segmeter.surface_scores(pred, target, num_classes=3, spacing=(3, 1, 0.5))
        first = segmeter.surface_scores(self.pred, self.target, num_classes=3, spacing=(3, 1, 0.5))
        for name in ("hausdorff", "hausdorff_percentile", "points"):
            assert_array_equal(getattr(scores, name), getattr(first, name))
        for name in ("asd", "assd", "masd", "nsd", "weight"):
            assert_allclose(getattr(scores, name), getattr(first, name), rtol=1e-12)
        band = segmeter.boundary_iou_counts(pred, target, num_classes=3, width_pixels=1)
        first_band = segmeter.boundary_iou_counts(
            self.pred, self.target, num_classes=3, width_pixels=1
        )
        assert_array_equal(band.intersection, first_band.intersection)
        assert_array_equal(band.pred, first_band.pred)
        outline = segmeter.boundary_f_counts(pred, target, num_classes=3, tolerance=1)
        assert outline == segmeter.boundary_f_counts(
            self.pred, self.target, num_classes=3, tolerance=1
        )
        near = segmeter.trimap_counts(pred, target, num_classes=3, widths=[1])
        assert near == segmeter.trimap_counts(self.pred, self.target, num_classes=3, widths=[1])
        assert_array_equal(
            segmeter.distance_transform(target, labels=True, spacing=(3, 1, 0.5)),
            segmeter.distance_transform(self.target, labels=True, spacing=(3, 1, 0.5)),
        )

    @pytest.mark.parametrize("kind", "bhilqBHILQ")
    def test_types(self, kind: str) -> None:
        self.check(self.pred.astype(kind), self.target.astype(">" + kind))

    def test_strides(self) -> None:
        wide = np.zeros((18, 30, 22), np.uint16)
        wide[::2, ::3, ::2] = self.pred
        self.check(wide[::2, ::3, ::2], np.asfortranarray(self.target))
        self.check(
            np.ascontiguousarray(self.pred[::-1, :, ::-1])[::-1, :, ::-1],
            np.ascontiguousarray(self.target.transpose(1, 2, 0)).transpose(2, 0, 1),
        )

    def test_read_only_and_lists(self) -> None:
        frozen = self.pred.copy()
        frozen.flags.writeable = False
        self.check(frozen, self.target.tolist())

    def test_inputs_stay_as_they_are(self) -> None:
        pred, target = self.pred.copy(), self.target.copy()
        self.check(pred, target)
        assert_array_equal(pred, self.pred)
        assert_array_equal(target, self.target)

    def test_unaligned(self) -> None:
        raw = np.zeros(self.pred.size * 4 + 1, np.uint8)
        odd = raw[1:].view(np.int32).reshape(self.pred.shape)
        odd[:] = self.pred
        self.check(odd, self.target)

    @pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 4), (0, 3, 4)])
    def test_without_a_pixel(self, shape: tuple[int, ...]) -> None:
        no = np.zeros(shape, int)
        for rule in RULES:
            pair = segmeter.surface_distances(no, no, surface=rule)[1]
            assert pair.pred_to_target.shape == pair.target_to_pred.shape == (0,)
        assert segmeter.hausdorff_distance(no, no) == 0
        assert segmeter.nsd(no, no, tolerance=1) == 1
        assert_array_equal(segmeter.boundary_iou_counts(no, no, num_classes=2).pred, [0, 0])
        assert_array_equal(segmeter.boundary_f_counts(no, no, num_classes=2).pred, [0, 0])
        assert segmeter.trimap_counts(no, no).matrix.sum() == 0
        assert segmeter.distance_transform(no).shape == shape
        assert segmeter.distance_transform(no, return_indices=True)[1].shape == (
            len(shape),
            *shape,
        )

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (1, 1, 1), (1, 1, 9), (9, 1, 1), (1, 9, 1)])
    def test_thin(self, shape: tuple[int, ...]) -> None:
        full = np.ones(shape, bool)
        for rule in RULES:
            assert segmeter.hausdorff_distance(full, full, surface=rule) == 0
        assert segmeter.boundary_iou_counts(full, full).pred[-1] == full.size
        assert (segmeter.distance_transform(full) == INF).all()
        assert_array_equal(segmeter.distance_transform(full, border="background"), full)


# ------------------------------------------------------------------------------- bad input


TWO = (BAR, SQUARE)
MEASURES: dict[str, Callable[..., Any]] = {
    "surface_distances": segmeter.surface_distances,
    "hausdorff_distance": segmeter.hausdorff_distance,
    "asd": segmeter.asd,
    "assd": segmeter.assd,
    "masd": segmeter.masd,
    "nsd": lambda *a, **k: segmeter.nsd(*a, tolerance=1, **k),
    "surface_overlap": lambda *a, **k: segmeter.surface_overlap(*a, tolerance=1, **k),
    "surface_scores": segmeter.surface_scores,
    "boundary_counts": segmeter.boundary_counts,
    "boundary_iou_counts": segmeter.boundary_iou_counts,
    "boundary_f_counts": segmeter.boundary_f_counts,
    "boundary_overlap_table": segmeter.boundary_overlap_table,
    "region_surface_distances": segmeter.region_surface_distances,
    "object_hausdorff_counts": segmeter.object_hausdorff_counts,
    "trimap_counts": segmeter.trimap_counts,
    "distance_transform": lambda p, _, **k: segmeter.distance_transform(p, **k),
}
WITHOUT_SPACING = {"trimap_counts"}
BAD_SPACINGS = [
    (1,),
    (1, 1, 1),
    (0, 1),
    (1, -1),
    (1, math.nan),
    (INF, 1),
    (1e-200, 1),
    (),
    ("a", "b"),
    (None, 1),
    (True, True),
    (1j, 1),
    [[1, 1]],
]


class TestBadInput:
    @pytest.mark.parametrize("name", sorted(set(MEASURES) - WITHOUT_SPACING))
    @pytest.mark.parametrize("spacing", BAD_SPACINGS, ids=repr)
    def test_spacing(self, name: str, spacing: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="spacing"):
            MEASURES[name](*TWO, spacing=spacing)

    @pytest.mark.parametrize("name", sorted(set(MEASURES) - {"distance_transform"}))
    @pytest.mark.parametrize("shape", [(6, 5), (1, 6), (6, 6, 1), (36,), ()])
    def test_shapes(self, name: str, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"shape|2-D|dimension"):
            MEASURES[name](np.zeros(shape, int), SQUARE)

    @pytest.mark.parametrize("name", sorted(MEASURES))
    @pytest.mark.parametrize("shape", [(), (5,), (2, 2, 2, 2)])
    def test_dimensions(self, name: str, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"2-D|dimension|axes"):
            MEASURES[name](np.zeros(shape, int), np.zeros(shape, int))

    @pytest.mark.parametrize("name", sorted(MEASURES))
    @pytest.mark.parametrize("kind", ["f4", "f8", "c8", "U1", "O", "M8[s]"])
    def test_types(self, name: str, kind: str) -> None:
        wrong = np.zeros((6, 6), kind)
        with pytest.raises(TypeError, match=r"integer|int"):
            MEASURES[name](wrong, SQUARE)
        if name != "distance_transform":
            with pytest.raises(TypeError, match=r"integer|int"):
                MEASURES[name](SQUARE, wrong)

    @pytest.mark.parametrize(
        "name",
        sorted(
            set(MEASURES)
            - {
                "distance_transform",
                "boundary_overlap_table",
                "region_surface_distances",
                "object_hausdorff_counts",
            }
        ),
    )
    def test_several_labels_where_a_mask_is_meant(self, name: str) -> None:
        two = SQUARE.copy()
        two[0, 0] = 2
        for pair in ((two, SQUARE), (SQUARE, two), (SQUARE, SQUARE * 2), (two, two)):
            with pytest.raises(ValueError, match=r"label|mask|num_classes|classes"):
                MEASURES[name](*pair)

    @pytest.mark.parametrize("percentile", [-1, 100.5, math.nan, INF, "95", True, [], [95, 101]])
    def test_percentiles(self, percentile: Any) -> None:
        for score in (
            segmeter.hausdorff_distance,
            segmeter.surface_scores,
            segmeter.boundary_counts,
        ):
            with pytest.raises((ValueError, TypeError), match="percentile"):
                score(*TWO, percentile=percentile)

    @pytest.mark.parametrize("tolerance", [-1, math.nan, "1", True, None, [1, -1], [[[1]]]])
    def test_tolerances(self, tolerance: Any) -> None:
        for score in (
            segmeter.nsd,
            segmeter.surface_overlap,
            segmeter.surface_scores,
            segmeter.boundary_counts,
        ):
            with pytest.raises((ValueError, TypeError), match="tolerance"):
                score(*TWO, tolerance=tolerance)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("surface", "faces"),
            ("weights", "area"),
            ("border", "reflect"),
            ("percentile_rule", "median"),
            ("preset", "matlab"),
            ("num_classes", 0),
            ("num_classes", True),
            ("classes", [1, 1]),
            ("groups", {}),
            ("groups", {"a": [9]}),
            ("ignore_index", [[True]]),
            ("threads", -1),
            ("threads", 1.5),
        ],
    )
    def test_options(self, option: str, value: Any) -> None:
        options = {option: value}
        if option == "groups":
            options["num_classes"] = 2
        with pytest.raises((ValueError, TypeError), match=option.split("_")[0]):
            segmeter.hausdorff_distance(*TWO, **options)

    def test_options_that_do_not_go_together(self) -> None:
        for rule in ("voxel_face", "voxel_full", "foreground"):
            for weights in ("marching", "face_share"):
                with pytest.raises(ValueError, match="weights"):
                    segmeter.surface_distances(*TWO, surface=rule, weights=weights)
        found = segmeter.surface_distances(*TWO)
        with pytest.raises(TypeError, match="target"):
            segmeter.hausdorff_distance(found, SQUARE)
        with pytest.raises(TypeError, match="target"):
            segmeter.hausdorff_distance(SQUARE)
        with pytest.raises((ValueError, TypeError), match="spacing"):
            segmeter.hausdorff_distance(found, spacing=(1, 1))
        with pytest.raises((ValueError, TypeError), match=r"return_indices|border"):
            segmeter.distance_transform(SQUARE, return_indices=True, border="background")
        with pytest.raises((ValueError, TypeError), match=r"surface|preset|distances"):
            segmeter.hausdorff_distance(found, preset="monai")

    def test_labels_out_of_range(self) -> None:
        for name in (
            "surface_distances",
            "boundary_iou_counts",
            "boundary_f_counts",
            "trimap_counts",
        ):
            for pair in ((SQUARE * 5, SQUARE), (SQUARE, SQUARE * 5), (SQUARE, -SQUARE)):
                with pytest.raises(ValueError, match=r"5|-1"):
                    MEASURES[name](*pair, num_classes=2)

    @pytest.mark.parametrize("name", ["boundary_iou_counts", "boundary_overlap_table"])
    @pytest.mark.parametrize(
        "options",
        [
            {"width": 0},
            {"width": -0.1},
            {"width": 1.1},
            {"width": math.nan},
            {"width": True},
            {"width_pixels": 0},
            {"width_pixels": 1.5},
            {"width_pixels": True},
            {"width_physical": 0},
            {"width_physical": math.nan},
            {"width_physical": 0.3, "spacing": (1, 0.5)},
            {"width_pixels": 2**70},
            {"width_pixels": 1, "spacing": (1, 1)},
            {"width_pixels": 1, "width_physical": 1},
            {"border": "mirror"},
        ],
        ids=repr,
    )
    def test_widths(self, name: str, options: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=r"width|border"):
            MEASURES[name](*TWO, **options)

    @pytest.mark.parametrize("widths", [0, [], [1, 1], [0], [1.5], True, [-1], 2**63])
    def test_trimap_widths(self, widths: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="width"):
            segmeter.trimap_counts(*TWO, widths=widths)

    @pytest.mark.parametrize(
        "options",
        [
            {"tolerance": -1},
            {"tolerance": math.nan},
            {"tolerance": True},
            {"tolerance_physical": -1},
            {"tolerance": 1, "tolerance_physical": 1},
            {"tolerance": 2, "spacing": (1, 1)},
            {"preset": "matlab"},
        ],
        ids=repr,
    )
    def test_boundary_f(self, options: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=r"tolerance|preset"):
            segmeter.boundary_f_counts(*TWO, **options)

    @pytest.mark.parametrize("resolution", [0, -1, math.nan, INF, True, "1", 1e-9])
    def test_resolution(self, resolution: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="resolution"):
            segmeter.boundary_counts(*TWO, resolution=resolution)


# ---------------------------------------------------- bands, trimaps, outlines: Boundary IoU, F


def official_width(shape: tuple[int, ...], ratio: float = 0.02) -> int:
    """Pixels of a band: a share of the diagonal, rounded half to even as Python does."""
    return max(1, round(ratio * math.sqrt(sum(n * n for n in shape))))


def band_of(
    mask: NDArray[Any], ignored: NDArray[Any], reach: tuple[int, ...], border: str
) -> NDArray[np.bool_]:
    """What erosion by a box takes away; ignored pixels neither erode nor count."""
    kept = mask | ignored
    eroded = ndimage.binary_erosion(
        kept,
        np.ones([2 * r + 1 for r in reach], bool),
        border_value=border == "ignore",
    )
    return mask & ~ignored & ~eroded


def seg2bmap(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """DAVIS: a pixel unlike its right, lower or lower right neighbour; the edge is none."""
    padded = np.pad(mask, [(0, 1)] * mask.ndim, mode="edge")
    found = np.zeros(mask.shape, bool)
    for step in steps(mask.ndim):
        found |= moved(padded, step, mask.shape) != mask
    return found


def near(a: NDArray[Any], b: NDArray[Any], spacing: Any, limit: float, inclusive: bool) -> int:
    """Points of one set that are near the other."""
    if not b.any():
        return 0
    far = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    return int((far <= limit).sum() if inclusive else (far < limit).sum())


class TestBoundaryIou:
    @few
    @given(label_maps(3, longest=9), st.integers(1, 4), st.sampled_from(["background", "ignore"]))
    def test_erosion(self, case: Any, width: int, border: Any) -> None:
        pred, target, ignored = case
        for unknown in (np.zeros_like(ignored), ignored):
            counts = segmeter.boundary_iou_counts(
                pred,
                target,
                num_classes=3,
                width_pixels=width,
                border=border,
                ignore_index=unknown if unknown.any() else None,
            )
            for k in range(3):
                reach = (width,) * pred.ndim
                a, b = (band_of(m == k, unknown, reach, border) for m in (pred, target))
                assert counts.pred[k] == a.sum()
                assert counts.target[k] == b.sum()
                assert counts.intersection[k] == (a & b).sum()
            score = segmeter.boundary_iou(counts)
            union = counts.pred + counts.target - counts.intersection
            with np.errstate(invalid="ignore"):
                assert_array_equal(score, counts.intersection / union)

    @fewer
    @given(masks(2, longest=9), st.sampled_from([0.02, 0.1, 0.25, 1.0]))
    def test_share_of_the_diagonal(self, case: Any, ratio: float) -> None:
        pred, target, _ = case
        counts = segmeter.boundary_iou_counts(pred, target, width=ratio)
        by_pixels = segmeter.boundary_iou_counts(
            pred, target, width_pixels=official_width(pred.shape, ratio)
        )
        assert counts == by_pixels

    @pytest.mark.parametrize(
        ("shape", "width"), [((20, 20), 1), ((75, 100), 2), ((100, 240), 5), ((480, 640), 16)]
    )
    def test_published_width(self, shape: tuple[int, int], width: int) -> None:
        """0.02 of the diagonals 28.3, 125 (2.5: to even), 260 and 800 pixels."""
        full = np.ones(shape, bool)
        counts = segmeter.boundary_iou_counts(full, full)
        inside = (shape[0] - 2 * width) * (shape[1] - 2 * width)
        assert counts.pred[-1] == full.size - inside

    def test_wider_than_any_image(self) -> None:
        """All pixels of the class are in the band."""
        for options in (
            {"width_pixels": 2**31 - 1},
            {"width_physical": 1e300, "spacing": (1e-9, 1)},
        ):
            counts = segmeter.boundary_iou_counts(BAR, SQUARE, **options)
            assert (counts.pred, counts.target, counts.intersection) == (8, 16, 8)

    @fewer
    @given(some_masks, st.sampled_from([0.3, 1.0, 2.4]))
    def test_physical_width(self, case: Any, width: float) -> None:
        pred, target, spacing = case
        if width < min(spacing):
            with pytest.raises(ValueError, match="width_physical"):
                segmeter.boundary_iou_counts(pred, target, width_physical=width, spacing=spacing)
            return
        counts = segmeter.boundary_iou_counts(pred, target, width_physical=width, spacing=spacing)
        reach = tuple(math.floor(width / s + 1e-9) for s in spacing)
        no = np.zeros_like(pred)
        a, b = (band_of(m, no, reach, "background") for m in (pred, target))
        assert (counts.pred[-1], counts.target[-1]) == (a.sum(), b.sum())
        assert counts.intersection[-1] == (a & b).sum()

    def test_two_shifted_squares(self) -> None:
        """Rings of 24 pixels of two 7 x 7 squares, one step apart: they share 2 * 6 + 2 * 0."""
        mask = np.zeros((12, 12), bool)
        mask[2:9, 2:9] = True
        counts = segmeter.boundary_iou_counts(np.roll(mask, 1, 1), mask, width_pixels=1)
        assert (counts.pred, counts.target) == (24, 24)
        assert counts.intersection == 12
        assert segmeter.boundary_iou(counts) == pytest.approx(12 / 36)

    def test_absent_and_sums(self) -> None:
        one = segmeter.boundary_iou_counts(BAR, SQUARE, num_classes=3)
        two = segmeter.boundary_iou_counts([BAR, SQUARE], [SQUARE, BAR], num_classes=3)
        assert one + segmeter.boundary_iou_counts(SQUARE, BAR, num_classes=3) == two
        assert math.isnan(segmeter.boundary_iou(one)[2])
        assert segmeter.boundary_iou(one, absent="one")[2] == 1
        assert segmeter.boundary_iou(one, absent="zero")[2] == 0
        with pytest.raises(ValueError, match="absent"):
            segmeter.boundary_iou(one, absent="raise")
        again = type(one).from_arrays(one.to_arrays())
        assert again == one

    @fewer
    @given(label_maps(3))
    def test_groups(self, case: Any) -> None:
        pred, target, _ = case
        counts = segmeter.boundary_iou_counts(
            pred, target, num_classes=3, width_pixels=1, groups={"b": [2, 1], "a": [0]}
        )
        union = segmeter.boundary_iou_counts(pred > 0, target > 0, num_classes=2, width_pixels=1)
        assert_array_equal(counts.intersection, union.intersection[::-1])
        assert_array_equal(counts.pred, union.pred[::-1])

    @few
    @given(label_maps(4, longest=9), st.integers(1, 3))
    def test_objects(self, case: Any, width: int) -> None:
        """The smaller of the IoU of the masks and that of their bands."""
        pred, target, _ = case
        table = segmeter.boundary_overlap_table(pred, target, width_pixels=width)
        no = np.zeros(pred.shape, bool)
        reach = (width,) * pred.ndim
        for row in range(len(table.intersection)):
            p = pred == table.pred_id[table.pred_index[row]]
            t = target == table.target_id[table.target_index[row]]
            a, b = band_of(p, no, reach, "background"), band_of(t, no, reach, "background")
            whole = (p & t).sum() / (p | t).sum()
            edge = (a & b).sum() / (a | b).sum()
            assert table.mask_iou[row] == whole
            assert table.boundary_iou[row] == edge
            assert table.iou[row] == min(whole, edge)

    def test_panoptic(self) -> None:
        """A match needs more than 0.5 by both; its quality is the smaller."""
        target = np.zeros((40, 40), int)
        target[2:18, 2:18], target[22:38, 4:36] = 1, 2
        pred = np.zeros_like(target)
        pred[2:18, 2:18], pred[23:38, 4:36] = 1, 2
        counts = segmeter.panoptic_counts(
            segmeter.boundary_overlap_table(pred, target, width_pixels=1), num_classes=1
        )
        # rings: 2 * 32 + 2 * 14 = 92 of 16 rows, 90 of 15; without the upper row 60 are shared
        assert (counts.tp, counts.fp, counts.fn) == (1, 1, 1)
        wide = segmeter.boundary_overlap_table(pred, target, width_pixels=2)
        # bands: 16 * 32 - 12 * 28 = 176, 15 * 32 - 11 * 28 = 172; shared: 172 - 28 = 144
        assert wide.boundary_iou[1] == 144 / (176 + 172 - 144)
        counts = segmeter.panoptic_counts(wide, num_classes=1)
        assert (counts.tp, counts.fp, counts.fn) == (2, 0, 0)
        assert counts.iou_sum == pytest.approx(1 + 144 / 204)

    def test_panoptic_void_leaves_the_union(self) -> None:
        target = np.full((12, 20), 1)
        target[:, 10:] = VOID
        pred = np.ones((12, 20), int)
        table = segmeter.boundary_overlap_table(pred, target, width_pixels=1, ignore_index=VOID)
        # The target's ring of 12 x 10; the prediction's of 12 x 20, of which 10 * 2 + 10 are void
        # and which lacks the 10 pixels along the middle.
        assert table.mask_iou == 1
        assert table.boundary_iou == pytest.approx(30 / 40)
        unknown = segmeter.boundary_overlap_table(
            pred, target, width_pixels=1, ignore_index=VOID, ignored="unknown"
        )
        assert unknown.boundary_iou == 1


class TestTrimap:
    @few
    @given(label_maps(3, longest=9))
    def test_confusion_near_outlines(self, case: Any) -> None:
        pred, target, ignored = case
        widths = (1, 2, 4)
        counts = segmeter.trimap_counts(
            pred, target, num_classes=3, widths=widths, ignore_index=ignored
        )
        assert_array_equal(counts.widths, widths)
        for row, width in enumerate(widths):
            box = np.ones((2 * width + 1,) * pred.ndim, bool)
            close = np.zeros(pred.shape, bool)
            for k in range(3):
                others = (target != k) & ~ignored
                close |= (target == k) & ndimage.binary_dilation(others, box)
            close &= ~ignored
            expected = np.zeros((3, 4), int)
            np.add.at(expected, (target[close], pred[close]), 1)
            assert_array_equal(counts.matrix[row], expected)
        with np.errstate(invalid="ignore", divide="ignore"):
            square = counts.matrix[..., :3]
            hit = np.einsum("wkk->wk", square)
            union = counts.matrix.sum(2) + square.sum(1) - hit
            assert_array_equal(segmeter.trimap_iou(counts), hit / union)

    def test_sums(self) -> None:
        both = segmeter.trimap_counts([BAR, BAR], [SQUARE, BAR], widths=[2])
        apart = [segmeter.trimap_counts(BAR, t, widths=[2]) for t in (SQUARE, BAR)]
        assert both == apart[0] + apart[1]
        with pytest.raises(ValueError, match="width"):
            _ = apart[0] + segmeter.trimap_counts(BAR, SQUARE, widths=[1])


class TestBoundaryF:
    @few
    @given(label_maps(3, longest=12), st.sampled_from([0.008, 0.21, 1, 1.5, 3]))
    def test_davis(self, case: Any, tolerance: float) -> None:
        pred, target, ignored = case
        counts = segmeter.boundary_f_counts(
            pred, target, num_classes=3, tolerance=tolerance, ignore_index=ignored
        )
        diagonal = math.sqrt(sum(n * n for n in pred.shape))
        limit = tolerance if tolerance >= 1 else math.ceil(tolerance * diagonal)
        for k in range(3):
            a, b = (seg2bmap((m == k) & ~ignored) for m in (pred, target))
            assert (counts.pred[k], counts.target[k]) == (a.sum(), b.sum())
            assert counts.pred_near[k] == near(a, b, None, limit, inclusive=True)
            assert counts.target_near[k] == near(b, a, None, limit, inclusive=True)

    @few
    @given(label_maps(3, longest=12), st.sampled_from([0.0075, 0.21, 1, 1.5, 3]))
    def test_bf(self, case: Any, tolerance: float) -> None:
        pred, target, ignored = case
        counts = segmeter.boundary_f_counts(
            pred, target, num_classes=3, tolerance=tolerance, ignore_index=ignored, preset="bf"
        )
        diagonal = math.sqrt(sum(n * n for n in pred.shape))
        limit = tolerance if tolerance >= 1 else tolerance * diagonal
        for k in range(3):
            a, b = (surface(m == k, ignored, "voxel_face", "ignore") for m in (pred, target))
            assert (counts.pred[k], counts.target[k]) == (a.sum(), b.sum())
            assert counts.pred_near[k] == near(a, b, None, limit, inclusive=False)
            assert counts.target_near[k] == near(b, a, None, limit, inclusive=False)

    @fewer
    @given(some_masks, st.sampled_from([0.1, 0.7, 2.0]))
    def test_physical(self, case: Any, tolerance: float) -> None:
        pred, target, spacing = case
        counts = segmeter.boundary_f_counts(
            pred, target, tolerance_physical=tolerance, spacing=spacing
        )
        a, b = seg2bmap(pred), seg2bmap(target)
        assert counts.pred_near[-1] == near(a, b, spacing, tolerance, inclusive=True)

    def test_scores(self) -> None:
        table = np.array([[4, 0, 3, 0, 5], [2, 0, 0, 3, 5], [2, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
        counts = segmeter.BoundaryFCounts(
            pred=table[0], target=table[1], pred_near=table[2], target_near=table[3]
        )
        assert_array_equal(segmeter.boundary_precision(counts), [0.5, math.nan, 0, 1, 0])
        assert_array_equal(segmeter.boundary_recall(counts), [0.5, math.nan, 1, 0, 0])
        assert_array_equal(segmeter.boundary_f_score(counts), [0.5, math.nan, 0, 0, 0])
        assert segmeter.boundary_f_score(counts, absent="one")[1] == 1

    @pytest.mark.parametrize(("shape", "limit"), [((480, 854), 8), ((100, 100), 2), ((8, 8), 1)])
    def test_davis_tolerance(self, shape: tuple[int, int], limit: int) -> None:
        """0.008 of the diagonals 979.7, 141.4 and 11.3, rounded up."""
        for gap, hit in ((limit, True), (limit + 1, False)):
            pred, target = np.zeros(shape, bool), np.zeros(shape, bool)
            target[:, :2] = pred[:, : 2 + gap] = True
            counts = segmeter.boundary_f_counts(pred, target)
            assert counts.pred[-1] == shape[0]
            assert counts.pred_near[-1] == (shape[0] if hit else 0)


# ------------------------------------------------------------------------ distance transform


class TestDistanceTransform:
    @few
    @given(some_masks)
    def test_of_a_mask(self, case: Any) -> None:
        mask, _, spacing = case
        got = segmeter.distance_transform(mask, spacing=spacing)
        expected = np.zeros(mask.shape)
        expected[mask] = nearest(mask, ~mask, spacing)
        assert_array_equal(got, expected)
        squared = segmeter.distance_transform(mask, spacing=spacing, squared=True)
        assert_array_equal(np.sqrt(squared), got)
        if not mask.all():
            close = ndimage.distance_transform_edt(mask, sampling=spacing)
            assert_allclose(got, close, rtol=1e-15)  # which may take the farther of near equals

    @few
    @given(some_masks)
    def test_beyond_the_border(self, case: Any) -> None:
        mask, _, spacing = case
        got = segmeter.distance_transform(mask, spacing=spacing, border="background")
        padded = np.pad(mask, 1)
        expected = np.zeros(padded.shape)
        expected[padded] = nearest(padded, ~padded, spacing)
        assert_array_equal(got, expected[tuple(slice(1, -1) for _ in mask.shape)])

    @few
    @given(label_maps(3), st.booleans(), st.booleans())
    def test_of_labels_with_sign(self, case: Any, signed: bool, beyond: bool) -> None:
        label_map = case[0]
        spacing = (1.25, 0.7, 3.3)[: label_map.ndim]
        got = segmeter.distance_transform(
            label_map,
            spacing=spacing,
            labels=True,
            signed=signed,
            border="background" if beyond else "ignore",
        )
        inner = (
            tuple(slice(1, -1) for _ in label_map.shape)
            if beyond
            else (slice(None),) * label_map.ndim
        )
        padded = np.pad(label_map, 1) if beyond else label_map
        expected = np.zeros(padded.shape)
        for k in range(3):
            here = padded == k
            if k:
                expected[here] = nearest(here, ~here, spacing) * (-1 if signed else 1)
            elif signed:
                expected[here] = nearest(here, ~here, spacing)
        assert_array_equal(got, expected[inner])

    @few
    @given(some_masks)
    def test_signed_mask(self, case: Any) -> None:
        mask, _, spacing = case
        got = segmeter.distance_transform(mask, spacing=spacing, signed=True)
        outside = segmeter.distance_transform(~mask, spacing=spacing)
        inside = segmeter.distance_transform(mask, spacing=spacing)
        assert_array_equal(got, np.where(mask, -inside, outside))
        squared = segmeter.distance_transform(mask, spacing=spacing, signed=True, squared=True)
        assert_array_equal(np.sign(squared), np.sign(got))
        assert_array_equal(np.sqrt(np.abs(squared)), np.abs(got))

    @few
    @given(some_masks)
    def test_nearest_pixels(self, case: Any) -> None:
        mask, _, spacing = case
        distance, index = segmeter.distance_transform(mask, spacing=spacing, return_indices=True)
        assert index.dtype == np.int32
        assert index.shape == (mask.ndim, *mask.shape)
        if mask.all():
            assert (index == -1).all()
            return
        assert not mask[tuple(index)].any()
        away = np.zeros(mask.shape)
        for axis, step in enumerate(spacing):
            way = (index[axis] - np.indices(mask.shape)[axis]) * np.float64(step)
            away = away + way * way
        assert_array_equal(np.sqrt(away), distance)

    def test_nearest_of_equals(self) -> None:
        """Of several the one with the smallest last coordinate, then the one before it."""
        mask = np.ones((3, 3), bool)
        mask[0, 1] = mask[1, 0] = mask[1, 2] = mask[2, 1] = False
        index = segmeter.distance_transform(mask, return_indices=True)[1]
        assert_array_equal(index[:, 1, 1], [1, 0])
        mask[1, 0] = True
        index = segmeter.distance_transform(mask, return_indices=True)[1]
        assert_array_equal(index[:, 1, 1], [0, 1])

    def test_large(self) -> None:
        rng = np.random.default_rng(2)
        for shape, share in (((300, 200), 0.01), ((50, 60, 40), 0.001), ((3, 500, 7), 0.5)):
            mask = rng.random(shape) >= share
            spacing = (0.9, 1.3, 2.2)[: len(shape)]
            assert_array_equal(
                segmeter.distance_transform(mask, spacing=spacing),
                ndimage.distance_transform_edt(mask, sampling=spacing),
            )


# ------------------------------------------------------------------------- counts that add up


def cases_of(count: int, classes: int = 3) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Pairs of maps of several sizes, in some of which a class is missing on a side or both."""
    rng = np.random.default_rng(5)
    pairs = []
    for k in range(count):
        pair = rng.integers(0, classes, (2, 6 + k, 9))
        if k % 3 == 1:
            pair[0][pair[0] == 1] = 0
        if k % 4 == 2:
            pair[:, :] = np.where(pair == 2, 0, pair)
        pairs.append((pair[0], pair[1]))
    return pairs


class TestCounts:
    options: ClassVar[dict[str, Any]] = {"num_classes": 3, "spacing": (0.8, 1.7)}
    pairs = cases_of(7)

    def counted(self, **options: Any) -> list[Any]:
        return [segmeter.boundary_counts(p, t, **(self.options | options)) for p, t in self.pairs]

    def distances(self) -> list[Any]:
        return [segmeter.surface_distances(p, t, **self.options) for p, t in self.pairs]

    def test_order_and_grouping(self) -> None:
        parts = self.counted(surface="voxel_face")
        whole = sum(parts)
        assert whole == sum(parts[:3]) + sum(parts[3:])
        assert whole == (parts[0] + parts[1]) + sum(parts[2:])
        assert whole.num_cases == 7
        assert_array_equal(whole.hausdorff, np.concatenate([c.hausdorff for c in parts]))
        backwards = sum(parts[::-1])
        assert_array_equal(backwards.histogram, whole.histogram)
        assert_array_equal(backwards.hausdorff, whole.hausdorff[::-1])
        assert type(whole).from_arrays(whole.to_arrays()) == whole
        assert segmeter.BoundaryCounts.from_arrays(whole.to_arrays()).rules == whole.rules

    def test_only_equals_add_up(self) -> None:
        one = self.counted()[0]
        pred, target = self.pairs[0]
        for changed in (
            {"resolution": 0.2},
            {"tolerance": 2},
            {"percentile": 90},
            {"preset": "monai"},
            {"num_classes": 4},
        ):
            other = segmeter.boundary_counts(pred, target, **(self.options | changed))
            with pytest.raises(ValueError, match=r".+"):
                _ = one + other
        with pytest.raises(TypeError):
            _ = one + 1

    def test_damaged_arrays(self) -> None:
        arrays = self.counted()[0].to_arrays()
        for name in arrays:
            with pytest.raises(ValueError, match=r".+"):
                segmeter.BoundaryCounts.from_arrays({k: v for k, v in arrays.items() if k != name})
        with pytest.raises(ValueError, match=r".+"):
            segmeter.BoundaryCounts.from_arrays(arrays | {"nsd": arrays["nsd"][:, :1]})

    @pytest.mark.parametrize("resolution", [0.1, 0.25, 1.0, 0.3])
    def test_histogram(self, resolution: float) -> None:
        whole = sum(self.counted(resolution=resolution))
        for row, k in enumerate((1, 2)):
            for side, (way, weight) in enumerate(
                (("pred_to_target", "pred_weight"), ("target_to_pred", "target_weight"))
            ):
                far = np.concatenate([getattr(d[k], way) for d in self.distances()])
                area = np.concatenate([getattr(d[k], weight) for d in self.distances()])
                found = whole.histogram[row, side]
                ends = np.arange(len(found)) * resolution
                place = np.searchsorted(ends, far[np.isfinite(far)], side="left")
                expected = np.bincount(place, weights=area[np.isfinite(far)], minlength=len(found))
                assert_allclose(found, expected, rtol=1e-12)
                assert_allclose(whole.infinite[row, side], area[np.isinf(far)].sum(), rtol=1e-12)
                assert_allclose(
                    found.sum() + whole.infinite[row, side],
                    whole.weight[:, row, side].sum(),
                    rtol=1e-12,
                )

    def test_dataset_nsd_and_its_curve(self) -> None:
        whole = sum(self.counted(tolerance=(0.5, 1, 2), resolution=0.25))
        curve = segmeter.nsd_curve(whole)
        assert_array_equal(curve.tolerances, np.arange(len(curve.tolerances)) * 0.25)
        for row, k in enumerate((1, 2)):
            size = sum(d[k].pred_weight.sum() + d[k].target_weight.sum() for d in self.distances())

            def exact(tolerance: float, k: int = k, size: float = size) -> float:
                inside = sum(sum(shares_within(d[k], tolerance)) for d in self.distances())
                return inside / size

            assert_allclose(
                segmeter.dataset_nsd(whole)[row], [exact(t) for t in (0.5, 1, 2)], rtol=1e-12
            )
            assert_allclose(curve.nsd[row], [exact(t) for t in curve.tolerances], rtol=1e-12)

    @pytest.mark.parametrize("how", ["weighted_cdf", "pooled"])
    @pytest.mark.parametrize("percentile", [0, 10, 50, 80, 95, 100])
    def test_dataset_percentile(self, how: str, percentile: float) -> None:
        resolution = 0.2
        whole = sum(self.counted(resolution=resolution, percentile_rule=how, surface="voxel_face"))
        found = [
            segmeter.surface_distances(p, t, surface="voxel_face", **self.options)
            for p, t in self.pairs
        ]
        for row, k in enumerate((1, 2)):
            forth = np.concatenate([d[k].pred_to_target for d in found])
            back = np.concatenate([d[k].target_to_pred for d in found])
            sides = [np.concatenate([forth, back])] if how == "pooled" else [forth, back]
            exact = max(weighted_cdf(d, np.ones(len(d)), percentile) for d in sides)
            got = segmeter.dataset_percentile(whole, percentile)[row]
            if math.isinf(exact):
                assert got == INF
            else:
                assert 0 <= got - exact < resolution
                assert got / resolution == pytest.approx(round(got / resolution))

    def test_means_over_cases(self) -> None:
        whole = sum(self.counted(tolerance=(0, 1), percentile=(50, 95), empty={"both": "nan"}))
        means = segmeter.boundary_scores(whole)
        shapes = {
            "hausdorff": (2,),
            "assd": (2,),
            "masd": (2,),
            "hausdorff_percentile": (2, 2),
            "asd": (2, 2),
            "nsd": (2, 2),
            "surface_overlap": (2, 2, 2),
        }
        assert set(means) == set(shapes)
        for name, shape in shapes.items():
            values = getattr(whole, name)
            got = means[name]
            assert got.mean.shape == shape
            assert_array_equal(got.num_undefined, np.isnan(values).sum(0))
            assert_array_equal(got.num_infinite, np.isinf(values).sum(0))
            assert_array_equal(got.num_cases, (~np.isnan(values)).sum(0))
            for place in np.ndindex(shape):
                column = values[(slice(None), *place)]
                assert_allclose(got.mean[place], np.mean(column[~np.isnan(column)]), rtol=1e-12)
                finite = column[np.isfinite(column)]
                assert_allclose(got.mean_of_finite[place], np.mean(finite), rtol=1e-12)

    def test_no_surface_anywhere(self) -> None:
        no = np.zeros((4, 4), int)
        whole = sum(segmeter.boundary_counts(no, no, num_classes=2) for _ in range(3))
        assert math.isnan(segmeter.dataset_percentile(whole)[0])
        assert np.isnan(segmeter.dataset_nsd(whole)).all()
        assert np.isnan(segmeter.nsd_curve(whole).nsd).all()
        assert segmeter.boundary_scores(whole)["nsd"].mean[0, 0] == 1
        assert_array_equal(whole.points, np.zeros((3, 1, 2)))

    def test_only_missed(self) -> None:
        whole = segmeter.boundary_counts(np.zeros_like(SQUARE), SQUARE, num_classes=2)
        assert segmeter.dataset_percentile(whole)[0] == INF
        assert segmeter.dataset_nsd(whole)[0, 0] == 0
        assert_array_equal(whole.points, [[[0, 16]]])


class TestDisplacement:
    @few
    @given(some_masks, st.sampled_from(["deepmind", "monai"]))
    def test_bands(self, case: Any, preset: str) -> None:
        pred, target, spacing = case
        bands = (0.5, 1.0, 2.5)
        rules = segmeter.SURFACE_PRESETS[preset]
        pair = segmeter.surface_distances(pred, target, spacing=spacing, surface=rules.surface)[1]
        counts = segmeter.displacement_counts(
            pred, target, bands=bands, preset=preset, spacing=spacing
        )
        assert_array_equal(counts.upper, [*bands, INF])
        sides = (
            (pair.pred_to_target, pair.pred_weight),
            (pair.target_to_pred, pair.target_weight),
        )
        for side, (far, weight) in enumerate(sides):
            place = np.searchsorted(bands, far)  # the end of a band belongs to it
            for band in range(4):
                inside = place == band
                assert_allclose(counts.weight[0, side, band], weight[inside].sum())
                assert_allclose(counts.distance[0, side, band], (weight * far)[inside].sum())
        if pair.empty_pred or pair.empty_target:
            return
        for way, asd in zip(
            ("pred_to_target", "target_to_pred"), directed_means(pair), strict=True
        ):
            found = segmeter.boundary_displacement(counts, direction=way)
            assert_allclose(found.mean_up_to[0, -1], asd, rtol=1e-12, atol=1e-15)
            assert found.share.sum() == pytest.approx(1)
        both = segmeter.boundary_displacement(counts)
        pooled = segmeter.assd(pred, target, preset=preset, spacing=spacing)
        assert_allclose(both.mean_up_to[0, -1], pooled, rtol=1e-12, atol=1e-15)

    def test_sums_and_empty_sides(self) -> None:
        one = segmeter.displacement_counts(BAR, SQUARE, num_classes=2)
        missed = segmeter.displacement_counts(np.zeros_like(BAR), SQUARE, num_classes=2)
        nothing = segmeter.displacement_counts(BAR * 0, SQUARE * 0, num_classes=2)
        assert one + nothing == one
        assert missed.distance[0, 1, -1] == INF
        found = segmeter.boundary_displacement(one + missed)
        assert found.mean_up_to[0, -1] == INF
        assert np.isfinite(found.mean_up_to[0, 1])
        assert np.isnan(segmeter.boundary_displacement(nothing).share).all()
        with pytest.raises(ValueError, match=r".+"):
            _ = one + segmeter.displacement_counts(BAR, SQUARE, num_classes=2, bands=[1])

    @pytest.mark.parametrize(
        "bands", [[], [0], [-1, 1], [2, 1], [1, 1], [math.nan], [INF], ["1"], [True], None]
    )
    def test_bad_bands(self, bands: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="bands"):
            segmeter.displacement_counts(BAR, SQUARE, bands=bands)
        with pytest.raises((ValueError, TypeError), match="direction"):
            segmeter.boundary_displacement(
                segmeter.displacement_counts(BAR, SQUARE), direction="forth"
            )


# ------------------------------------------------------------- regions, objects and lesions


class TestRegions:
    @fewer
    @given(label_maps(4), st.sampled_from(POINT_RULES), st.sampled_from(["background", "ignore"]))
    def test_as_masks_of_their_own(self, case: Any, rule: Any, border: Any) -> None:
        pred, target, ignored = case
        spacing = (0.7, 1.25, 3.3)[: pred.ndim]
        result = segmeter.region_surface_distances(
            pred,
            target,
            instances=True,
            ignore_index=ignored,
            surface=rule,
            border=border,
            spacing=spacing,
        )
        kept_pred, kept_target = np.where(ignored, 0, pred), np.where(ignored, 0, target)
        touched = []
        for t in range(1, 4):
            shared = np.bincount(kept_pred[kept_target == t], minlength=4)
            if shared[1:].any():
                touched.append(t)
                row = list(result.target_id).index(t)
                assert shared[result.pred_id[row]] == shared[1:].max()
        assert_array_equal(np.sort(result.target_id), touched)
        for row, (p, t) in enumerate(zip(result.pred_id, result.target_id, strict=True)):
            points = [surface(m == k, ignored, rule, border) for m, k in ((pred, p), (target, t))]
            check_pair(result.distances[row], *points, spacing)

    def test_components_and_chosen_pairs(self) -> None:
        pred, target = drawn("11..1 .1..1"), drawn(".1..1 .1.1.")
        everything = segmeter.region_surface_distances(pred, target)
        assert (len(everything.pred_id), everything.distances.classes) == (2, (0, 1))
        four = segmeter.region_surface_distances(pred, target, connectivity=4)
        assert len(four.target_id) == 2  # the third, of one pixel, touches nothing
        crossed = segmeter.region_surface_distances(
            pred, target, pairs=[[1, 0], [0, 1]], surface="foreground"
        )
        assert_array_equal(segmeter.hausdorff_distance(crossed.distances), [3, math.sqrt(10)])
        with pytest.raises(ValueError, match="pair"):
            segmeter.region_surface_distances(pred, target, pairs=[[2, 0]])
        with pytest.raises(ValueError, match="pair"):
            segmeter.region_surface_distances(pred, target, pairs=[[-1, 0]])
        none = segmeter.region_surface_distances(pred, target, pairs=np.zeros((0, 2), int))
        assert segmeter.hausdorff_distance(none.distances).shape == (0,)

    @few
    @given(label_maps(4))
    def test_object_hausdorff(self, case: Any) -> None:
        pred, target, _ = case
        spacing = (0.7, 1.25, 3.3)[: pred.ndim]
        counts = segmeter.object_hausdorff_counts(pred, target, spacing=spacing)

        def far(a: NDArray[Any], b: NDArray[Any]) -> float:
            return max(nearest(a, b, spacing).max(), nearest(b, a, spacing).max())

        def summed(ours: NDArray[Any], theirs: NDArray[Any]) -> list[float]:
            """Least and largest sum, as partners of equal share may be chosen between."""
            total = [0.0, 0.0]
            for k in set(ours.ravel().tolist()) - {0}:
                shared = np.bincount(theirs[ours == k], minlength=4)[1:]
                ids = set(theirs.ravel().tolist()) - {0}
                if shared.any():
                    ids = {i + 1 for i in range(3) if shared[i] == shared.max()}
                distances = [far(ours == k, theirs == i) for i in ids]
                if not shared.any():
                    distances = [min(distances, default=INF)]
                area = (ours == k).sum()
                total[0] += area * min(distances)
                total[1] += area * max(distances)
            return total

        for got, sides in (
            (counts.pred_distance, (pred, target)),
            (counts.target_distance, (target, pred)),
        ):
            low, high = summed(*sides)
            assert low * (1 - 1e-12) <= got <= high * (1 + 1e-12)
        assert counts.pred_area == (pred != 0).sum()
        assert counts.target_area == (target != 0).sum()
        score = segmeter.object_hausdorff(counts)
        if pred.any() and target.any():
            both = (
                counts.pred_distance / counts.pred_area,
                counts.target_distance / (counts.target_area),
            )
            assert score == pytest.approx(sum(both) / 2)
        else:
            assert score == INF if pred.any() or target.any() else math.isnan(score)

    def test_lesions_of_brats_2023(self) -> None:
        """One found, one missed, one invented: its HD95, and 374 twice."""
        spacing = (1.0, 1.0, 2.0)
        target = np.zeros((30, 30, 30), np.uint8)
        target[3:9, 3:9, 3:9] = target[20:26, 20:26, 20:25] = 1
        pred = np.zeros_like(target)
        pred[3:9, 4:11, 3:8] = 1
        pred[3:9, 22:28, 4:9] = 1
        first = target.copy()
        first[15:] = 0
        partner = pred.copy()
        partner[:, 15:] = 0
        pair = segmeter.surface_distances(partner, first, spacing=spacing)[1]
        hd95 = percentile_of(pair, "weighted_cdf", 95)
        assert hd95 == 2
        counts = segmeter.lesion_wise(pred, target, spacing=spacing, distance="hd95", tolerance=1.0)
        assert_array_equal(np.sort(counts.lesion_distance[~np.isnan(counts.lesion_distance)]), hd95)
        assert_allclose(
            counts.lesion_nsd[counts.lesion_matches > 0],
            segmeter.nsd(partner, first, tolerance=1, spacing=spacing),
        )
        scores = segmeter.lesion_scores(counts)["lesion"]
        assert scores["distance"] == pytest.approx((hd95 + 374 + 374) / 3)
        assert (scores["tp"], scores["fn"], scores["fp"]) == (1, 1, 1)

    def test_lesions_of_brats_2026(self) -> None:
        """Of voxels, percentile of both directions together; the missed one has none."""
        target = np.zeros((20, 20, 20), np.uint8)
        target[2:8, 2:8, 2:8] = target[12:17, 12:17, 12:17] = 1
        pred = np.zeros_like(target)
        pred[2:8, 3:10, 2:8] = 1
        first = target.copy()
        first[10:] = 0
        pair = segmeter.surface_distances(pred, first, surface="voxel_face")[1]
        counts = segmeter.lesion_wise(pred, target, rules="brats2026", distance="hd95")
        found = counts.lesion_distance[~np.isnan(counts.lesion_distance)]
        assert_allclose(found, percentile_of(pair, "pooled", 95), rtol=1e-12)
        assert segmeter.lesion_scores(counts)["lesion"]["distance"] == found[0]


# -------------------------------------------------------------------------- whole evaluations


class TestEvaluate:
    options: ClassVar[dict[str, Any]] = {"num_classes": 3, "spacing": (0.8, 1.7)}

    def run(self, folder: Path, pairs: Any, **options: Any) -> Any:
        for side in ("pred", "target"):
            (folder / side).mkdir(exist_ok=True)
        for k, pair in enumerate(pairs):
            for side, label_map in zip(("pred", "target"), pair, strict=True):
                np.save(folder / side / f"{k}.npy", label_map.astype(np.uint8))
        return segmeter.evaluate(
            folder / "pred", folder / "target", measures=["boundary"], **options
        )

    @pytest.mark.parametrize("preset", [None, "monai", "seg_metrics"])
    def test_as_by_hand(self, tmp_path: Path, preset: Any) -> None:
        pairs = cases_of(7)
        result = self.run(tmp_path, pairs, preset=preset, tolerance=(0.5, 1), **self.options)
        assert result.problems == []
        whole = sum(
            segmeter.boundary_counts(
                p, t, preset=preset, tolerance=(0.5, 1), empty={"both": "nan"}, **self.options
            )
            for p, t in pairs
        )
        rows = {row["class"]: row for row in result.rows("boundary_per_class")}
        nsd = segmeter.dataset_nsd(whole)
        for row, name in enumerate(("1", "2")):
            for score, values in (
                ("hd", whole.hausdorff[:, row]),
                ("hd95", whole.hausdorff_percentile[:, row, 0]),
                ("assd", whole.assd[:, row]),
                ("masd", whole.masd[:, row]),
            ):
                finite = values[np.isfinite(values)]
                assert rows[name][f"{score}_per_image"] == pytest.approx(finite.mean())
                assert rows[name][f"{score}_infinite"] == np.isinf(values).sum()
            assert rows[name]["nsd_at_0.5"] == pytest.approx(nsd[row, 0])
            assert rows[name]["nsd_at_1"] == pytest.approx(nsd[row, 1])
            empty = whole.points[:, row] == 0
            assert rows[name]["missed"] == (empty[:, 0] & ~empty[:, 1]).sum()
            assert rows[name]["invented"] == (empty[:, 1] & ~empty[:, 0]).sum()
            assert rows[name]["images"] == (~empty.all(1)).sum()
        assert result.scores["mean_nsd_at_0.5"] == pytest.approx(nsd[:, 0].mean())
        bands = sum(segmeter.boundary_iou_counts(p, t, **self.options) for p, t in pairs)
        assert rows["1"]["boundary_iou"] == pytest.approx(segmeter.boundary_iou(bands)[1])

    def test_threads_and_groups(self, tmp_path: Path) -> None:
        pairs = cases_of(5)
        results = [
            self.run(
                tmp_path,
                pairs,
                tolerance={"1": 1, "2": 2, "both": 3},
                label_groups={"both": [1, 2]},
                threads=threads,
                **self.options,
            )
            for threads in (1, 2, 3, 5)
        ]
        assert len({result.to_json() for result in results}) == 1
        whole = sum(
            segmeter.boundary_counts(p, t, groups={"both": [1, 2]}, tolerance=3, **self.options)
            for p, t in pairs
        )
        rows = [
            row
            for table in results[0].tables
            if table.startswith("boundary")
            for row in results[0].rows(table)
            if "both" in row.values() and "missed" in row and "id" not in row
        ]
        assert len(rows) == 1
        assert rows[0]["nsd"] == pytest.approx(segmeter.dataset_nsd(whole)[0, 0])

    def test_volumes_without_spacing_are_a_problem(self, tmp_path: Path) -> None:
        volume = np.zeros((4, 5, 6), int)
        volume[1:3, 1:3, 1:3] = 1
        result = self.run(tmp_path, [(volume, volume)], num_classes=2)
        assert len(result.problems) == 1
        assert "spacing" in str(result.problems[0])
        assert result.exit_code == 3
        fine = self.run(tmp_path, [(volume, volume)], num_classes=2, spacing="pixel")
        assert fine.problems == []

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("spacing", (0, 1)),
            ("spacing", (1, math.nan)),
            ("spacing", "millimetres"),
            ("tolerance", -1),
            ("tolerance", {"9": 1}),
            ("preset", "matlab"),
        ],
    )
    def test_bad_options(self, tmp_path: Path, option: str, value: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=option):
            self.run(tmp_path, cases_of(1), num_classes=3, **{option: value})

    def test_spacing_of_another_dimension(self, tmp_path: Path) -> None:
        result = self.run(tmp_path, cases_of(1), num_classes=3, spacing=(1, 1, 1))
        assert "spacing" in str(result.problems)

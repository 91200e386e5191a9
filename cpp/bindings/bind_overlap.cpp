#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "segmeter/region/matching.hpp"
#include "segmeter/region/overlap.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "overlap_arrays.hpp"

namespace segmeter::bindings {
namespace {

// ((label, area, void) of pred, the same of target, (pred, target, intersection), ignored pixels);
// labels as 64-bit patterns.
py::tuple bound_overlap_of_maps(const py::array& pred, std::optional<std::uint64_t> pred_background,
                                const std::vector<std::uint64_t>& pred_ignored,
                                const py::array& target,
                                std::optional<std::uint64_t> target_background,
                                const std::vector<std::uint64_t>& target_ignored,
                                const std::optional<py::array>& mask, int threads) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    require_shape(pred_view, target_view.shape, "pred");
    std::optional<ArrayView> mask_view;
    if (mask) {
        mask_view = view_of(*mask);
        if (mask_view->dtype != DType::kBool) throw py::type_error("mask must be bool");
        require_shape(*mask_view, target_view.shape, "mask");
    }
    Overlap overlap;
    {
        const py::gil_scoped_release release;
        overlap = overlap_of_maps(pred_view, {pred_background, pred_ignored}, target_view,
                                  {target_background, target_ignored},
                                  mask_view ? &*mask_view : nullptr, threads);
    }
    return py::make_tuple(side_of(std::move(overlap.pred)), side_of(std::move(overlap.target)),
                          pairs_of(std::move(overlap.pairs)), overlap.num_ignored);
}

template <class T>
using Column = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
std::span<const T> span_of(const Column<T>& column) {
    return {column.data(), static_cast<std::size_t>(column.size())};
}

// Row starts, begins, ends, and the region of every run (none: 0), below the number that follows.
using BoundRuns = std::tuple<Column<std::int64_t>, Column<std::uint32_t>, Column<std::uint32_t>,
                             std::optional<Column<std::int32_t>>, std::int64_t>;

RegionRuns runs_of(const BoundRuns& bound) {
    const auto& [row_begin, begin, end, region, num_regions] = bound;
    const RegionRuns runs{span_of(row_begin), span_of(begin), span_of(end),
                          region ? span_of(*region) : std::span<const std::int32_t>(), num_regions};
    const auto size = static_cast<std::int64_t>(runs.begin.size());
    const auto& rows = runs.row_begin;
    if (rows.empty() || rows.front() != 0 || rows.back() != size ||
        !std::is_sorted(rows.begin(), rows.end()) || runs.end.size() != runs.begin.size())
        throw py::value_error("the arrays make no run list");
    if (region && region->size() != size) throw py::value_error("every run must have a region");
    const auto outside = [&](std::int32_t k) { return k < 0 || k >= num_regions; };
    if (std::any_of(runs.region.begin(), runs.region.end(), outside) ||
        (!region && num_regions < 1))
        throw py::value_error("a run names a region that does not exist");
    return runs;
}

py::tuple bound_overlap_of_runs(const BoundRuns& pred, const BoundRuns& target, int threads) {
    const RegionRuns pred_runs = runs_of(pred);
    const RegionRuns target_runs = runs_of(target);
    OverlapPairs pairs;
    {
        const py::gil_scoped_release release;
        pairs = overlap_of_runs(pred_runs, target_runs, threads);
    }
    return pairs_of(std::move(pairs));
}

// --- matching ---

MatchingEdges edges_of(const Column<std::int64_t>& pred, const Column<std::int64_t>& target,
                       const Column<double>& score, const Column<bool>& passes) {
    if (pred.size() != score.size() || target.size() != score.size() ||
        passes.size() != score.size())
        throw py::value_error("the columns of the edges differ in length");
    const MatchingEdges edges{span_of(pred), span_of(target), span_of(score), span_of(passes)};
    for (std::size_t i = 0; i < edges.size(); ++i)
        if (edges.pred[i] < 0 || edges.target[i] < 0)
            throw py::value_error("positions of regions must not be negative");
    if (!std::is_sorted(edges.target.begin(), edges.target.end()))
        throw py::value_error("edges must be sorted by target");
    return edges;
}

py::array_t<std::int64_t> bound_greedy(const Column<std::int64_t>& pred,
                                       const Column<std::int64_t>& target,
                                       const Column<double>& score, const Column<bool>& passes) {
    const MatchingEdges edges = edges_of(pred, target, score, passes);
    std::vector<std::int64_t> chosen;
    {
        const py::gil_scoped_release release;
        chosen = greedy_matching(edges);
    }
    return adopt(std::move(chosen));
}

py::array_t<std::int64_t> bound_optimal(const Column<std::int64_t>& pred,
                                        const Column<std::int64_t>& target,
                                        const Column<double>& score, const Column<bool>& passes,
                                        bool by_count) {
    const MatchingEdges edges = edges_of(pred, target, score, passes);
    std::vector<std::int64_t> chosen;
    {
        const py::gil_scoped_release release;
        chosen = optimal_matching(edges,
                                  by_count ? MatchingObjective::kCount : MatchingObjective::kScore);
    }
    return adopt(std::move(chosen));
}

MatchingCriterion criterion_of(const std::string& name) {
    if (name == "iou") return MatchingCriterion::kIou;
    if (name == "dice") return MatchingCriterion::kDice;
    if (name == "ior") return MatchingCriterion::kIor;
    if (name == "iop") return MatchingCriterion::kIop;
    throw py::value_error("unknown criterion " + name);
}

py::tuple bound_merging(const Column<std::int64_t>& pred, const Column<std::int64_t>& target,
                        const Column<double>& score, const Column<bool>& passes,
                        const Column<std::int64_t>& intersection,
                        const Column<std::int64_t>& pred_area,
                        const Column<std::int64_t>& target_area, const std::string& criterion) {
    const MatchingEdges edges = edges_of(pred, target, score, passes);
    const MergingAreas areas{span_of(pred_area), span_of(target_area), span_of(intersection)};
    if (areas.intersection.size() != edges.size())
        throw py::value_error("the columns of the edges differ in length");
    for (std::size_t i = 0; i < edges.size(); ++i)
        if (edges.pred[i] >= pred_area.size() || edges.target[i] >= target_area.size())
            throw py::value_error("an edge names a region that has no area");
    const MatchingCriterion by = criterion_of(criterion);
    MergedMatching merged;
    {
        const py::gil_scoped_release release;
        merged = merging_matching(edges, areas, by);
    }
    return py::make_tuple(adopt(std::move(merged.edge)), adopt(std::move(merged.score)));
}

}  // namespace

void bind_overlap(py::module_& m) {
    m.def("overlap_of_maps", &bound_overlap_of_maps, py::arg("pred"), py::arg("pred_background"),
          py::arg("pred_ignored"), py::arg("target"), py::arg("target_background"),
          py::arg("target_ignored"), py::arg("mask"), py::arg("threads"));
    m.def("overlap_of_runs", &bound_overlap_of_runs, py::arg("pred"), py::arg("target"),
          py::arg("threads"));
    m.def("greedy_matching", &bound_greedy, py::arg("pred"), py::arg("target"), py::arg("score"),
          py::arg("passes"));
    m.def("optimal_matching", &bound_optimal, py::arg("pred"), py::arg("target"), py::arg("score"),
          py::arg("passes"), py::arg("by_count"));
    m.def("merging_matching", &bound_merging, py::arg("pred"), py::arg("target"), py::arg("score"),
          py::arg("passes"), py::arg("intersection"), py::arg("pred_area"), py::arg("target_area"),
          py::arg("criterion"));
}

}  // namespace segmeter::bindings

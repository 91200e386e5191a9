// Region family: how many pixels each region of one map shares with each region of another.
//
// Instance maps are read once, as segments: maximal stretches along which both labels are
// constant. A segment is one addition to a sparse table; areas are sums of its rows and columns.
// Run lists are met row by row, without reading a pixel.
// All numbers are exact and do not depend on threads or instruction set.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "segmeter/view.hpp"

namespace segmeter {

// Which labels of one map are regions. Labels are 64-bit patterns, sign-extended where the map's
// type is signed.
struct LabelRoles {
    std::optional<std::uint64_t> background;  // belongs to no region; none: all labels are regions
    std::span<const std::uint64_t> ignored;   // belong to no region, and their pixels do not count
};

// Regions of one map, ascending by label.
struct OverlapSide {
    std::vector<std::uint64_t> label;
    std::vector<std::int64_t> area;       // all pixels of the region
    std::vector<std::int64_t> void_area;  // those that are ignored in the other map
};

// Pairs of regions that share a pixel, as positions in the two sides, ascending by (target, pred).
struct OverlapPairs {
    std::vector<std::int64_t> pred;
    std::vector<std::int64_t> target;
    std::vector<std::int64_t> intersection;
};

struct Overlap {
    OverlapSide pred;
    OverlapSide target;
    OverlapPairs pairs;
    std::int64_t num_ignored = 0;  // pixels that are ignored in either map
};

// pred, target: integer or bool, equal shapes of any number of axes. mask: bool of the same shape
// or null, true where target is ignored.
[[nodiscard]] Overlap overlap_of_maps(const ArrayView& pred, const LabelRoles& pred_roles,
                                      const ArrayView& target, const LabelRoles& target_roles,
                                      const ArrayView* mask, int threads);

// The runs of one map and the region of each, as in Runs and Regions; no regions: all are 0.
struct RegionRuns {
    std::span<const std::int64_t> row_begin;  // rows + 1
    std::span<const std::uint32_t> begin;
    std::span<const std::uint32_t> end;
    std::span<const std::int32_t> region;
    std::int64_t num_regions = 0;  // above every region
};

// Two run lists of maps of equal shape.
[[nodiscard]] OverlapPairs overlap_of_runs(const RegionRuns& pred, const RegionRuns& target,
                                           int threads);

}  // namespace segmeter

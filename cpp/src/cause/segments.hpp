// Connected pieces of runs: which runs of a row list touch, and which segments they make.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "cause/joint_runs.hpp"
#include "cause/row_lists.hpp"
#include "region/labeller.hpp"
#include "region/rows.hpp"
#include "region/union_find_inl.hpp"

namespace segmeter::cause {

// Sets of the items of a row list.
class ItemSets {
   public:
    explicit ItemSets(std::size_t size) : parent_(size) {
        std::iota(parent_.begin(), parent_.end(), 0);
    }

    void unite(std::int64_t a, std::int64_t b) {
        MinimumUnionFind(parent_.data())
            .unite(static_cast<std::int32_t>(a), static_cast<std::int32_t>(b));
    }
    // The first item of the set.
    [[nodiscard]] std::size_t root(std::size_t i) {
        return static_cast<std::size_t>(
            MinimumUnionFind(parent_.data()).root(static_cast<std::int32_t>(i)));
    }

   private:
    std::vector<std::int32_t> parent_;
};

// Calls meet(a, b) for every pair of items of two rows that touch, corners included.
template <class Item, class Meet>
void for_each_touch(const RowLists<Item>& items, std::int64_t row, std::int64_t other,
                    Meet&& meet) {
    std::int64_t first = items.begin(other);
    const std::int64_t last = items.end(other);
    for (std::int64_t i = items.begin(row); i < items.end(row); ++i) {
        while (first < last && items[first].end < items[i].begin) ++first;
        for (std::int64_t j = first; j < last && items[j].begin <= items[i].end; ++j) meet(i, j);
    }
}

// Calls meet(a, b) for every pair of items that touch, with full connectivity (8 or 26), once.
template <class Item, class Meet>
void for_all_touches(const RowLists<Item>& items, const VolumeShape& shape, Meet&& meet) {
    const Reach everywhere(Connectivity::k26);
    for (std::int64_t row = 0; row < shape.all_rows(); ++row) {
        for (std::int64_t i = items.begin(row) + 1; i < items.end(row); ++i)
            if (items[i - 1].end == items[i].begin) meet(i, i - 1);
        for_each_row_before(
            everywhere, row / shape.rows, row % shape.rows, shape.rows,
            [&](std::int64_t other, int) { for_each_touch(items, row, other, meet); });
    }
}

// The connected segments of one map's classes, in raster order.
struct Segments {
    std::vector<std::int32_t> of_run;   // of each joint run, or kNoSegment
    std::vector<std::int32_t> classes;  // of each segment

    [[nodiscard]] std::size_t of(std::int64_t run) const {
        return static_cast<std::size_t>(of_run[static_cast<std::size_t>(run)]);
    }
};

inline constexpr std::int32_t kNoSegment = -1;

struct BothSegments {
    Segments pred;
    Segments target;
};

BothSegments find_segments(const JointRuns& runs, const VolumeShape& shape);

}  // namespace segmeter::cause

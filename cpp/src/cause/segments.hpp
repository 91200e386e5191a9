// Connected pieces of runs, by union-find over neighbouring rows.
#pragma once

#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cause/row_lists.hpp"

namespace segmeter::cause {

class DisjointSets {
   public:
    explicit DisjointSets(std::size_t size) : parent_(size) {
        if (size > std::numeric_limits<std::uint32_t>::max())
            throw std::length_error("the label maps have more than 2^32 runs");
        std::iota(parent_.begin(), parent_.end(), 0U);
    }
    [[nodiscard]] std::uint32_t find(std::uint32_t i) {
        while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
        return i;
    }
    void unite(std::int64_t a, std::int64_t b) {
        std::uint32_t x = find(static_cast<std::uint32_t>(a));
        std::uint32_t y = find(static_cast<std::uint32_t>(b));
        if (x > y) std::swap(x, y);
        parent_[y] = x;
    }

   private:
    std::vector<std::uint32_t> parent_;
};

// Rows of an image of planes; a 2-D image has one plane.
struct Grid {
    std::int64_t planes;
    std::int64_t rows_per_plane;

    [[nodiscard]] std::int64_t rows() const { return planes * rows_per_plane; }
    // The row that lies so many planes and rows further on, or -1.
    [[nodiscard]] std::int64_t neighbour(std::int64_t row, std::int64_t planes_on,
                                         std::int64_t rows_on) const {
        const std::int64_t plane = row / rows_per_plane + planes_on;
        const std::int64_t in_plane = row % rows_per_plane + rows_on;
        const bool exists =
            plane >= 0 && plane < planes && in_plane >= 0 && in_plane < rows_per_plane;
        return exists ? plane * rows_per_plane + in_plane : -1;
    }
};

// Calls meet(a, b) for every pair of runs of two rows that touch, corners included.
template <class Run, class Meet>
void for_each_contact(const RowLists<Run>& runs, std::int64_t row, std::int64_t other,
                      Meet&& meet) {
    std::int64_t first = runs.begin(other);
    const std::int64_t last = runs.end(other);
    for (std::int64_t i = runs.begin(row); i < runs.end(row); ++i) {
        while (first < last && runs[first].end < runs[i].begin) ++first;
        for (std::int64_t j = first; j < last && runs[j].begin <= runs[i].end; ++j) meet(i, j);
    }
}

// Calls meet(a, b) for every pair of runs that touch, with full connectivity (8 or 26), once.
template <class Run, class Meet>
void for_all_contacts(const RowLists<Run>& runs, const Grid& grid, Meet&& meet) {
    constexpr std::pair<int, int> kEarlier[] = {{0, -1}, {-1, -1}, {-1, 0}, {-1, 1}};
    for (std::int64_t row = 0; row < grid.rows(); ++row) {
        for (std::int64_t i = runs.begin(row) + 1; i < runs.end(row); ++i)
            if (runs[i - 1].end == runs[i].begin) meet(i, i - 1);
        for (const auto& [planes_on, rows_on] : kEarlier) {
            const std::int64_t other = grid.neighbour(row, planes_on, rows_on);
            if (other >= 0) for_each_contact(runs, row, other, meet);
        }
    }
}

}  // namespace segmeter::cause

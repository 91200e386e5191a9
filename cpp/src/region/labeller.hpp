// Which runs of neighbouring rows belong together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "segmeter/region/components.hpp"

#include "region/union_find_inl.hpp"

namespace segmeter {

// How far along the row pixels of neighbouring rows see each other; -1: not at all.
struct Reach {
    explicit Reach(Connectivity connectivity)
        : same_slice(connectivity == Connectivity::k8 || connectivity == Connectivity::k18 ||
                             connectivity == Connectivity::k26
                         ? 1
                         : 0),
          slice_before(connectivity == Connectivity::k18 || connectivity == Connectivity::k26 ? 1
                                                                                              : 0),
          diagonal(connectivity == Connectivity::k26   ? 1
                   : connectivity == Connectivity::k18 ? 0
                                                       : -1) {}
    int same_slice;    // row y - 1
    int slice_before;  // row y of slice z - 1
    int diagonal;      // rows y - 1 and y + 1 of slice z - 1
};

struct RunRange {
    std::int64_t begin;
    std::int64_t end;
};

// Calls function(i, j) for runs i of one row and j of another whose pixels, `reach` apart along
// the row at most, see each other.
template <class Function>
void for_each_contact(const std::uint32_t* begin, const std::uint32_t* end, RunRange row,
                      const std::uint32_t* other_begin, const std::uint32_t* other_end,
                      RunRange other, int reach, Function&& function) {
    const auto d = static_cast<std::uint32_t>(reach);
    std::int64_t j = other.begin;
    for (std::int64_t i = row.begin; i < row.end; ++i) {
        while (j < other.end && other_end[j] + d <= begin[i]) ++j;
        for (std::int64_t k = j; k < other.end && other_begin[k] < end[i] + d; ++k) function(i, k);
    }
}

// Calls function(row, reach) for the rows before row y of slice z that its pixels see.
template <class Function>
void for_each_row_before(const Reach& reach, std::int64_t z, std::int64_t y, std::int64_t rows,
                         Function&& function) {
    const std::int64_t row = z * rows + y;
    if (y > 0) function(row - 1, reach.same_slice);
    if (z == 0) return;
    function(row - rows, reach.slice_before);
    if (reach.diagonal < 0) return;
    if (y > 0) function(row - rows - 1, reach.diagonal);
    if (y + 1 < rows) function(row - rows + 1, reach.diagonal);
}

}  // namespace segmeter

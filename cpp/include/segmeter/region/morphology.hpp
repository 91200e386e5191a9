// Morphology on runs: dilation and the Euler characteristic of a mask given row by row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace segmeter {

// The foreground of a mask: `planes` x `rows` rows of `width` pixels (2-D: one plane), and in each
// the half-open intervals [begin, end) along the last axis, ascending and apart from each other
// (end[i] < begin[i + 1]). Runs of row r of plane p are row_begin[p * rows + r] up to the next.
struct RunRows {
    std::int64_t planes = 1;
    std::int64_t rows = 0;
    std::int64_t width = 0;
    std::span<const std::int64_t> row_begin;
    std::span<const std::uint32_t> begin;
    std::span<const std::uint32_t> end;
};

struct OwnedRunRows {
    std::vector<std::int64_t> row_begin;
    std::vector<std::uint32_t> begin;
    std::vector<std::uint32_t> end;

    [[nodiscard]] RunRows view(const RunRows& like) const {
        return {like.planes, like.rows, like.width, row_begin, begin, end};
    }
};

// Part of a structuring element: one row of it, `first` to `last` pixels along the last axis.
struct ElementRow {
    std::int64_t plane = 0;
    std::int64_t row = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
};

// Minkowski sum of the mask and the element, cut off at the image's border, `iterations` times in
// a row (0: the mask itself). Equal to scipy.ndimage.binary_dilation with border_value=0.
// Cost: sorting, for every row, the runs of the rows that reach it.
[[nodiscard]] OwnedRunRows dilate(const RunRows& mask, std::span<const ElementRow> element,
                                  int iterations, int threads);

// Euler characteristic, exact. full = true: of the union of closed pixels (8- or 26-connected
// foreground), else of the mask with 4- or 6-connected foreground. With planes = 1 and
// is_volume = false the rows are a 2-D image.
//
// The closed pixels meet every open cell of the lattice of rows (a row, the wall between two, the
// line between four) in intervals along the last axis, and each interval counts 1 with the sign
// of the cell's dimension; with the smaller connectivity the same holds for the common pixels of
// the rows around the cell. So one merge of at most four run lists per cell is all that is needed.
[[nodiscard]] std::int64_t euler_characteristic(const RunRows& mask, bool is_volume, bool full,
                                                int threads);

}  // namespace segmeter

// Region family: a label map as runs, the maximal stretches of one value within a row.
//
// Runs are what components, overlaps and painting work on: a structured mask has a few per row,
// so everything after the one pass over the pixels costs next to nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "segmeter/region/buffer.hpp"
#include "segmeter/view.hpp"

namespace segmeter {

// Most runs that one list may hold: indices of runs are int32.
inline constexpr std::int64_t kMaxRuns = 0x7FFFFFFF;
// Longest row: positions within it are uint32, one of which must stay free behind the last.
inline constexpr std::int64_t kMaxRowLength = 0xFFFFFFFE;

// The last axis is the row. Rows of all leading axes follow each other in C order:
// row = z * shape[1] + y in 3-D. Row r holds the runs [row_begin[r], row_begin[r + 1]), in order
// of position; run i covers the pixels [begin[i], end[i]).
struct Runs {
    std::vector<std::int64_t> shape;  // 2 or 3 axes
    Buffer<std::int64_t> row_begin;   // rows() + 1
    Buffer<std::uint32_t> begin;
    Buffer<std::uint32_t> end;
    // Labels; of uint64 maps by bit pattern. Empty where the value of a run follows from its
    // region, and for binary lists.
    Buffer<std::int64_t> value;

    [[nodiscard]] std::int64_t row_length() const noexcept { return shape.back(); }
    [[nodiscard]] std::int64_t rows() const noexcept {
        std::int64_t rows = 1;
        for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) rows *= shape[axis];
        return rows;
    }
    [[nodiscard]] std::int64_t count() const noexcept {
        return static_cast<std::int64_t>(begin.size());
    }
};

// Which pixels belong to runs, and what separates runs from each other.
struct RunOptions {
    // The label between the runs; none: every pixel that is not ignored belongs to a run.
    // For uint64 maps the bit pattern.
    std::optional<std::int64_t> background = 0;
    bool binary = false;                    // all labels but the background are one
    std::span<const std::int64_t> ignored;  // labels that belong to no run
    const ArrayView* mask = nullptr;        // bool, shape of the map: true belongs to no run
    int threads = 0;
};

// labels: bool or integer, 2-D or 3-D, any strides and byte order. Reads every pixel once.
// Throws std::invalid_argument for another number of axes or a row that is too long, and
// std::length_error for more than kMaxRuns runs.
[[nodiscard]] Runs find_runs(const ArrayView& labels, const RunOptions& options);

// Lists one behind the other along the first axis; the other extents must be equal.
[[nodiscard]] Runs concatenate(std::span<const Runs* const> parts);

// Throws std::invalid_argument unless the arrays make a run list of that shape: a list from
// outside must not make a kernel leave its memory.
void require_valid(const Runs& runs);
// The same unless two runs of one value touch: they would be one run.
void require_maximal(const Runs& runs);

// An image to be painted.
struct Canvas {
    DType dtype;  // an integer type that holds all values
    std::byte* data;
    bool is_zero;  // the pixels are 0 already
};

// Writes value_of_key[key[i]] into the pixels of run i, and the background elsewhere. Without
// values of keys, key[i] + 1; without keys, runs.value[i] or, in a binary list, 1.
// canvas: contiguous, of runs.shape.
void paint(const Runs& runs, const std::int32_t* key, const std::int64_t* value_of_key,
           std::int64_t background, const Canvas& canvas, int threads);

}  // namespace segmeter

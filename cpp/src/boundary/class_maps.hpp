// Two label maps as the boundary kernels see them: joint runs, and one small number a pixel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "segmeter/parallel.hpp"

#include "boundary/bit_rows.hpp"
#include "cause/joint_runs.hpp"
#include "region/rows.hpp"

namespace segmeter::boundary {

// Class of every pixel; `none` where there is none.
template <class Code>
struct ClassMap {
    std::vector<Code> codes;
    Code none;
};

template <class Code>
void paint_row(const cause::JointRuns& runs, std::int64_t row, bool of_pred, Code none, Code* out) {
    for (std::int64_t i = runs.begin(row); i < runs.end(row); ++i) {
        const std::int32_t label = of_pred ? runs[i].pred : runs[i].target;
        std::fill(out + runs[i].begin, out + runs[i].end,
                  label < 0 ? none : static_cast<Code>(label));
    }
}

// Blocks of rows, so many that threads end together.
inline std::int64_t row_blocks(std::int64_t rows, int threads) {
    return threads <= 1 ? 1 : std::min<std::int64_t>(rows, std::int64_t{8} * threads);
}

// Calls visit(row) for all rows, on several threads.
template <class Visit>
void for_each_row(std::int64_t rows, int threads, Visit&& visit) {
    const std::int64_t blocks = std::max<std::int64_t>(1, row_blocks(rows, threads));
    run_blocks(blocks, threads, [&](std::int64_t block) {
        for (std::int64_t row = rows * block / blocks; row < rows * (block + 1) / blocks; ++row)
            visit(row);
    });
}

template <class Code>
ClassMap<Code> paint_classes(const cause::JointRuns& runs, const VolumeShape& shape, bool of_pred,
                             std::int64_t num_classes, int threads) {
    const auto none = static_cast<Code>(num_classes);
    ClassMap<Code> map{std::vector<Code>(static_cast<std::size_t>(shape.all_rows() * shape.length)),
                       none};
    for_each_row(shape.all_rows(), threads, [&](std::int64_t row) {
        paint_row(runs, row, of_pred, none, map.codes.data() + row * shape.length);
    });
    return map;
}

// A byte for each ignored pixel; empty if there is none.
inline std::vector<std::uint8_t> paint_ignored(const cause::JointRuns& runs,
                                               const VolumeShape& shape) {
    std::vector<std::uint8_t> ignored;
    for (std::int64_t row = 0; row < runs.rows(); ++row)
        for (std::int64_t i = runs.begin(row); i < runs.end(row); ++i) {
            if (!runs[i].is_ignored()) continue;
            if (ignored.empty())
                ignored.resize(static_cast<std::size_t>(shape.all_rows() * shape.length));
            std::uint8_t* out = ignored.data() + row * shape.length;
            std::fill(out + runs[i].begin, out + runs[i].end, std::uint8_t{1});
        }
    return ignored;
}

// Calls function(Code{}) with the narrowest type for classes and `none`.
template <class Function>
void with_code_type(std::int64_t num_classes, Function&& function) {
    if (num_classes < 256)
        function(std::uint8_t{});
    else
        function(std::uint32_t{});
}

}  // namespace segmeter::boundary

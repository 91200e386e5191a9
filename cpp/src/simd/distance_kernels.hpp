// Inner loops of the distance transform, one copy per instruction set. Plain data only: these
// types cross the border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Lines that are worked on side by side.
constexpr std::int64_t kLanes = 16;

// A signed step to the nearest other label along an axis; of this size or more: there is none.
constexpr std::int32_t kNoStep = std::int32_t{1} << 30;

// One row of the scan along an axis: the steps back to the nearest other label, from those of the
// row before (both <= 0). `before`: labels of that row.
using ScanForward = void (*)(const void* labels, const void* before,
                             const std::int32_t* steps_before, std::int64_t n, std::int32_t* steps);
// The same backwards: `ahead` holds the steps ahead of the row behind (>= 0) and gets those of
// this one; `steps` becomes the shorter way, back if they are equal.
using ScanBackward = void (*)(const void* labels, const void* behind, std::int64_t n,
                              std::int32_t* ahead, std::int32_t* steps);

// The shorter way to another label within a row, whose ends count as one for labels other than 0
// if the border is background.
using ScanAlong = void (*)(const void* labels, std::int64_t n, bool border_is_background,
                           std::int32_t* steps);

// What the scan of a row at the edge of the image starts from: the steps of what lies beyond it,
// 0 where that is another label, which it is not for label 0.
using ScanBeyond = void (*)(const void* labels, std::int64_t n, std::int32_t* steps);

// The sign of labels other than 0 becomes negative.
using Negate = void (*)(const void* labels, std::int64_t n, double* values);

struct ScanKernels {
    ScanForward forward;
    ScanBackward backward;
    ScanAlong along;
    ScanBeyond beyond;
    Negate negate;
};

// Squared lengths of signed steps, infinite where there is none.
using SquareSteps = void (*)(const std::int32_t* steps, std::int64_t n, double spacing,
                             double* squared);

// Lines side by side: entry i of lane l at [i * kLanes + l].
struct Tile {
    std::int64_t n;         // length of a line
    double* best;           // out: squared distance within the axes before and this one
    std::int32_t* nearest;  // out: entry that gave it; null if not wanted
    const double* square;   // square[d] for |d| < n: (d * spacing)^2
    bool is_monotone;       // rounded sums keep the order of nearest entries
    // Entries with a finite value, one after another: the squared distances within the axes
    // before, and where they were. Space for n of them.
    double* value;
    std::int32_t* place;
    std::int32_t* low;  // scratch: n + 1 each
    std::int32_t* high;
};

// What there is to search.
struct Filled {
    std::int64_t entries;
    std::uint32_t finite;  // lanes with a finite value, as bits
};

// Fill a tile's values from `lanes` columns or rows of squared distances. Lanes without a finite
// value get a copy of one with, so that the search is not widened by them.
using Load = Filled (*)(const Tile& tile, const double* squared, std::int64_t stride,
                        std::int64_t lanes);
using Solve = void (*)(const Tile& tile, std::int64_t entries);
// And back; lanes that are not in `finite` become infinite.
using Store = void (*)(const Tile& tile, std::uint32_t finite, std::int64_t lanes,
                       std::int64_t stride, double* squared, std::int32_t* nearest);

// The shorter of a distance and a step along this axis; where they are equal, the earlier entry.
// `nearest` gets the complement of an entry that a step leads to: that pixel itself is the nearest
// one, not the one that is nearest to it.
// `place`: coordinate of entry 0 on the axis, `place_step` from one entry to the next.
using MergeSteps = void (*)(const std::int32_t* steps, std::int64_t n, double spacing,
                            std::int32_t place, std::int32_t place_step, double* squared,
                            std::int32_t* nearest);

using Root = void (*)(double* values, std::int64_t n);

struct DistanceKernels {
    ScanKernels scan_mask;       // bytes, 0 and not 0
    ScanKernels scan_labels[4];  // labels of 1, 2, 4, 8 bytes, 0 like others
    ScanKernels scan_background[4];
    SquareSteps square_steps;
    Load load_columns;
    Load load_rows;
    Solve solve;
    Store store_columns;
    Store store_rows;
    MergeSteps merge_steps;
    Root root;
};

namespace baseline {
extern const DistanceKernels kDistanceKernels;
}
namespace avx2 {
extern const DistanceKernels kDistanceKernels;
}
namespace avx512 {
extern const DistanceKernels kDistanceKernels;
}
namespace neon {
extern const DistanceKernels kDistanceKernels;
}

}  // namespace segmeter::simd

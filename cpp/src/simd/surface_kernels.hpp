// Inner loop of the surfaces, one copy per instruction set. Plain data only: these types cross the
// border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// A row of n pixels and its neighbours. Bit maps have n / 64 + 1 words: bit x stands for the blocks
// of the pixels x - 1 and x, bit n for what lies beyond the last pixel.
struct MixedRow {
    const void* row;
    const void* row_before;    // of the same plane
    const void* plane_before;  // same row
    std::int64_t n;
    std::uint64_t outside;       // the label beyond the row
    bool closed;                 // else the pixels at the ends go on beyond them
    std::uint64_t* row_changes;  // in: of the row before; out: of this one
    std::uint64_t* plane_mixed;  // in: 2x2 blocks of the plane before; out: of this one
    std::uint64_t* mixed;        // out: 2x2x2 blocks of unequal pixels
};
// Returns whether any bit is set.
using FindMixed = bool (*)(const MixedRow& row);

// A row of n pixels and those across its faces (in 2-D two of them the row itself).
struct FacedRow {
    const void* row;
    const void* neighbours[4];
    const void* nobodys;  // n labels of nobody's pixels, or null: all pixels are looked at
    std::int64_t n;
    std::uint64_t outside;  // the label beyond the row
    bool closed;            // else the pixels at the ends go on beyond them
    std::uint64_t* faced;   // out: pixels that are unequal to a neighbour, and not nobody's
};
// Returns whether any bit is set.
using FindFaced = bool (*)(const FacedRow& row);

// Rows of bits around a place, in the order of `both`, which is the sum of the squared distances to
// them along two axes, `plane` and `row`; `columns[d]` is that of d steps along the row.
struct RowSearch {
    const std::uint8_t* at;       // 64 bits around the place, in its own row
    const std::int64_t* offsets;  // from there to those of the other rows, in bytes
    const double* both;
    const double* plane;
    const double* row;
    const double* columns;  // 65
    std::int64_t count;
    int here;  // bit of the place
};
struct RowFound {
    double best;
    std::int64_t index;  // -1: nothing nearer than `best` was
    std::int64_t steps;  // along the row, to either side
};
// The nearest set bit that is nearer than `best`, which must be at most that of 64 steps.
using SearchRows = RowFound (*)(const RowSearch& search, double best);

struct SurfaceKernels {
    FindMixed find_mixed[4];  // labels of 1, 2, 4, 8 bytes
    FindFaced find_faced[4];
    SearchRows search_rows[3];  // by the axis added last: plane, row, column
};

namespace baseline {
extern const SurfaceKernels kSurfaceKernels;
}
namespace avx2 {
extern const SurfaceKernels kSurfaceKernels;
}
namespace avx512 {
extern const SurfaceKernels kSurfaceKernels;
}
namespace neon {
extern const SurfaceKernels kSurfaceKernels;
}

}  // namespace segmeter::simd

namespace segmeter {

// Those of the instruction set in use.
const simd::SurfaceKernels& surface_kernels();

}  // namespace segmeter

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

// A row of corners between bytes of pixels, each label of a group of its own, or of none.
struct CornerRow {
    // Rows of n pixels around the corners, those of the plane before first; in 2-D the same two
    // again.
    const std::uint8_t* rows[4];
    std::int64_t n;
    std::uint8_t outside;        // the label beyond the rows, of no group if they are closed
    bool closed;                 // else the pixels at the ends go on beyond them
    std::uint8_t full;           // code of a corner inside: a bit for each pixel around it
    const std::uint64_t* mixed;  // corners between unequal pixels; n / 64 + 1 words
    const std::int32_t* groups;  // by label; negative: none
    std::uint64_t base;          // of packed points: all but group (from bit 48), column and code
    std::uint8_t* labels_met;    // by label, set to 1
    std::uint8_t* usual;         // a label that is expected; out: the last one that was met
};
// Writes the points of a row, word of corners by word, and returns their number; space for
// 8 (n + 2).
using ListCorners = std::int64_t (*)(const CornerRow& row, std::uint64_t* points);

// Points as bits: words of 64 columns, `column_words` from one column of words to the next and
// `plane_words` from one plane to the next, rows side by side. How packed points are read: the low
// 8 bits are none of their coordinates, then there are so many of column, row and plane each; `low`
// is what the bits begin at, plane, row and column, the latter kWindowBefore bits further on.
struct NearPoints {
    const std::uint64_t* words;
    std::int64_t column_words;
    std::int64_t plane_words;
    std::int64_t low[3];
    int bits[3];
};
// Groups of `rows_at_once` rows around a point, in the order of `least`, the smallest of the `both`
// of each, which are the sums of the squared distances to a row along two axes, `planes` and
// `rows`.
struct NearGroups {
    const std::int64_t* offsets;  // from the word of a point to that of each group's first row
    const double* least;
    const double* both;
    const double* planes;
    const double* rows;
    std::int64_t count;
    double spacing;   // of columns
    double complete;  // points nearer than the root of this are in the rows and their windows
};
constexpr int kWindowBefore = 31;
// The distance of each of n packed points to the nearest set bit. Where that is not certain to be
// the nearest of all: minus the square of it, or minus infinity.
struct NearFound {
    std::int64_t open;    // points for which it is not certain
    std::int64_t groups;  // looked at
};
using SearchNear = NearFound (*)(const NearPoints& to, const NearGroups& groups,
                                 const std::uint64_t* points, std::int64_t n, double* distances);

// Largest distance, sum of the weights, and sum of distance times weight, of n points.
struct DistanceTotals {
    double largest;
    double weight;
    double weighted;
};
using SumDistances = DistanceTotals (*)(const double* distances, const double* weights,
                                        std::int64_t n);
// Weight of the distances up to a tolerance.
using SumWithin = double (*)(const double* distances, const double* weights, std::int64_t n,
                             double tolerance);

struct SurfaceKernels {
    FindMixed find_mixed[4];  // labels of 1, 2, 4, 8 bytes
    FindFaced find_faced[4];
    ListCorners list_corners;   // null: one corner after another is as fast
    SearchNear search_near[3];  // by the axis added last: plane, row, column
    std::int64_t rows_at_once;
    SumDistances sum_distances;
    SumWithin sum_within;
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

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

// Whether two rows are equal; the first is fetched ahead, as in the other loops over rows.
using SameBytes = bool (*)(const void* row, const void* other, std::int64_t size);

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

// Points of one label, written one behind the other.
struct PointList {
    std::uint64_t* next;
    std::uint64_t* end;
};
// Points that are written at most before a list is asked again for room.
constexpr std::int64_t kListRoom = 72;

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
    PointList* lists;            // by label
    // Makes room in a list.
    void (*grow)(void* owner, std::uint8_t label);
    void* owner;
};
// Appends the points of a row to the list of each label, in the order of their columns.
using ListCorners = void (*)(const CornerRow& row);

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

// Smallest and largest value of two fields of bits, neither of which has the highest one, of n
// packed points.
struct FieldRange {
    std::uint64_t least;
    std::uint64_t most;
};
using FindRanges = void (*)(const std::uint64_t* points, std::int64_t n,
                            const std::uint64_t* fields, FieldRange* ranges);

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
// Copies what is farther than the floor and returns how many these are; space for n of each.
using KeepFarther = std::int64_t (*)(const double* distances, const double* weights, std::int64_t n,
                                     double floor, double* kept_distances, double* kept_weights);

struct SurfaceKernels {
    FindMixed find_mixed[4];  // labels of 1, 2, 4, 8 bytes
    FindFaced find_faced[4];
    SameBytes same_bytes;
    ListCorners list_corners;   // null: one corner after another is as fast
    SearchNear search_near[3];  // by the axis added last: plane, row, column
    std::int64_t rows_at_once;
    FindRanges find_ranges;
    SumDistances sum_distances;
    SumWithin sum_within;
    KeepFarther keep_farther;
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

// Inner loops of bands along outlines, one copy per instruction set. Plain data only: these types
// cross the border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Places in the tables below by the bytes of a code.
constexpr int code_place(std::int64_t width) {
    return width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3;
}

// Bit i: a[i] differs from b[i], for i in [0, n); bits from n on are clear.
using Differ = void (*)(const void* a, const void* b, std::int64_t n, std::uint64_t* out);
// Bit x: x[i] differs from x[i - 1]; bit 0 is clear. has_previous: x[-1] may be read.
using Changes = void (*)(const void* x, std::int64_t n, bool has_previous, std::uint64_t* out);
// out[i] becomes the smaller (larger) of a[i] and b[i]. out may be a, and nothing else may overlap.
using Extreme = void (*)(const void* a, const void* b, std::int64_t n, void* out);

// A row of two maps with their bands. Bits beyond n are of no meaning.
struct BandRow {
    std::int64_t n;
    const std::uint64_t* pred_band;  // null where only that of target counts
    const std::uint64_t* target_band;
    const std::uint64_t* pred_changes;  // where a new code begins
    const std::uint64_t* target_changes;
    const std::uint64_t* ignored;  // null: none
    const void* pred;              // codes
    const void* target;
};

// Adds the pixels of the row: intersection, pred and target of every code, three cells each.
using CountOverlap = void (*)(const BandRow& row, std::int64_t* cells);
// Adds the pixels in the target's band to cells[target code * columns + pred code].
using CountPairs = void (*)(const BandRow& row, std::int64_t columns, std::int64_t* cells);

struct BandKernels {
    Differ differ[4];
    Changes changes[4];
    Extreme least[4];
    Extreme most[4];
    CountOverlap count_overlap[2];  // codes of 1 and of 4 bytes
    CountPairs count_pairs[2];
    // to[i] |= from[i], not overlapping.
    void (*join)(std::uint64_t* to, const std::uint64_t* from, std::int64_t n);
};

namespace baseline {
extern const BandKernels kBandKernels;
}
namespace avx2 {
extern const BandKernels kBandKernels;
}
namespace avx512 {
extern const BandKernels kBandKernels;
}
namespace neon {
extern const BandKernels kBandKernels;
}

}  // namespace segmeter::simd

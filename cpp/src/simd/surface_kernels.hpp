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

struct SurfaceKernels {
    FindMixed find_mixed[4];  // labels of 1, 2, 4, 8 bytes
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

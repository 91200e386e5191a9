// Inner loops of the overlap table, one copy per instruction set. Plain data only: these types
// cross the border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Where in a tile of n < 2^16 labels a segment begins: where pred, target or (if not null) mask
// differs from the pixel before. Pixel 0 begins one; n stands behind the last. Returns their
// number. `has_previous`: all arrays may be read at -1. `starts`: n + 65 entries.
using ListSegments = std::int64_t (*)(const void* pred, const void* target,
                                      const std::uint8_t* mask, std::int64_t n, bool has_previous,
                                      std::uint16_t* starts);

struct OverlapKernels {
    ListSegments list[4];  // labels of 1, 2, 4, 8 bytes
};

namespace baseline {
extern const OverlapKernels kOverlapKernels;
}
namespace avx2 {
extern const OverlapKernels kOverlapKernels;
}
namespace avx512 {
extern const OverlapKernels kOverlapKernels;
}
namespace neon {
extern const OverlapKernels kOverlapKernels;
}

}  // namespace segmeter::simd

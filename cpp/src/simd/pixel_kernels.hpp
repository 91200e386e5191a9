// Inner loops of the pixel family, one copy per instruction set. Plain data only: these types
// cross the border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Bytes of one map's tile of labels: small enough that memory works on while a tile is read for the
// second time from L1, large enough that the cost of beginning a tile disappears.
// Maps that no cache holds want it half as large.
constexpr std::int64_t tile_bytes(std::int64_t map_bytes) {
    return map_bytes <= std::int64_t{1} << 25 ? 4096 : 2048;
}
// Pixels of a tile that is decided from scores: the longer, the fewer jumps between channels.
inline constexpr std::int64_t kScoreTilePixels = 16384;
// Most pixels of any tile. Positions in a tile are 16-bit.
inline constexpr std::int64_t kTilePixels = kScoreTilePixels;
// Readable and writable elements behind the end of every scratch buffer of a tile.
inline constexpr std::int64_t kSlack = 64;

// Label value -> offset in the table of cells. Labels below `size` by index (8-bit labels: 256
// entries, by bit pattern), the rest by search among `far_count` sorted labels, else `invalid`.
// `near_slot`: offset / step of the 256 8-bit labels where that fits a byte, else null.
struct Lookup {
    const std::uint64_t* near_offset;
    const std::uint8_t* near_slot;
    std::uint64_t size;
    std::uint64_t invalid;
    const std::int64_t* far_label;
    const std::uint64_t* far_offset;
    std::int64_t far_count;
    bool is_signed;
};

// Pixels of a queue that are counted at once.
inline constexpr std::int64_t kQueuedPixels = 4096;
// Half the slots that can be counted in pairs.
inline constexpr std::int64_t kHalfSlots = 16;

// Pixels that wait to be counted, as pairs of slots of target and pred: slots below `half` and
// those from there on make two halves, and each of the four pairs of halves has a queue, in this
// order: low low, target low and pred high, high low, high high. See pixel_pairs_inl.hpp.
struct PairQueues {
    std::int64_t half;   // at most kHalfSlots
    std::int64_t slots;  // beyond the highest that was met
    std::int64_t filled[4];
    std::uint8_t codes[4][2 * kQueuedPixels + kSlack];
    std::uint32_t sums[4][kHalfSlots * kHalfSlots];
};

// `copies` tables (1, 2 or 4) of `cells` 32-bit counters, rows `stride` cells apart; which copy a
// pixel is counted in does not matter. `low`, unless null: one byte for each cell, its low eight
// bits where pixels are counted one by one; what runs over 255 goes to the first table. `queues`,
// unless null: where pixels of busy tiles wait instead, until count_queued is called.
struct Cells {
    std::uint32_t* table;
    std::int64_t cells;
    std::int64_t stride;
    std::int64_t copies;
    std::uint8_t* low;
    PairQueues* queues;
};

// Counts one tile of at most kTilePixels pixels; returns whether it was busy, that
// is, counted pixel by pixel into all copies of the table, or queued. `has_previous`: pred[-1] and
// target[-1] may be read. `expect_busy`: the tile before was. `scratch`: n + kSlack entries.
using CountTile = bool (*)(const void* pred, const void* target, std::int64_t n, bool has_previous,
                           bool expect_busy, const Lookup& pred_lookup, const Lookup& target_lookup,
                           const Cells& cells, std::uint16_t* scratch);

// Counts what waits in the queues into the first table, and leaves them empty.
using CountQueued = void (*)(const Cells& cells);

// sums[i] += counts[i] for n of them.
template <class Count, class Sum>
using AddCounts = void (*)(const Count* counts, std::int64_t n, Sum* sums);

// The cell of every pixel, for sums that are not counts.
using ResolveTile = void (*)(const void* pred, const void* target, std::int64_t n,
                             const Lookup& pred_lookup, const Lookup& target_lookup,
                             std::uint64_t* cells);

// counts[0] += pred and target, counts[1] += pred, counts[2] += target; nonzero bytes are true.
using CountBool = void (*)(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                           std::int64_t* counts);

// Channels [first, first + channels) of a tile of scores, `channel_stride` elements apart:
// label[i] = c where score c of pixel i beats best[i] (greater, or NaN where best is not), and
// best[i] follows. first = 0 sets both anew.
template <class Score, class Label>
using Argmax = void (*)(const Score* scores, std::int64_t channel_stride, std::int64_t first,
                        std::int64_t channels, std::int64_t n, Score* best, Label* label);

struct PixelKernels {
    CountTile count[4];        // labels of 1, 2, 4, 8 bytes
    CountQueued count_queued;  // null where pixels are never queued
    AddCounts<std::uint8_t, std::uint32_t> add_low_bytes;
    AddCounts<std::uint32_t, std::int64_t> add_cells;
    ResolveTile resolve[4];
    CountBool count_bool;
    Argmax<float, std::uint8_t> argmax_float_8;
    Argmax<float, std::uint16_t> argmax_float_16;
    Argmax<double, std::uint8_t> argmax_double_8;
    Argmax<double, std::uint16_t> argmax_double_16;
};

namespace baseline {
extern const PixelKernels kPixelKernels;
}
namespace avx2 {
extern const PixelKernels kPixelKernels;
}
namespace avx512 {
extern const PixelKernels kPixelKernels;
}
namespace neon {
extern const PixelKernels kPixelKernels;
}

}  // namespace segmeter::simd

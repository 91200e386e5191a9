// Inner loops of the region family, one copy per instruction set. Plain data only: these types
// cross the border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Which pixels of a row belong to runs, by bit pattern in the map's width.
struct RowRule {
    std::uint64_t background;
    bool has_background;
    bool binary;        // what is not background is of one value
    bool has_previous;  // labels may be read at -1
    const std::uint64_t* ignored;
    std::int64_t num_ignored;
};

// Bit maps of a row of n pixels: bit x of `starts` says that a run starts at pixel x, bit x of
// `ends` that one ended before it; and the number of bits before each word. edge_words(n) entries
// each; bits from n + 1 on are clear.
struct RowEdges {
    std::uint64_t* starts;
    std::uint64_t* ends;
    std::uint32_t* starts_before;
    std::uint32_t* ends_before;
    std::uint32_t* listed;  // words in which runs start or end
    std::uint64_t* inside;  // pixels that belong to runs; may be null
    const void* labels;     // a copy with kLabelSlack labels around, or null for binary maps
};
constexpr std::int64_t kLabelSlack = 64;
constexpr std::int64_t edge_words(std::int64_t n) { return n / 64 + 2; }

struct EdgeCounts {
    std::int64_t runs;
    std::int64_t listed;
};

// `mask`: null, or one byte a pixel, not 0 where it belongs to no run. Without runs, nothing is
// written.
using FindEdges = EdgeCounts (*)(const void* labels, const std::uint8_t* mask, std::int64_t n,
                                 const RowRule& rule, const RowEdges& edges);

// The same of a binary row, told by one bit map: bit x of `starts` says that a run starts or ended
// before pixel x, in turn. `ends` and `ends_before` are not written.
using FindChanges = FindEdges;

// Pixels of the background, if there is one, before the first other pixel; n where all are. Some of
// them may be left out.
using CountEmpty = std::int64_t (*)(const void* labels, std::int64_t n, const RowRule& rule);

// Positions of all starts and of all ends, in order. Writes up to 64 entries behind the last ones.
using ListEdges = void (*)(const RowEdges& edges, std::int64_t listed, std::uint32_t* begin,
                           std::uint32_t* end);

// A row of runs and the one before it, with the edges, or for binary maps the changes, of that.
// Runs are numbered within their slab, and begin, end, value and parent are indexed by that number.
struct FlatJoin {
    const std::uint32_t* begin;
    const std::uint32_t* end;
    const void* value;  // 32 or 64 bits; not read for binary maps
    std::int32_t first;
    std::int32_t last;
    std::int32_t first_before;
    std::int32_t reach;  // 1: pixels see each other across corners
    RowEdges before;
    bool is_crowded;  // a run every few pixels
};

// Gives the runs [first, last) their parents, and joins those of the row before that they link.
using JoinFlat = void (*)(const FlatJoin& row, std::int32_t* parent);

// A row of a volume, or one that it sees.
struct VolumeRow {
    std::int32_t first;     // run
    const RowEdges* edges;  // with `inside`; and with labels, unless the map is binary
};

// Rows before row y of slice z that its pixels see.
enum RowsSeen : std::int32_t {
    kSliceBefore,
    kRowBefore,
    kDiagonalAbove,
    kDiagonalBelow,
    kRowsSeen
};

struct VolumeJoin {
    VolumeRow own;
    VolumeRow before[kRowsSeen];  // those without runs: `edges` is null
    const void* value;            // of all runs, 32 or 64 bits; not read for binary maps
    std::int32_t last;            // run behind the row
    std::int64_t length;
    std::int32_t neighbours;  // 6, 18 or 26
};

using JoinVolume = void (*)(const VolumeJoin& row, std::int32_t* parent);

// A row of runs to be painted with labels of the image's own type.
struct RowPaint {
    const std::uint32_t* begin;
    const std::uint32_t* end;
    const void* label;
    std::int64_t runs;
    std::int64_t length;
    std::uint64_t background;
    bool is_blank;  // `out` holds the background already, and so does what lies behind it
};

// Writes up to kPaintSlack bytes behind the row; where it is blank, the background.
using PaintRow = void (*)(const RowPaint& row, void* out);
constexpr std::int64_t kPaintSlack = 64;

struct RegionKernels {
    FindEdges find_edges[4];  // labels of 1, 2, 4, 8 bytes
    ListEdges list_edges;
    CountEmpty count_empty[4];
    FindChanges find_changes[4];
    ListEdges list_changes;
    JoinFlat join_flat[3];      // binary; values of 32 bits, of 64
    JoinVolume join_volume[5];  // binary; labels of 1, 2, 4, 8 bytes
    PaintRow paint_row[4];      // labels of 1, 2, 4, 8 bytes
};

namespace baseline {
extern const RegionKernels kRegionKernels;
}
namespace avx2 {
extern const RegionKernels kRegionKernels;
}
namespace avx512 {
extern const RegionKernels kRegionKernels;
}
namespace neon {
extern const RegionKernels kRegionKernels;
}

}  // namespace segmeter::simd

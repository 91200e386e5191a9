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
};
constexpr std::int64_t edge_words(std::int64_t n) { return n / 64 + 2; }

struct EdgeCounts {
    std::int64_t runs;
    std::int64_t listed;
};

// `mask`: null, or one byte a pixel, not 0 where it belongs to no run. Without runs, nothing is
// written.
using FindEdges = EdgeCounts (*)(const void* labels, const std::uint8_t* mask, std::int64_t n,
                                 const RowRule& rule, const RowEdges& edges);

// Positions of all starts and of all ends, in order. Writes up to 64 entries behind the last ones.
using ListEdges = void (*)(const RowEdges& edges, std::int64_t listed, std::uint32_t* begin,
                           std::uint32_t* end);

// A row of runs that another one sees, with its edges.
struct RowBefore {
    std::int32_t first;
    std::int32_t reach;  // 1: pixels see each other across corners
    // Runs with a flag of `skipped` are left out, those that one of these lies along get `covers`.
    std::uint32_t skipped;
    std::uint32_t covers;
    RowEdges edges;
};

// A row of runs and those before it. Runs are numbered within their slab, and begin, end, value
// and parent are indexed by that number.
struct RowJoin {
    const std::uint32_t* begin;
    const std::uint32_t* end;
    const void* value;  // 32 or 64 bits; not read for binary maps
    std::int32_t first;
    std::int32_t last;
    RowBefore before[4];
    std::int32_t num_before;  // the first one only in 2-D
    bool is_crowded;          // a run every few pixels
};

// Gives the runs [first, last) their parents, and joins those of the rows before that they link.
using JoinRow = void (*)(const RowJoin& row, std::int32_t* parent);

struct JoinRows {
    JoinRow binary;
    JoinRow narrow;  // values of 32 bits
    JoinRow wide;    // of 64
};

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
    JoinRows join_flat;     // one row before, nothing skipped
    JoinRows join_volume;   // several
    PaintRow paint_row[4];  // labels of 1, 2, 4, 8 bytes
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

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
    std::uint32_t* turns;   // n + 65 entries: positions of changes
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
// before pixel x, in turn. `ends` and `ends_before` are not written. Some instruction sets write
// the positions into `turns` right away, not the words into `listed`.
using FindChanges = FindEdges;

// Pixels of the background, if there is one, before the first other pixel; n where all are. Some of
// them may be left out.
using CountEmpty = std::int64_t (*)(const void* labels, std::int64_t n, const RowRule& rule);

// Pixels before the first one that is neither of two labels; n where there is none.
using CountAlike = std::int64_t (*)(const void* labels, std::int64_t n, std::uint64_t a,
                                    std::uint64_t b);

// Positions of all starts and of all ends, in order. Writes up to 64 entries behind the last ones.
using ListEdges = void (*)(const RowEdges& edges, EdgeCounts counts, std::uint32_t* begin,
                           std::uint32_t* end);

// A row of runs and the one before it, with the edges of that. Runs are numbered within their slab,
// and begin, end, value and parent are indexed by that number.
struct FlatJoin {
    const std::uint32_t* begin;
    const std::uint32_t* end;
    const void* value;  // 32 or 64 bits
    std::int32_t first;
    std::int32_t last;
    std::int32_t first_before;
    std::int32_t reach;  // 1: pixels see each other across corners
    RowEdges before;
};

// Gives the runs [first, last) their parents, and joins those of the row before that they link.
using JoinFlat = void (*)(const FlatJoin& row, std::int32_t* parent);

// What is known of a component, or of a part of one while it grows: a row of numbers in the order
// of RegionFacts.
enum FactColumn : std::int32_t {
    kValue,
    kFirst,
    kArea,
    kNumRuns,
    kSumZ,
    kSumY,
    kSumX,
    kLowZ,
    kLowY,
    kLowX,
    kHighZ,
    kHighY,
    kHighX,
    kFactColumns
};

// Parts found so far, numbered in raster order of their first pixels, and by `parent` which are of
// one component: the smallest stands for it. There is room for one more of every run to come.
struct Parts {
    std::int64_t* facts;  // kFactColumns of each
    std::int32_t* parent;
    std::int32_t count;
    std::int64_t value;  // of all
};

// A strand is a pile of runs, one in each row, each of which touches the one above. Sums over its
// runs, which go from row to row, kStrandSlack entries longer than there are strands.
struct Strands {
    std::int32_t* part;
    std::uint32_t* area;
    std::uint32_t* num_runs;
    std::uint32_t* low_x;
    std::uint32_t* high_x;
    std::uint64_t* sum_x;
    std::uint64_t* sum_y;
};
constexpr std::int64_t kStrandSlack = 64;

// A row of a binary flat map: its runs, with a begin of 2^32 - 1 behind the last, and the strands
// that they are the ends of.
struct StrandRow {
    const std::uint32_t* begin;
    const std::uint32_t* end;
    std::int32_t count;
    std::int64_t y;
    std::int64_t position;  // of the row's first pixel
    Strands strands;
};

// The strands of a row from those of the row before, which are added to their parts where they
// end. begin + end is below 2^32, and the area of a strand too.
using GrowStrands = void (*)(const StrandRow& row, const StrandRow& before, std::uint32_t reach,
                             Parts& parts);

// The same for a row whose strands are given no sums, only parts: `changes` tell the runs of the
// row before, of which just the parts of strands are read.
using GrowParts = void (*)(const StrandRow& row, const RowEdges& changes, const StrandRow& before,
                           std::uint32_t reach, Parts& parts);

// Adds the strands of a row to their parts.
using EndStrands = void (*)(const StrandRow& row, Parts& parts);

// A slice of a binary volume by the changes of its rows: as of find_changes, but of all rows in one
// piece, slice_row_words(n) words each, and counted over the slice. Before and behind the rows lies
// one without runs.
struct SliceChanges {
    std::uint64_t* bits;
    std::uint32_t* before;  // changes before each word; 0 all along a row without runs
    std::int32_t* part;     // of each run
};
// A run may end behind the last pixel, and one more is looked at.
constexpr std::int64_t slice_row_words(std::int64_t n) { return (n + 1) / 64 + 1; }

// A block of rows of a slice on their way to runs.
struct SliceRows {
    std::int64_t length;
    std::int64_t row_words;
    std::uint64_t* bits;        // of the whole slice
    std::uint32_t* before;      // the same
    std::int64_t first_word;    // of the block
    std::int64_t rows;          // marked so far
    std::uint8_t* has_runs;     // of each row
    std::uint32_t changes;      // of the slice, up to the block before; then, up to this one
    std::uint32_t* row_change;  // of the slice, up to each row
    std::uint32_t* turns;       // positions of the block's changes; 64 entries more are written
    std::uint32_t* listed;      // scratch: its words, and 8 more
};

// Marks the pixels that belong to runs in `rows` more rows, which follow one another in memory
// without a gap.
using MarkRows = void (*)(const void* labels, const std::uint8_t* mask, std::int64_t rows,
                          const RowRule& rule, SliceRows& out);

// From the marks of a block to its changes and their positions in the slice.
using ListTurns = void (*)(SliceRows& rows);

// Runs of a slice, and what they see: those of the row before and of the slice behind.
struct SliceJoin {
    SliceChanges own;
    SliceChanges behind;
    std::int64_t row_words;
    std::int64_t rows;
    std::int64_t length;
    std::int64_t z;
    std::int32_t reach_aside;     // row y - 1
    std::int32_t reach_behind;    // row y of slice z - 1
    std::int32_t reach_diagonal;  // rows y - 1 and y + 1 of slice z - 1; -1: not seen
    const std::uint32_t* turns;   // positions where the runs [first, last) begin and end
    std::int64_t first;
    std::int64_t last;
    std::uint32_t* begin;  // where to list them within their rows, or null
    std::uint32_t* end;
};
using JoinSlice = void (*)(const SliceJoin& runs, Parts& parts);

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
    CountAlike count_alike[4];
    FindChanges find_changes[4];
    ListEdges list_changes;
    JoinFlat join_flat[2];  // values of 32 bits, of 64
    GrowStrands grow_strands;
    GrowParts grow_parts;
    EndStrands end_strands;
    MarkRows mark_rows[4];  // labels of 1, 2, 4, 8 bytes
    ListTurns list_turns;
    JoinSlice join_slice;
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

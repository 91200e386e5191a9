// From rows of pixels to runs, one slab of rows at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "segmeter/parallel.hpp"
#include "segmeter/region/runs.hpp"

#include "region/rows.hpp"
#include "simd/region_kernels.hpp"

namespace segmeter {

// Values of runs while they are being found and joined: wide enough for the map's labels.
template <class Label>
using RunValue = std::conditional_t<sizeof(Label) == 8, std::uint64_t, std::uint32_t>;

// Calls function(Label{}) with the unsigned type of this many bytes.
template <class Function>
auto with_label_type(std::int64_t width, Function&& function) {
    switch (width) {
        case 1: return function(std::uint8_t{});
        case 2: return function(std::uint16_t{});
        case 4: return function(std::uint32_t{});
        default: return function(std::uint64_t{});
    }
}

// Runs of consecutive rows.
template <class Value>
struct RunSlab {
    std::int64_t first_row = 0;
    // Of each row, the first one counted from the slab's; one entry more than rows.
    Buffer<std::int64_t> row_begin;
    Buffer<std::uint32_t> begin;
    Buffer<std::uint32_t> end;
    Buffer<Value> value;  // empty for binary maps

    void start(std::int64_t row, std::int64_t rows) {
        first_row = row;
        row_begin.reserve_more(static_cast<std::size_t>(rows) + 1);
        row_begin.push_back(0);
    }
    [[nodiscard]] std::int64_t first_run(std::int64_t row) const {
        return row_begin[static_cast<std::size_t>(row - first_row)];
    }
};

// Which rows keep their edges for those that follow. Where runs are few, a walk along two rows is
// foreseen by the processor and shorter than a look at ranks.
enum class Keep { kNone, kDense, kAll };

// Edges of those of the last few rows that are kept, for volumes with the pixels that belong to
// runs and a copy of the labels, `width` bytes each. All others share one place, which stays in the
// nearest cache.
class EdgeRing {
   public:
    EdgeRing(std::int64_t length, std::int64_t rows, Keep keep, std::int64_t width = 0)
        : keep_at_(keep == Keep::kAll     ? 1
                   : keep == Keep::kDense ? length / 64 + 1
                                          : length + 1),
          words_(simd::edge_words(length)),
          last_place_(rows),
          row_bytes_(width * length),
          label_bytes_(width * (length + 2 * simd::kLabelSlack)),
          label_slack_(width * simd::kLabelSlack),
          place_of_row_(std::bit_ceil(static_cast<std::size_t>(rows))),
          bits_(static_cast<std::size_t>(2 * words_ * (rows + 1))),
          before_(bits_.size()),
          inside_(keep == Keep::kDense ? bits_.size() / 2 : 0),
          labels_(static_cast<std::size_t>(label_bytes_ * (rows + 1))),
          listed_(static_cast<std::size_t>(words_)),
          turns_(static_cast<std::size_t>(length + 65)),
          places_(static_cast<std::size_t>(rows + 1)) {
        for (std::int64_t place = 0; place <= rows; ++place)
            places_[static_cast<std::size_t>(place)] = place_at(place);
    }

    // Where the next row is written.
    [[nodiscard]] const simd::RowEdges& next() const { return at(place_); }
    // Whether a row of so many runs is kept.
    [[nodiscard]] bool keeps(std::int64_t runs) const { return runs >= keep_at_; }
    // What has just been written is of this row.
    void set(std::int64_t row, std::int64_t runs, const std::byte* labels) {
        const bool keep = keeps(runs);
        place_of_row_[position(row)] = keep ? place_ : kNowhere;
        if (!keep) return;
        if (row_bytes_ > 0)
            std::copy(labels, labels + row_bytes_,
                      labels_.data() + place_ * label_bytes_ + label_slack_);
        place_ = place_ == last_place_ ? 0 : place_ + 1;
    }
    [[nodiscard]] bool has(std::int64_t row) const {
        return place_of_row_[position(row)] != kNowhere;
    }
    [[nodiscard]] const simd::RowEdges& row(std::int64_t row) const {
        return at(place_of_row_[position(row)]);
    }

   private:
    static constexpr std::int64_t kNowhere = -1;

    [[nodiscard]] std::size_t position(std::int64_t row) const {
        return static_cast<std::size_t>(row) & (place_of_row_.size() - 1);
    }
    [[nodiscard]] const simd::RowEdges& at(std::int64_t place) const {
        return places_[static_cast<std::size_t>(place)];
    }
    [[nodiscard]] simd::RowEdges place_at(std::int64_t place) {
        const std::int64_t first = place * 2 * words_;
        return {bits_.data() + first,
                bits_.data() + first + words_,
                before_.data() + first,
                before_.data() + first + words_,
                listed_.data(),
                inside_.empty() ? nullptr : inside_.data() + place * words_,
                row_bytes_ > 0 ? labels_.data() + place * label_bytes_ + label_slack_ : nullptr,
                turns_.data()};
    }

    std::int64_t keep_at_;
    std::int64_t words_;
    std::int64_t last_place_;
    std::int64_t place_ = 0;
    std::int64_t row_bytes_;
    std::int64_t label_bytes_;
    std::int64_t label_slack_;
    Buffer<std::int64_t> place_of_row_;
    Buffer<std::uint64_t> bits_;
    Buffer<std::uint32_t> before_;
    Buffer<std::uint64_t> inside_;
    Buffer<std::byte> labels_;
    Buffer<std::uint32_t> listed_;  // of the row being written
    Buffer<std::uint32_t> turns_;   // the same
    Buffer<simd::RowEdges> places_;
};

const simd::RegionKernels& region_kernels();

template <class Label>
class RunFinder {
   public:
    using Value = RunValue<Label>;

    RunFinder(const ArrayView& labels, const RunOptions& options, const LabelRules& rules)
        : reader_(labels, options.mask, rules),
          length_(labels.shape.back()),
          find_(rules.binary ? region_kernels().find_changes[kWidthIndex]
                             : region_kernels().find_edges[kWidthIndex]),
          list_(rules.binary ? region_kernels().list_changes : region_kernels().list_edges),
          find_edges_(region_kernels().find_edges[kWidthIndex]),
          count_empty_(region_kernels().count_empty[kWidthIndex]),
          rule_{rules.background.value_or(0),
                rules.background.has_value(),
                rules.binary,
                false,
                rules.ignored.data(),
                static_cast<std::int64_t>(rules.ignored.size())} {}

    // Returns the number of runs; where there are any, `ring` has been told.
    std::int64_t append_row(std::int64_t row, RunSlab<Value>& slab, EdgeRing& ring) {
        const simd::RowEdges& edges = ring.next();
        const std::byte* data = reader_.labels(row);
        const simd::EdgeCounts counts = find_row(row, data, edges);
        if (counts.runs > 0) {
            append(reinterpret_cast<const Label*>(data), counts, slab, edges);
            // Of binary rows, changes tell the runs; few rows are asked for more.
            if (rule_.binary && ring.keeps(counts.runs))
                find_edges_(data, reader_.mask(row), length_, rule_, edges);
            ring.set(row, counts.runs, data);
        }
        slab.row_begin.push_back(static_cast<std::int64_t>(slab.begin.size()));
        return counts.runs;
    }
    // The same for a row of which nothing is kept: its runs, with kSlack entries of room behind.
    std::int64_t list_row(std::int64_t row, const simd::RowEdges& edges, std::uint32_t* begin,
                          std::uint32_t* end) {
        const simd::EdgeCounts counts = find_row(row, reader_.labels(row), edges);
        if (counts.runs > 0) list_(edges, counts, begin, end);
        return counts.runs;
    }
    // Marks the rows [row, last_row) of a slice.
    void mark_rows(std::int64_t row, std::int64_t last_row, simd::SliceRows& out) {
        while (row < last_row) {
            const std::int64_t rows =
                reader_.has_mask() ? 1 : reader_.joined_rows(row, last_row - row);
            const std::byte* data = reader_.labels(row);
            region_kernels().mark_rows[kWidthIndex](data, reader_.mask(row), rows, rule_, out);
            row += rows;
        }
    }
    // Runs of a row.
    std::int64_t count_row(std::int64_t row, const simd::RowEdges& edges) {
        return find_row(row, reader_.labels(row), edges).runs;
    }
    // Entries behind the last one that may be written.
    static constexpr std::size_t kSlack = 64;

    // Of tables of kernels for labels of 1, 2, 4, 8 bytes.
    static constexpr std::size_t kWidthIndex = sizeof(Label) == 8 ? 3 : sizeof(Label) / 2;

    // Goes on from this row as long as rows are plainly empty; returns the next one.
    std::int64_t skip_empty_rows(std::int64_t row, std::int64_t last_row) {
        if (!rule_.has_background || length_ == 0) return row;
        while (row < last_row) {
            const std::int64_t rows = reader_.joined_rows(row, last_row - row);
            if (rows == 1) break;  // not worth a look
            const std::int64_t empty = count_empty_(reader_.labels(row), rows * length_, rule_);
            row += empty / length_;
            if (empty < rows * length_) break;
        }
        return row;
    }

    // Calls function(row) for every row with runs up to `last_row`, after it has been appended.
    template <class Function>
    void append_rows(std::int64_t last_row, RunSlab<Value>& slab, EdgeRing& ring,
                     Function&& function) {
        for (std::int64_t row = slab.first_row; row < last_row;) {
            const bool has_runs = append_row(row, slab, ring) > 0;
            if (has_runs) function(row);
            ++row;
            if (has_runs) continue;
            for (const std::int64_t next = skip_empty_rows(row, last_row); row < next; ++row)
                slab.row_begin.push_back(static_cast<std::int64_t>(slab.begin.size()));
        }
    }

   private:
    simd::EdgeCounts find_row(std::int64_t row, const std::byte* data,
                              const simd::RowEdges& edges) {
        rule_.has_previous = reader_.has_previous(data);
        return find_(data, reader_.mask(row), length_, rule_, edges);
    }
    void append(const Label* labels, simd::EdgeCounts counts, RunSlab<Value>& slab,
                const simd::RowEdges& edges) {
        const std::size_t old = slab.begin.size();
        const auto more = static_cast<std::size_t>(counts.runs);
        slab.begin.reserve_more(more + kSlack);
        slab.end.reserve_more(more + kSlack);
        list_(edges, counts, slab.begin.data() + old, slab.end.data() + old);
        slab.begin.resize(old + more);
        slab.end.resize(old + more);
        if (rule_.binary) return;
        slab.value.reserve_more(more);
        slab.value.resize(old + more);
        for (std::size_t run = old; run < old + more; ++run)
            slab.value[run] = labels[slab.begin[run]];
    }

    RowReader reader_;
    std::int64_t length_;
    simd::FindEdges find_;
    simd::ListEdges list_;
    simd::FindEdges find_edges_;
    simd::CountEmpty count_empty_;
    simd::RowRule rule_;
};

// The label of all runs of these rows, if they have only one; 1 where there are none. Looks for it
// in plain maps only.
template <class Label>
std::optional<std::uint64_t> only_label(const ArrayView& labels, const RunOptions& options,
                                        const LabelRules& rules, std::int64_t first_row,
                                        std::int64_t last_row) {
    if (options.mask != nullptr || !rules.background || !rules.ignored.empty()) return {};
    RowReader reader(labels, nullptr, rules);
    const std::int64_t length = labels.shape.back();
    const auto count_alike = region_kernels().count_alike[RunFinder<Label>::kWidthIndex];
    std::uint64_t label = *rules.background;
    for (std::int64_t row = first_row; row < last_row && length > 0;) {
        const std::int64_t rows = reader.joined_rows(row, last_row - row);
        const auto* data = reinterpret_cast<const Label*>(reader.labels(row));
        std::int64_t alike = count_alike(data, rows * length, *rules.background, label);
        if (alike < rows * length) {
            if (label != *rules.background) return {};
            label = data[alike];
        } else {
            row += rows;
        }
    }
    return label == *rules.background ? 1 : label;
}

// Rows cut into slabs for the workers, whole slices of a volume where there are several.
class SlabPlan {
   public:
    SlabPlan(const VolumeShape& shape, int threads);

    [[nodiscard]] int threads() const noexcept { return threads_; }
    [[nodiscard]] std::int64_t count() const noexcept { return count_; }
    [[nodiscard]] std::int64_t first_row(std::int64_t slab) const noexcept {
        return units_ * slab / count_ * rows_per_unit_;
    }

   private:
    int threads_;
    std::int64_t rows_per_unit_;
    std::int64_t units_;
    std::int64_t count_;
};

inline void require_countable(std::size_t runs) {
    if (runs > static_cast<std::size_t>(kMaxRuns))
        throw std::length_error("more than 2**31 - 1 runs; label the map in slabs");
}

}  // namespace segmeter

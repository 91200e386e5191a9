// From rows of pixels to runs, one slab of rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "segmeter/parallel.hpp"
#include "segmeter/region/runs.hpp"

#include "region/rows.hpp"

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
    Buffer<std::int64_t> row_end;  // per row, counted from the first run of the slab
    Buffer<std::uint32_t> begin;
    Buffer<std::uint32_t> end;
    Buffer<Value> value;  // empty for binary maps
};

template <class Label>
class RunFinder {
   public:
    using Value = RunValue<Label>;

    RunFinder(const ArrayView& labels, const RunOptions& options, const LabelRules& rules)
        : rules_(rules),
          reader_(labels, options),
          length_(labels.shape.back()),
          background_(static_cast<Label>(rules.background.value_or(0))) {}

    void append_row(std::int64_t row, RunSlab<Value>& slab) {
        const auto* labels = reinterpret_cast<const Label*>(reader_.labels(row));
        const std::uint8_t* mask = reader_.mask(row);
        bool open = false;
        for (std::int64_t x = 0; x < length_; ++x) {
            const bool in_run = is_foreground(labels[x]) && (mask == nullptr || mask[x] == 0);
            const bool goes_on = open && in_run && (rules_.binary || labels[x] == labels[x - 1]);
            if (open && !goes_on) slab.end.push_back(static_cast<std::uint32_t>(x));
            if (in_run && !goes_on) {
                slab.begin.push_back(static_cast<std::uint32_t>(x));
                if (!rules_.binary) slab.value.push_back(labels[x]);
            }
            open = in_run;
        }
        if (open) slab.end.push_back(static_cast<std::uint32_t>(length_));
        slab.row_end.push_back(static_cast<std::int64_t>(slab.begin.size()));
    }

   private:
    [[nodiscard]] bool is_foreground(Label label) const {
        if (rules_.background && label == background_) return false;
        return std::none_of(rules_.ignored.begin(), rules_.ignored.end(),
                            [&](std::uint64_t bits) { return bits == label; });
    }

    const LabelRules& rules_;
    RowReader reader_;
    std::int64_t length_;
    Label background_;
};

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

// Two label maps as the boundary kernels see them: one small number a pixel.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"
#include "segmeter/pixel.hpp"

#include "boundary/bit_rows.hpp"
#include "region/finder.hpp"
#include "region/rows.hpp"
#include "simd/band_kernels.hpp"

namespace segmeter::boundary {

[[nodiscard]] const simd::BandKernels& band_kernels();

// Blocks of rows, so many that threads end together.
inline std::int64_t row_blocks(std::int64_t rows, int threads) {
    return threads <= 1 ? 1 : std::clamp<std::int64_t>(rows, 1, std::int64_t{8} * threads);
}

// Calls visit(first row, row behind the last) for blocks of rows, on several threads.
template <class Visit>
void for_each_row_block(std::int64_t rows, int threads, Visit&& visit) {
    const std::int64_t blocks = row_blocks(rows, threads);
    run_blocks(blocks, threads, [&](std::int64_t block) {
        visit(rows * block / blocks, rows * (block + 1) / blocks);
    });
}

template <class Visit>
void for_each_row(std::int64_t rows, int threads, Visit&& visit) {
    for_each_row_block(rows, threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) visit(row);
    });
}

// The maps of one call.
struct LabelMaps {
    const ArrayView& pred;
    const ArrayView& target;
    const ArrayView* mask;
    const LabelTable& pred_labels;
    const LabelTable& target_labels;
};

// Class of every pixel: where the caller's memory holds just that, there, else in memory of its
// own.
template <class Code>
class ClassMap {
   public:
    // Codes are slots of the table: classes, then void, then invalid.
    ClassMap(const ArrayView& labels, const LabelTable& table, const VolumeShape& shape,
             int threads)
        : length_(shape.length) {
        // A bool byte beyond 1 is true as well: as a label it would be out of range.
        const bool is_byte =
            (labels.dtype == DType::kUInt8 || labels.dtype == DType::kBool) && sizeof(Code) == 1;
        if (is_byte && holds_classes_only(table) && is_contiguous(labels)) {
            codes_ = reinterpret_cast<const Code*>(labels.data);
            const std::uint32_t end = labels.dtype == DType::kBool
                                          ? std::min<std::uint32_t>(2, table.void_slot())
                                          : table.void_slot();
            if (!any_from(end, shape, threads)) return;
        }
        read(labels, table, shape, threads);
        has_odd_ = any_from(table.void_slot(), shape, threads);
    }

    [[nodiscard]] const Code* row(std::int64_t r) const { return codes_ + r * length_; }
    // Whether a pixel is of no class.
    [[nodiscard]] bool has_odd() const { return has_odd_; }
    [[nodiscard]] bool is_own() const { return !own_.empty(); }
    [[nodiscard]] Code* own_row(std::int64_t r) { return own_.data() + r * length_; }

   private:
    [[nodiscard]] static bool holds_classes_only(const LabelTable& table) {
        if (!table.far().empty()) return false;
        for (std::size_t label = 0; label < table.near().size(); ++label)
            if (table.near()[label] != label) return false;
        return true;
    }
    [[nodiscard]] static bool is_contiguous(const ArrayView& view) {
        std::int64_t step = item_size(view.dtype);
        for (std::size_t axis = view.shape.size(); axis-- > 0; step *= view.shape[axis])
            if (view.strides[axis] != step && view.shape[axis] > 1) return false;
        return true;
    }

    [[nodiscard]] bool any_from(std::uint32_t slot, const VolumeShape& shape, int threads) const {
        const std::int64_t blocks = row_blocks(shape.all_rows(), threads);
        std::vector<Code> highest(static_cast<std::size_t>(blocks));
        run_blocks(blocks, threads, [&](std::int64_t block) {
            const Code* end = row(shape.all_rows() * (block + 1) / blocks);
            Code most = 0;
            for (const Code* code = row(shape.all_rows() * block / blocks); code != end; ++code)
                most = std::max(most, *code);
            highest[static_cast<std::size_t>(block)] = most;
        });
        return *std::max_element(highest.begin(), highest.end()) >= slot;
    }

    void read(const ArrayView& labels, const LabelTable& table, const VolumeShape& shape,
              int threads) {
        own_.resize(static_cast<std::size_t>(shape.all_rows() * shape.length));
        codes_ = own_.data();
        RunOptions every;
        every.background = std::nullopt;
        const LabelRules rules(labels.dtype, every);
        with_label_type(item_size(labels.dtype), [&](auto type) {
            using Label = decltype(type);
            for_each_row_block(
                shape.all_rows(), threads, [&](std::int64_t begin, std::int64_t end) {
                    RowReader reader(labels, nullptr, rules);
                    const SlotFinder<Label> find(table, labels.dtype);
                    for (std::int64_t r = begin; r < end; ++r)
                        find(reinterpret_cast<const Label*>(reader.labels(r)), length_, own_row(r));
                });
        });
    }

    // Slots of a row of labels: by table where there are 256 of them, else anew where they change.
    template <class Label>
    class SlotFinder {
       public:
        SlotFinder(const LabelTable& table, DType dtype) : table_(table), dtype_(dtype) {
            if constexpr (sizeof(Label) == 1)
                for (std::size_t bits = 0; bits < bytes_.size(); ++bits)
                    bytes_[bits] = slot(static_cast<Label>(bits));
        }
        void operator()(const Label* labels, std::int64_t n, Code* out) const {
            if constexpr (sizeof(Label) == 1) {
                for (std::int64_t x = 0; x < n; ++x) out[x] = bytes_[labels[x]];
            } else {
                for (std::int64_t x = 0; x < n; ++x)
                    out[x] = x > 0 && labels[x] == labels[x - 1] ? out[x - 1] : slot(labels[x]);
            }
        }

       private:
        [[nodiscard]] Code slot(Label bits) const {
            const std::int64_t label =
                dtype_ == DType::kBool ? bits != 0 : label_of_bits(bits, dtype_);
            // Labels of 2^63 and more look negative; they are nobody's class.
            const bool is_huge = dtype_ == DType::kUInt64 && label < 0;
            return static_cast<Code>(is_huge ? table_.invalid_slot() : table_.slot(label));
        }
        const LabelTable& table_;
        DType dtype_;
        std::array<Code, 256> bytes_{};
    };

    std::int64_t length_;
    const Code* codes_ = nullptr;
    std::vector<Code> own_;
    bool has_odd_ = false;
};

// Two maps of classes. A pixel of none has the code num_classes; those without one in target, and
// those that are masked, are ignored.
template <class Code>
class ClassMaps {
   public:
    ClassMaps(const LabelMaps& labels, bool ignore_invalid, int threads_asked)
        : shape(labels.target.shape),
          threads(thread_count(threads_asked, work_of(shape))),
          num_classes(labels.target_labels.num_classes()),
          pred(labels.pred, labels.pred_labels, shape, threads),
          target(labels.target, labels.target_labels, shape, threads) {
        if (labels.mask != nullptr || pred.has_odd() || target.has_odd())
            settle(labels.mask, ignore_invalid);
    }

    // A byte for each pixel, not 0 where it is ignored; null if none is.
    [[nodiscard]] const std::uint8_t* ignored() const {
        return ignored_.empty() ? nullptr : ignored_.data();
    }

    VolumeShape shape;
    int threads;
    std::int64_t num_classes;
    ClassMap<Code> pred;
    ClassMap<Code> target;
    PixelTally tally;

   private:
    // An image takes several sweeps of a few hundredths of a nanosecond a pixel, each of which
    // threads are called for: below some 500,000 pixels two are slower than one on some machines.
    [[nodiscard]] static std::int64_t work_of(const VolumeShape& shape) {
        const std::int64_t pixels = shape.all_rows() * shape.length;
        return shape.slices > 1 ? pixels : pixels / 16;
    }

    // Counts void and invalid labels and makes them void, and finds the ignored pixels.
    void settle(const ArrayView* mask, bool ignore_invalid) {
        ignored_.resize(static_cast<std::size_t>(shape.all_rows() * shape.length));
        const std::int64_t blocks = row_blocks(shape.all_rows(), threads);
        std::vector<PixelTally> tallies(static_cast<std::size_t>(blocks));
        run_blocks(blocks, threads, [&](std::int64_t block) {
            PixelTally& found = tallies[static_cast<std::size_t>(block)];
            MaskReader masks(mask);
            const std::int64_t end = shape.all_rows() * (block + 1) / blocks;
            for (std::int64_t r = shape.all_rows() * block / blocks; r < end; ++r)
                settle_row(r, masks.row(r), ignore_invalid, found);
        });
        for (const PixelTally& part : tallies) {
            tally.ignored += part.ignored;
            tally.void_pred += part.void_pred;
            tally.invalid_pred += part.invalid_pred;
            tally.invalid_target += part.invalid_target;
        }
        std::uint8_t any = 0;
        for (const std::uint8_t flag : ignored_) any |= flag;
        if (any == 0) ignored_.clear();
    }

    class MaskReader {
       public:
        explicit MaskReader(const ArrayView* mask) {
            if (mask != nullptr) reader_.emplace(*mask, nullptr, LabelRules(DType::kBool, {}));
        }
        [[nodiscard]] const std::uint8_t* row(std::int64_t r) {
            return reader_ ? reinterpret_cast<const std::uint8_t*>(reader_->labels(r)) : nullptr;
        }

       private:
        std::optional<RowReader> reader_;
    };

    // Whether every pixel counts and has a class in both maps.
    [[nodiscard]] static bool is_plain_row(const Code* p, const Code* t, const std::uint8_t* mask,
                                           std::int64_t n, Code none) {
        Code most = 0;
        for (std::int64_t x = 0; x < n; ++x) most = std::max({most, p[x], t[x]});
        std::uint8_t masked = 0;
        for (std::int64_t x = 0; mask != nullptr && x < n; ++x) masked |= mask[x];
        return most < none && masked == 0;
    }

    void settle_row(std::int64_t r, const std::uint8_t* mask, bool ignore_invalid,
                    PixelTally& found) {
        const auto none = static_cast<Code>(num_classes);
        std::uint8_t* out = ignored_.data() + r * shape.length;
        const Code* p = pred.row(r);
        const Code* t = target.row(r);
        const std::int64_t length = shape.length;
        if (is_plain_row(p, t, mask, length, none)) return;
        for (std::int64_t x = 0; x < length; ++x) {
            const bool masked = mask != nullptr && mask[x] != 0;
            if (!masked && p[x] < none && t[x] < none) continue;
            if (masked || t[x] == none) {
                ++found.ignored;
                out[x] = 1;
            } else if (t[x] > none) {
                ++found.invalid_target;
                out[x] = 1;
            } else if (p[x] == none) {
                ++found.void_pred;
            } else {
                ++found.invalid_pred;
                out[x] = ignore_invalid ? 1 : 0;
            }
        }
        for (ClassMap<Code>* map : {&pred, &target}) {
            if (!map->has_odd()) continue;
            Code* codes = map->own_row(r);
            for (std::int64_t x = 0; x < length; ++x) codes[x] = std::min(codes[x], none);
        }
    }

    std::vector<std::uint8_t> ignored_;
};

// Calls function(Code{}) with the narrowest type for classes, void and invalid.
template <class Function>
void with_code_type(std::int64_t num_classes, Function&& function) {
    if (num_classes < 255)
        function(std::uint8_t{});
    else
        function(std::uint32_t{});
}

}  // namespace segmeter::boundary

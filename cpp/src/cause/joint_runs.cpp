#include "cause/joint_runs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "pixel/tiles.hpp"

namespace segmeter::cause {
namespace {

// First x > begin with another value than row[begin], or `columns`; eight bytes at a time.
template <class Value>
std::int64_t end_of_run(const std::byte* row_bytes, std::int64_t begin, std::int64_t columns) {
    constexpr std::int64_t kLanes = 8 / static_cast<std::int64_t>(sizeof(Value));
    const auto* row = reinterpret_cast<const Value*>(row_bytes);
    const Value value = row[begin];
    std::uint64_t pattern = value;
    for (std::size_t bits = 8 * sizeof(Value); bits < 64; bits *= 2) pattern |= pattern << bits;
    std::int64_t x = begin + 1;
    while (x + kLanes <= columns) {
        std::uint64_t word;
        std::memcpy(&word, row + x, sizeof(word));
        if (word != pattern) break;
        x += kLanes;
    }
    while (x < columns && row[x] == value) ++x;
    return x;
}

template <class Value>
std::int64_t value_at(const std::byte* row, std::int64_t x) {
    return static_cast<std::int64_t>(reinterpret_cast<const Value*>(row)[x]);
}

// One map, row by row: its values and where their runs end.
class MapRows {
   public:
    explicit MapRows(const ArrayView& view)
        : view_(view),
          width_(item_size(view.dtype)),
          copy_(label_copier(view.dtype, view.byte_swapped, width_)),
          is_in_place_(reads_in_place(view)) {
        choose_functions();
    }

    void open(std::int64_t plane, std::int64_t row) {
        const std::size_t axis = view_.shape.size() - 2;
        const std::byte* data = view_.data + row * view_.strides[axis];
        if (axis == 1) data += plane * view_.strides[0];
        if (is_in_place_) {
            row_ = data;
            return;
        }
        const std::int64_t columns = view_.shape.back();
        scratch_.resize(static_cast<std::size_t>(columns * width_));
        copy_(data, view_.strides.back(), columns, scratch_.data());
        row_ = scratch_.data();
    }
    [[nodiscard]] std::int64_t run_end(std::int64_t begin) const {
        return run_end_(row_, begin, view_.shape.back());
    }
    [[nodiscard]] std::int64_t value(std::int64_t x) const { return value_(row_, x); }
    // Labels of 2^63 and more arrive as negative numbers; they are nobody's class.
    [[nodiscard]] bool is_beyond_int64(std::int64_t value) const {
        return view_.dtype == DType::kUInt64 && value < 0;
    }

   private:
    // A bool's byte may be any that is not 0: it is copied, which makes it 1.
    static bool reads_in_place(const ArrayView& view) {
        const std::int64_t width = item_size(view.dtype);
        bool is_aligned =
            reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(width) == 0;
        for (const std::int64_t stride : view.strides) is_aligned &= stride % width == 0;
        return is_aligned && view.strides.back() == width && !view.byte_swapped &&
               view.dtype != DType::kBool;
    }
    void choose_functions() {
        const bool is_negative = is_signed(view_.dtype);
        switch (width_) {
            case 1:
                run_end_ = end_of_run<std::uint8_t>;
                value_ = is_negative ? value_at<std::int8_t> : value_at<std::uint8_t>;
                break;
            case 2:
                run_end_ = end_of_run<std::uint16_t>;
                value_ = is_negative ? value_at<std::int16_t> : value_at<std::uint16_t>;
                break;
            case 4:
                run_end_ = end_of_run<std::uint32_t>;
                value_ = is_negative ? value_at<std::int32_t> : value_at<std::uint32_t>;
                break;
            default: run_end_ = end_of_run<std::uint64_t>; value_ = value_at<std::int64_t>;
        }
    }

    const ArrayView& view_;
    std::int64_t width_;
    CopyElements copy_;
    bool is_in_place_;
    std::int64_t (*run_end_)(const std::byte*, std::int64_t, std::int64_t) = nullptr;
    std::int64_t (*value_)(const std::byte*, std::int64_t) = nullptr;
    const std::byte* row_ = nullptr;
    std::vector<std::byte> scratch_;
};

std::int32_t class_of(const LabelTable& labels, const MapRows& map, std::int64_t x) {
    const std::int64_t value = map.value(x);
    const std::uint32_t slot =
        map.is_beyond_int64(value) ? labels.invalid_slot() : labels.slot(value);
    if (slot < labels.void_slot()) return static_cast<std::int32_t>(slot);
    return slot == labels.void_slot() ? kNoClass : kInvalidClass;
}

class Reader {
   public:
    explicit Reader(const LabelMaps& maps) : maps_(maps), pred_(maps.pred), target_(maps.target) {
        if (maps.mask != nullptr) mask_.emplace_back(*maps.mask);
    }

    void operator()(std::int64_t row, std::vector<JointRun>& out) {
        const std::int64_t plane = row / maps_.rows_per_plane();
        const std::int64_t columns = maps_.columns();
        pred_.open(plane, row % maps_.rows_per_plane());
        target_.open(plane, row % maps_.rows_per_plane());
        for (MapRows& mask : mask_) mask.open(plane, row % maps_.rows_per_plane());
        std::int64_t pred_end = 0;
        std::int64_t target_end = 0;
        std::int64_t mask_end = mask_.empty() ? columns : 0;
        bool is_masked = false;
        JointRun run{};
        for (std::int64_t x = 0; x < columns; x = run.end) {
            if (x == pred_end) {
                pred_end = pred_.run_end(x);
                run.pred = class_of(maps_.pred_labels, pred_, x);
            }
            if (x == target_end) {
                target_end = target_.run_end(x);
                target_class_ = class_of(maps_.target_labels, target_, x);
            }
            if (x == mask_end) {
                mask_end = mask_[0].run_end(x);
                is_masked = mask_[0].value(x) != 0;
            }
            run.target = is_masked ? kNoClass : target_class_;
            run.begin = static_cast<std::int32_t>(x);
            run.end = static_cast<std::int32_t>(std::min({pred_end, target_end, mask_end}));
            out.push_back(run);
        }
    }

   private:
    const LabelMaps& maps_;
    MapRows pred_;
    MapRows target_;
    std::vector<MapRows> mask_;  // none or one
    std::int32_t target_class_ = kNoClass;
};

}  // namespace

JointRuns read_joint_runs(const LabelMaps& maps, int threads) {
    return collect_rows<JointRun>(maps.planes() * maps.rows_per_plane(), threads,
                                  [&] { return Reader(maps); });
}

PixelTally settle_invalid(JointRuns& runs, bool ignore_invalid) {
    PixelTally tally;
    for (JointRun& run : runs.items) {
        if (run.target == kNoClass) {
            tally.ignored += run.size();
        } else if (run.target == kInvalidClass) {
            tally.invalid_target += run.size();
            run.target = kNoClass;
        } else if (run.pred == kNoClass) {
            tally.void_pred += run.size();
        } else if (run.pred == kInvalidClass) {
            tally.invalid_pred += run.size();
            if (ignore_invalid) run.target = kNoClass;
        }
        if (run.pred == kInvalidClass) run.pred = kNoClass;
    }
    return tally;
}

}  // namespace segmeter::cause

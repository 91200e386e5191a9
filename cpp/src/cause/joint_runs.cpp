#include "cause/joint_runs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

#include "region/finder.hpp"

namespace segmeter::cause {
namespace {

template <class Value>
Value load(const std::byte* row, std::int64_t x) {
    Value value;
    std::memcpy(&value, row + x * static_cast<std::int64_t>(sizeof(Value)), sizeof(Value));
    return value;
}

// First x > begin with another value than the one at begin, or `length`; a word at a time.
template <class Value>
std::int64_t end_of_run(const std::byte* row, std::int64_t begin, std::int64_t length) {
    constexpr auto kLanes = static_cast<std::int64_t>(8 / sizeof(Value));
    const Value value = load<Value>(row, begin);
    std::uint64_t pattern = value;
    for (std::size_t bits = 8 * sizeof(Value); bits < 64; bits *= 2) pattern |= pattern << bits;
    std::int64_t x = begin + 1;
    while (x + kLanes <= length) {
        std::uint64_t word;
        std::memcpy(&word, row + x * static_cast<std::int64_t>(sizeof(Value)), sizeof(word));
        if (word != pattern) break;
        x += kLanes;
    }
    while (x < length && load<Value>(row, x) == value) ++x;
    return x;
}

// The runs of one row of one map, from left to right.
class RowRuns {
   public:
    explicit RowRuns(const ArrayView& view)
        : dtype_(view.dtype), length_(view.shape.back()), width_(item_size(view.dtype)) {}

    void open(const std::byte* row) {
        row_ = row;
        end_ = 0;
    }
    [[nodiscard]] std::int64_t end() const { return end_; }
    // To the run that begins at end(); returns its label's bits.
    std::uint64_t advance() {
        const std::int64_t begin = end_;
        return with_label_type(width_, [&](auto type) -> std::uint64_t {
            using Label = decltype(type);
            end_ = end_of_run<Label>(row_, begin, length_);
            return load<Label>(row_, begin);
        });
    }
    std::int32_t advance(const LabelTable& labels) {
        const std::int64_t label = label_of_bits(advance(), dtype_);
        // Labels of 2^63 and more look negative; they are nobody's class.
        const bool is_huge = dtype_ == DType::kUInt64 && label < 0;
        const std::uint32_t slot = is_huge ? labels.invalid_slot() : labels.slot(label);
        if (slot < labels.void_slot()) return static_cast<std::int32_t>(slot);
        return slot == labels.void_slot() ? kNoClass : kInvalidClass;
    }

   private:
    DType dtype_;
    std::int64_t length_;
    std::int64_t width_;
    const std::byte* row_ = nullptr;
    std::int64_t end_ = 0;
};

class Reader {
   public:
    explicit Reader(const LabelMaps& maps)
        : maps_(maps),
          length_(maps.target.shape.back()),
          pred_rows_(maps.pred, nullptr, every_label(maps.pred.dtype)),
          target_rows_(maps.target, maps.mask, every_label(maps.target.dtype)),
          pred_(maps.pred),
          target_(maps.target),
          mask_(maps.mask != nullptr ? *maps.mask : maps.target) {}

    void operator()(std::int64_t row, std::vector<JointRun>& out) {
        pred_.open(pred_rows_.labels(row));
        target_.open(target_rows_.labels(row));
        if (maps_.mask != nullptr)
            mask_.open(reinterpret_cast<const std::byte*>(target_rows_.mask(row)));
        std::int32_t target = kNoClass;
        bool is_masked = false;
        JointRun run{};
        for (std::int64_t x = 0; x < length_; x = run.end) {
            if (x == pred_.end()) run.pred = pred_.advance(maps_.pred_labels);
            if (x == target_.end()) target = target_.advance(maps_.target_labels);
            if (maps_.mask != nullptr && x == mask_.end()) is_masked = mask_.advance() != 0;
            std::int64_t end = std::min(pred_.end(), target_.end());
            if (maps_.mask != nullptr) end = std::min(end, mask_.end());
            run.target = is_masked ? kNoClass : target;
            run.begin = static_cast<std::int32_t>(x);
            run.end = static_cast<std::int32_t>(end);
            out.push_back(run);
        }
    }

   private:
    static LabelRules every_label(DType dtype) {
        RunOptions options;
        options.background = std::nullopt;
        return LabelRules(dtype, options);
    }

    const LabelMaps& maps_;
    std::int64_t length_;
    RowReader pred_rows_;
    RowReader target_rows_;
    RowRuns pred_;
    RowRuns target_;
    RowRuns mask_;
};

}  // namespace

JointRuns read_joint_runs(const LabelMaps& maps, int threads) {
    require_readable(maps.pred);
    require_readable(maps.target);
    if (maps.target.shape.back() > std::numeric_limits<std::int32_t>::max())
        throw std::invalid_argument("the last axis is longer than 2**31 - 1");
    const VolumeShape shape(maps.target.shape);
    auto runs = collect_rows<JointRun>(shape.all_rows(), threads, [&] { return Reader(maps); });
    require_countable(runs.items.size());
    return runs;
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

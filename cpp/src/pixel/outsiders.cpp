#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "segmeter/pixel.hpp"

#include "pixel/tiles.hpp"

namespace segmeter {
namespace {

// Visits the elements of equally shaped arrays in row-major order.
class RowMajor {
   public:
    RowMajor(std::span<const std::int64_t> shape, std::span<const ArrayView* const> views)
        : shape_(shape), views_(views) {
        for (std::size_t i = 0; i < views.size(); ++i) at_[i] = views[i]->data;
    }
    [[nodiscard]] const std::byte* at(std::size_t view) const { return at_[view]; }
    void advance() {
        for (std::size_t axis = shape_.size(); axis-- > 0;) {
            for (std::size_t i = 0; i < views_.size(); ++i) at_[i] += views_[i]->strides[axis];
            if (++index_[axis] < shape_[axis]) return;
            for (std::size_t i = 0; i < views_.size(); ++i)
                at_[i] -= index_[axis] * views_[i]->strides[axis];
            index_[axis] = 0;
        }
    }

   private:
    std::span<const std::int64_t> shape_;
    std::span<const ArrayView* const> views_;
    std::array<const std::byte*, 3> at_{};
    std::array<std::int64_t, kMaxDims> index_{};
};

struct LabelReader {
    explicit LabelReader(const ArrayView& view)
        : copy(label_copier(view.dtype, view.byte_swapped, 8)),
          is_unsigned(view.dtype == DType::kUInt64) {}
    [[nodiscard]] std::int64_t label(const std::byte* at) const {
        std::int64_t value = 0;
        copy(at, 0, 1, &value);
        return value;
    }
    // Labels of 2^63 and more arrive as negative numbers; they are nobody's class.
    [[nodiscard]] std::uint32_t slot(const LabelTable& table, std::int64_t value) const {
        return is_unsigned && value < 0 ? table.invalid_slot() : table.slot(value);
    }
    CopyElements copy;
    bool is_unsigned;
};

}  // namespace

std::vector<Outsider> find_outsiders(const ArrayView* pred, const LabelTable& pred_labels,
                                     const ArrayView& target, const LabelTable& target_labels,
                                     const ArrayView* mask, std::uint32_t slot, int most) {
    std::vector<Outsider> found;
    const ArrayView& labels = pred != nullptr ? *pred : target;
    const LabelTable& table = pred != nullptr ? pred_labels : target_labels;
    const std::array<const ArrayView*, 3> views{&labels, &target, mask};
    RowMajor pixels(target.shape, std::span(views).first(mask != nullptr ? 3 : 2));
    const LabelReader reader(labels);
    const LabelReader target_reader(target);
    const auto is_counted = [&] {
        if (mask != nullptr && *pixels.at(2) != std::byte{0}) return false;
        const std::uint32_t truth =
            target_reader.slot(target_labels, target_reader.label(pixels.at(1)));
        return pred != nullptr ? truth < target_labels.void_slot()
                               : truth != target_labels.void_slot();
    };
    const std::int64_t size = target.size();
    for (std::int64_t position = 0; position < size; ++position, pixels.advance()) {
        const std::int64_t value = reader.label(pixels.at(0));
        if (reader.slot(table, value) != slot || !is_counted()) continue;
        const auto known = std::find_if(found.begin(), found.end(),
                                        [&](const Outsider& o) { return o.label == value; });
        if (known != found.end())
            ++known->count;
        else if (static_cast<int>(found.size()) < most)
            found.push_back({value, 1, position});
    }
    return found;
}

}  // namespace segmeter

// How labels are read, as the Python functions of several families say it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "segmeter/cause.hpp"
#include "segmeter/pixel.hpp"

#include "arrays.hpp"

namespace segmeter::bindings {

using Labels = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
// Pairs (label, class), class < 0 meaning void; absent: labels are classes.
using Mapping = std::optional<std::pair<Labels, Labels>>;

inline LabelTable table_of(std::int64_t num_classes, const Mapping& mapping) {
    if (!mapping) return LabelTable(num_classes);
    const auto& [labels, classes] = *mapping;
    return {num_classes, std::span(labels.data(), static_cast<std::size_t>(labels.size())),
            std::span(classes.data(), static_cast<std::size_t>(classes.size()))};
}

// How labels are read and where results go: what is the same from one call to the next, converted
// once, because small images come in millions.
struct Rules {
    Rules(std::int64_t classes, const Mapping& pred_mapping, const Mapping& target_mapping,
          const Mapping& channel_mapping, bool has_void_column, bool counts_invalid_as_void,
          int most_threads)
        : num_classes(classes),
          pred(table_of(classes, pred_mapping)),
          target(table_of(classes, target_mapping)),
          channels(table_of(classes, channel_mapping)),
          void_column(has_void_column),
          invalid_is_void(counts_invalid_as_void),
          threads(most_threads) {}

    [[nodiscard]] ConfusionOptions options(bool per_image) const {
        return {per_image, void_column, invalid_is_void, threads};
    }

    std::int64_t num_classes;
    LabelTable pred;
    LabelTable target;
    LabelTable channels;
    bool void_column;
    bool invalid_is_void;
    int threads;
};

inline std::optional<ArrayView> mask_view(const std::optional<py::array>& mask,
                                          const ArrayView& target) {
    if (!mask) return std::nullopt;
    const ArrayView view = view_of(*mask);
    if (view.dtype != DType::kBool) throw py::type_error("mask must be bool");
    require_shape(view, target.shape, "mask");
    return view;
}

// The two maps of a call that measures between pixels, checked.
struct LabelMapPair {
    ArrayView pred;
    ArrayView target;
    std::optional<ArrayView> mask;

    LabelMapPair(const py::array& pred_array, const py::array& target_array,
                 const std::optional<py::array>& mask_array)
        : pred(view_of(pred_array)),
          target(view_of(target_array)),
          mask(mask_view(mask_array, target)) {
        if (is_float(pred.dtype) || is_float(target.dtype))
            throw py::type_error("labels must be integers");
        require_shape(pred, target.shape, "pred");
        if (target.shape.size() != 2 && target.shape.size() != 3)
            throw py::value_error("label maps must have two or three axes");
    }
    [[nodiscard]] const ArrayView* flags() const { return mask ? &*mask : nullptr; }
};

// Pixels that are void in pred, invalid in pred, invalid in target.
using OddPixels = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

inline OddPixels odd_of(const PixelTally& tally) {
    return {tally.void_pred, tally.invalid_pred, tally.invalid_target};
}

// Rows of near offsets.
using Element = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

inline std::span<const NearRow> rows_of(const Element& element) {
    static_assert(sizeof(NearRow) == 3 * sizeof(std::int64_t));
    if (element.ndim() != 2 || element.shape(1) != 3)
        throw py::value_error("element must hold rows of three numbers");
    return {reinterpret_cast<const NearRow*>(element.data()),
            static_cast<std::size_t>(element.shape(0))};
}

}  // namespace segmeter::bindings

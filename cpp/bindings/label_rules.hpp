// How labels are read, as the Python functions of several families say it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

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

}  // namespace segmeter::bindings

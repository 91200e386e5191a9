#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "segmeter/boundary/band.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "label_rules.hpp"

namespace segmeter::bindings {
namespace {

using Counts = py::array_t<std::int64_t>;

// Cells of the counts, and the odd pixels.
using Counted = std::pair<Counts, OddPixels>;

Counted bound_band_overlap(const Rules& rules, const py::array& pred, const py::array& target,
                           const std::optional<py::array>& mask, const Reach& reach, bool border,
                           bool ignore_invalid) {
    const LabelMapPair maps(pred, target, mask);
    auto counts = zeros<std::int64_t>({rules.num_classes, kBandCounts});
    std::int64_t* cells = counts.mutable_data();
    PixelTally tally;
    {
        const py::gil_scoped_release release;
        tally = band_overlap(maps.pred, maps.target, maps.flags(), rules.pred, rules.target, reach,
                             {border, ignore_invalid, rules.threads}, cells);
    }
    return {std::move(counts), odd_of(tally)};
}

Counted bound_trimap_confusion(const Rules& rules, const py::array& pred, const py::array& target,
                               const std::optional<py::array>& mask,
                               const std::vector<Reach>& reaches, bool border,
                               bool ignore_invalid) {
    const LabelMapPair maps(pred, target, mask);
    auto matrices = zeros<std::int64_t>(
        {static_cast<py::ssize_t>(reaches.size()), rules.num_classes, rules.num_classes + 1});
    std::int64_t* cells = matrices.mutable_data();
    PixelTally tally;
    {
        const py::gil_scoped_release release;
        tally = trimap_confusion(maps.pred, maps.target, maps.flags(), rules.pred, rules.target,
                                 reaches, {border, ignore_invalid, rules.threads}, cells);
    }
    return {std::move(matrices), odd_of(tally)};
}

Counted bound_outline_matches(const Rules& rules, const py::array& pred, const py::array& target,
                              const std::optional<py::array>& mask, bool corner, bool border,
                              bool ignored_is_outside, const Element& element, bool ignore_invalid,
                              std::optional<std::int64_t> only_class) {
    const LabelMapPair maps(pred, target, mask);
    auto counts = zeros<std::int64_t>({rules.num_classes, kOutlineCounts});
    std::int64_t* cells = counts.mutable_data();
    const std::span<const NearRow> rows = rows_of(element);
    const OutlineOptions options{corner ? OutlineRule::kCorner : OutlineRule::kInner,
                                 border,
                                 ignored_is_outside,
                                 ignore_invalid,
                                 only_class,
                                 rules.threads};
    PixelTally tally;
    {
        const py::gil_scoped_release release;
        tally = outline_matches(maps.pred, maps.target, maps.flags(), rules.pred, rules.target,
                                rows, options, cells);
    }
    return {std::move(counts), odd_of(tally)};
}

py::array_t<bool> bound_label_band(const py::array& labels, const std::optional<py::array>& unknown,
                                   const Reach& reach, bool border, int threads) {
    const ArrayView view = view_of(labels);
    if (is_float(view.dtype)) throw py::type_error("labels must be integers");
    if (view.byte_swapped || (labels.flags() & py::array::c_style) == 0)
        throw py::value_error("labels must be contiguous and of native byte order");
    const std::optional<ArrayView> mask = mask_view(unknown, view);
    if (mask && (unknown->flags() & py::array::c_style) == 0)
        throw py::value_error("unknown must be contiguous");
    py::array_t<bool> band(
        std::vector<py::ssize_t>(labels.shape(), labels.shape() + labels.ndim()));
    auto* out = reinterpret_cast<std::uint8_t*>(band.mutable_data());
    const auto* flags = mask ? reinterpret_cast<const std::uint8_t*>(mask->data) : nullptr;
    {
        const py::gil_scoped_release release;
        label_band(view, flags, reach, border, threads, out);
    }
    return band;
}

}  // namespace

void bind_band(py::module_& m) {
    m.def("band_overlap", &bound_band_overlap, py::arg("rules"), py::arg("pred"), py::arg("target"),
          py::arg("mask"), py::arg("reach"), py::arg("border"), py::arg("ignore_invalid"));
    m.def("trimap_confusion", &bound_trimap_confusion, py::arg("rules"), py::arg("pred"),
          py::arg("target"), py::arg("mask"), py::arg("reaches"), py::arg("border"),
          py::arg("ignore_invalid"));
    m.def("outline_matches", &bound_outline_matches, py::arg("rules"), py::arg("pred"),
          py::arg("target"), py::arg("mask"), py::arg("corner"), py::arg("border"),
          py::arg("ignored_is_outside"), py::arg("element"), py::arg("ignore_invalid"),
          py::arg("only_class"));
    m.def("label_band", &bound_label_band, py::arg("labels"), py::arg("unknown"), py::arg("reach"),
          py::arg("border"), py::arg("threads"));
}

}  // namespace segmeter::bindings

#include <optional>
#include <tuple>
#include <vector>

#include "segmeter/cause.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "label_rules.hpp"
#include "overlap_arrays.hpp"

namespace segmeter::bindings {
namespace {

using Map = py::array_t<std::uint8_t>;
// Counts of each class and kind, the odd pixels, the maps.
using Causes =
    std::tuple<py::array_t<std::int64_t>, OddPixels, std::optional<Map>, std::optional<Map>>;

Causes bound_error_causes(const Rules& rules, const py::array& pred, const py::array& target,
                          const std::optional<py::array>& mask, const Element& element,
                          bool ignore_invalid, bool return_map,
                          std::optional<std::int64_t> kinds_class) {
    const LabelMapPair inputs(pred, target, mask);
    auto counts = zeros<std::int64_t>({rules.num_classes, kCauseKinds});
    std::optional<Map> sides;
    std::optional<Map> kinds;
    std::vector<py::ssize_t> shape(target.shape(), target.shape() + target.ndim());
    CauseMaps maps;
    if (kinds_class) {
        kinds = zeros<std::uint8_t>(shape);
        maps.kinds = kinds->mutable_data();
        maps.kinds_class = *kinds_class;
    }
    if (return_map) {
        shape.insert(shape.begin(), 2);
        sides = zeros<std::uint8_t>(shape);
        maps.fp = sides->mutable_data();
        maps.fn = maps.fp + target.size();
    }
    PixelTally tally;
    std::int64_t* cells = counts.mutable_data();
    {
        const std::span<const NearRow> rows = rows_of(element);
        const py::gil_scoped_release release;
        tally = error_causes(inputs.pred, inputs.target, inputs.flags(), rules.pred, rules.target,
                             rows, {ignore_invalid, rules.threads}, cells, maps);
    }
    return {std::move(counts), odd_of(tally), std::move(sides), std::move(kinds)};
}

// ((label, area, void) of pred, the same of target, (pred, target, intersection), ignored pixels,
// classes of pred, classes of target, the odd pixels).
py::tuple bound_segment_overlap(const Rules& rules, const py::array& pred, const py::array& target,
                                const std::optional<py::array>& mask, bool ignore_invalid) {
    const LabelMapPair inputs(pred, target, mask);
    SegmentOverlap found;
    {
        const py::gil_scoped_release release;
        found = segment_overlap(inputs.pred, inputs.target, inputs.flags(), rules.pred,
                                rules.target, {ignore_invalid, rules.threads});
    }
    return py::make_tuple(side_of(std::move(found.overlap.pred)),
                          side_of(std::move(found.overlap.target)),
                          pairs_of(std::move(found.overlap.pairs)), found.overlap.num_ignored,
                          adopt(std::move(found.pred_class)), adopt(std::move(found.target_class)),
                          odd_of(found.tally));
}

}  // namespace

void bind_cause(py::module_& m) {
    m.def("error_causes", &bound_error_causes, py::arg("rules"), py::arg("pred"), py::arg("target"),
          py::arg("mask"), py::arg("element"), py::arg("ignore_invalid"), py::arg("return_map"),
          py::arg("kinds_class"));
    m.def("segment_overlap", &bound_segment_overlap, py::arg("rules"), py::arg("pred"),
          py::arg("target"), py::arg("mask"), py::arg("ignore_invalid"));
}

}  // namespace segmeter::bindings

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

using Element = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Map = py::array_t<std::uint8_t>;
// Pixels that are void in pred, invalid in pred, invalid in target.
using Odd = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
// Counts of each class and kind, the odd pixels, the maps.
using Causes = std::tuple<py::array_t<std::int64_t>, Odd, std::optional<Map>, std::optional<Map>>;

Odd odd_of(const PixelTally& tally) {
    return {tally.void_pred, tally.invalid_pred, tally.invalid_target};
}

// The arrays of a call, checked.
struct Inputs {
    ArrayView pred;
    ArrayView target;
    std::optional<ArrayView> mask;

    Inputs(const py::array& pred_array, const py::array& target_array,
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

std::span<const NearRow> rows_of(const Element& element) {
    static_assert(sizeof(NearRow) == 3 * sizeof(std::int64_t));
    if (element.ndim() != 2 || element.shape(1) != 3)
        throw py::value_error("element must hold rows of three numbers");
    return {reinterpret_cast<const NearRow*>(element.data()),
            static_cast<std::size_t>(element.shape(0))};
}

Causes bound_error_causes(const Rules& rules, const py::array& pred, const py::array& target,
                          const std::optional<py::array>& mask, const Element& element,
                          bool ignore_invalid, bool return_map,
                          std::optional<std::int64_t> kinds_class) {
    const Inputs inputs(pred, target, mask);
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
    const Inputs inputs(pred, target, mask);
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

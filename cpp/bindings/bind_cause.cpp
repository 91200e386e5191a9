#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "segmeter/cause.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "label_rules.hpp"

namespace segmeter::bindings {
namespace {

using Element = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Map = py::array_t<std::uint8_t>;
// Counts of each class and kind; void in pred, invalid in pred, invalid in target; the maps.
using Causes =
    std::tuple<py::array_t<std::int64_t>, std::tuple<std::int64_t, std::int64_t, std::int64_t>,
               std::optional<Map>, std::optional<Map>>;

std::span<const ElementRow> rows_of(const Element& element) {
    static_assert(sizeof(ElementRow) == 3 * sizeof(std::int64_t));
    if (element.ndim() != 2 || element.shape(1) != 3)
        throw py::value_error("element must hold rows of three numbers");
    return {reinterpret_cast<const ElementRow*>(element.data()),
            static_cast<std::size_t>(element.shape(0))};
}

Causes bound_error_causes(const Rules& rules, const py::array& pred, const py::array& target,
                          const std::optional<py::array>& mask, const Element& element,
                          bool ignore_invalid, bool return_map,
                          std::optional<std::int64_t> kinds_class) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    if (is_float(pred_view.dtype) || is_float(target_view.dtype))
        throw py::type_error("labels must be integers");
    require_shape(pred_view, target_view.shape, "pred");
    if (target.ndim() != 2 && target.ndim() != 3)
        throw py::value_error("label maps must have two or three axes");
    if (target.shape(target.ndim() - 1) > std::numeric_limits<std::int32_t>::max())
        throw py::value_error("the last axis must be shorter than 2^31");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
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
        const std::span<const ElementRow> rows = rows_of(element);
        const py::gil_scoped_release release;
        tally = error_causes(pred_view, target_view, flags ? &*flags : nullptr, rules.pred,
                             rules.target, rows, {ignore_invalid, rules.threads}, cells, maps);
    }
    return {std::move(counts),
            {tally.void_pred, tally.invalid_pred, tally.invalid_target},
            std::move(sides),
            std::move(kinds)};
}

}  // namespace

void bind_cause(py::module_& m) {
    m.def("error_causes", &bound_error_causes, py::arg("rules"), py::arg("pred"), py::arg("target"),
          py::arg("mask"), py::arg("element"), py::arg("ignore_invalid"), py::arg("return_map"),
          py::arg("kinds_class"));
}

}  // namespace segmeter::bindings

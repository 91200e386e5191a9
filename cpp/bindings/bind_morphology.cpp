#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "segmeter/region/morphology.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace segmeter::bindings {
namespace {

using Offsets = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Columns = py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>;
using Shape = std::array<std::int64_t, 3>;  // planes, rows, width

template <class T>
std::span<const T> span_of(const py::array_t<T, py::array::c_style | py::array::forcecast>& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

RunRows rows_of(const Shape& shape, const Offsets& row_begin, const Columns& begin,
                const Columns& end) {
    const auto [planes, rows, width] = shape;
    const RunRows mask{planes, rows, width, span_of(row_begin), span_of(begin), span_of(end)};
    const auto runs = static_cast<std::int64_t>(mask.begin.size());
    if (planes < 0 || rows < 0 || width < 0 || mask.end.size() != mask.begin.size() ||
        static_cast<std::int64_t>(mask.row_begin.size()) != planes * rows + 1 ||
        mask.row_begin.front() != 0 || mask.row_begin.back() != runs ||
        !std::is_sorted(mask.row_begin.begin(), mask.row_begin.end()))
        throw py::value_error("runs do not fit their rows");
    return mask;
}

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

using RunArrays =
    std::tuple<py::array_t<std::int64_t>, py::array_t<std::uint32_t>, py::array_t<std::uint32_t>>;

RunArrays bound_dilate(const Shape& shape, const Offsets& row_begin, const Columns& begin,
                       const Columns& end, const std::vector<std::array<std::int64_t, 4>>& element,
                       int iterations, int threads) {
    const RunRows mask = rows_of(shape, row_begin, begin, end);
    std::vector<ElementRow> parts;
    parts.reserve(element.size());
    for (const auto& [plane, row, first, last] : element)
        parts.push_back({plane, row, first, last});
    OwnedRunRows result;
    {
        const py::gil_scoped_release release;
        result = dilate(mask, parts, iterations, threads);
    }
    return {array_of(result.row_begin), array_of(result.begin), array_of(result.end)};
}

std::int64_t bound_euler(const Shape& shape, const Offsets& row_begin, const Columns& begin,
                         const Columns& end, bool is_volume, bool full, int threads) {
    const RunRows mask = rows_of(shape, row_begin, begin, end);
    const py::gil_scoped_release release;
    return euler_characteristic(mask, is_volume, full, threads);
}

}  // namespace

void bind_morphology(py::module_& m) {
    m.def("dilate_runs", &bound_dilate, py::arg("shape"), py::arg("row_begin"), py::arg("begin"),
          py::arg("end"), py::arg("element"), py::arg("iterations"), py::arg("threads"));
    m.def("euler_characteristic", &bound_euler, py::arg("shape"), py::arg("row_begin"),
          py::arg("begin"), py::arg("end"), py::arg("is_volume"), py::arg("full"),
          py::arg("threads"));
}

}  // namespace segmeter::bindings

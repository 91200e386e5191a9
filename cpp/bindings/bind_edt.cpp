#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "segmeter/boundary/edt.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace segmeter::bindings {
namespace {

std::pair<py::array_t<double>, py::object> bound_distance_transform(
    const py::array& labels, const std::vector<double>& spacing, bool is_mask,
    bool zero_is_background, bool border_is_background, bool squared, bool negate_labels,
    bool with_nearest, int threads) {
    const auto ndim = labels.ndim();
    if (ndim < 2 || ndim > 3 || spacing.size() != static_cast<std::size_t>(ndim))
        throw py::value_error("labels must be 2-D or 3-D, with a spacing for every axis");
    if ((labels.flags() & py::array::c_style) == 0)
        throw py::value_error("labels must be contiguous");
    DistanceTransform job;
    job.ndim = static_cast<int>(ndim);
    for (py::ssize_t axis = 0; axis < ndim; ++axis) {
        const auto i = static_cast<std::size_t>(axis);
        job.shape[i] = labels.shape(axis);
        job.spacing[i] = spacing[i];
        if (job.shape[i] >= std::int64_t{1} << 30)
            throw py::value_error("labels has an axis of more than 2^30 - 1 pixels");
    }
    job.labels = labels.data();
    job.label_size = static_cast<int>(item_size(dtype_of(labels)));
    job.is_mask = is_mask;
    job.zero_is_background = zero_is_background;
    job.border_is_background = border_is_background;
    job.squared = squared;
    job.negate_labels = negate_labels;
    if (is_mask && job.label_size != 1) throw py::value_error("a mask has one byte a pixel");
    if (with_nearest && border_is_background)
        throw py::value_error("no nearest pixels where the border is background");

    std::vector<py::ssize_t> shape(labels.shape(), labels.shape() + ndim);
    py::array_t<double> distance(shape);
    shape.insert(shape.begin(), ndim);
    py::object nearest = py::none();
    std::int32_t* nearest_data = nullptr;
    if (with_nearest) {
        py::array_t<std::int32_t> array(shape);
        nearest_data = array.mutable_data();
        nearest = std::move(array);
    }
    double* distance_data = distance.mutable_data();
    {
        const py::gil_scoped_release release;
        distance_transform(job, distance_data, nearest_data, threads);
    }
    return {std::move(distance), std::move(nearest)};
}

}  // namespace

void bind_edt(py::module_& m) {
    m.def("distance_transform", &bound_distance_transform, py::arg("labels"), py::arg("spacing"),
          py::arg("is_mask"), py::arg("zero_is_background"), py::arg("border_is_background"),
          py::arg("squared"), py::arg("negate_labels"), py::arg("with_nearest"),
          py::arg("threads"));
}

}  // namespace segmeter::bindings

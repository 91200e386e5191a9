#include <optional>
#include <string>
#include <vector>

#include "segmeter/pixel.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "label_rules.hpp"

namespace segmeter::bindings {
namespace {

std::vector<py::ssize_t> output_shape(const py::array& target, const Rules& rules, bool per_image) {
    std::vector<py::ssize_t> shape;
    shape.reserve(3);
    if (per_image) {
        if (target.ndim() == 0) throw py::value_error("per_image needs an image axis");
        shape.push_back(target.shape(0));
    }
    shape.push_back(rules.num_classes);
    shape.push_back(rules.num_classes + (rules.void_column ? 1 : 0));
    return shape;
}

// The matrix; ignored pixels; and pixels that are void in pred, invalid in pred and invalid in
// target, or None if there are none, which is the usual case.
py::tuple counted(py::array_t<std::int64_t> matrix, std::span<const PixelTally> tallies) {
    PixelTally sum;
    for (const PixelTally& tally : tallies) {
        sum.ignored += tally.ignored;
        sum.void_pred += tally.void_pred;
        sum.invalid_pred += tally.invalid_pred;
        sum.invalid_target += tally.invalid_target;
    }
    py::object odd = py::none();
    if (sum.void_pred != 0 || sum.invalid_pred != 0 || sum.invalid_target != 0)
        odd = py::make_tuple(sum.void_pred, sum.invalid_pred, sum.invalid_target);
    return py::make_tuple(std::move(matrix), sum.ignored, std::move(odd));
}

// Runs `count(matrix, tally, options)` without the GIL.
template <class Count>
py::tuple run_count(const py::array& target, const Rules& rules, bool per_image, Count&& count) {
    auto matrix = zeros<std::int64_t>(output_shape(target, rules, per_image));
    std::int64_t* cells = matrix.mutable_data();
    const ConfusionOptions options = rules.options(per_image);
    if (!per_image) {
        PixelTally tally;
        {
            const py::gil_scoped_release release;
            count(cells, &tally, options);
        }
        return counted(std::move(matrix), {&tally, 1});
    }
    std::vector<PixelTally> tallies(static_cast<std::size_t>(target.shape(0)));
    {
        const py::gil_scoped_release release;
        count(cells, tallies.data(), options);
    }
    return counted(std::move(matrix), tallies);
}

py::tuple bound_count(const Rules& rules, const py::array& pred, const py::array& target,
                      const std::optional<py::array>& mask, bool per_image) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    if (is_float(pred_view.dtype) || is_float(target_view.dtype))
        throw py::type_error("labels must be integers");
    require_shape(pred_view, target_view.shape, "pred");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    return run_count(target, rules, per_image,
                     [&](std::int64_t* matrix, PixelTally* tally, const ConfusionOptions& options) {
                         confusion_matrix(pred_view, target_view, flags ? &*flags : nullptr,
                                          rules.pred, rules.target, options, matrix, tally);
                     });
}

py::tuple bound_count_scores(const Rules& rules, const py::array& scores,
                             std::optional<double> threshold, const py::array& target,
                             const std::optional<py::array>& mask, bool per_image) {
    const ArrayView score_view = view_of(scores);
    const ArrayView target_view = view_of(target);
    if (!is_float(score_view.dtype)) throw py::type_error("scores must be floating point");
    if (is_float(target_view.dtype)) throw py::type_error("labels must be integers");
    const auto channels = score_view.shape.empty() ? 0 : score_view.shape[0];
    if (channels != rules.num_classes && !(channels == 1 && rules.num_classes == 2))
        throw py::value_error("scores must have num_classes channels, or one for two classes");
    ArrayView one_channel = score_view;
    one_channel.shape = score_view.shape.subspan(1);
    require_shape(one_channel, target_view.shape, "scores");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    bool probable = true;
    py::tuple result =
        run_count(target, rules, per_image,
                  [&](std::int64_t* matrix, PixelTally* tally, const ConfusionOptions& options) {
                      probable = confusion_matrix_from_scores(
                          score_view, threshold, target_view, flags ? &*flags : nullptr,
                          rules.channels, rules.target, options, matrix, tally);
                  });
    if (!probable)
        throw py::value_error(
            "pred holds scores outside 0..1 in its only channel: pass threshold=, 0.0 for logits");
    return result;
}

py::array_t<double> bound_sum_weights(const Rules& rules, const py::array& pred,
                                      const py::array& target, const py::array& weights,
                                      const std::optional<py::array>& mask, bool per_image) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    const ArrayView weight_view = view_of(weights);
    if (is_float(pred_view.dtype) || is_float(target_view.dtype))
        throw py::type_error("labels must be integers");
    if (!is_float(weight_view.dtype)) throw py::type_error("weights must be floating point");
    require_shape(pred_view, target_view.shape, "pred");
    require_shape(weight_view, target_view.shape, "weights");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const ConfusionOptions options = rules.options(per_image);
    auto matrix = zeros<double>(output_shape(target, rules, per_image));
    double* cells = matrix.mutable_data();
    bool valid = false;
    {
        const py::gil_scoped_release release;
        valid = weighted_confusion_matrix(pred_view, target_view, flags ? &*flags : nullptr,
                                          weight_view, rules.pred, rules.target, options, cells);
    }
    if (!valid) throw py::value_error("weights must be finite and not negative");
    return matrix;
}

// [(label, count, first flat position)] of void or invalid labels at counted pixels of pred, or,
// without pred, of target.
py::list bound_find_outsiders(const Rules& rules, const std::optional<py::array>& pred,
                              bool void_labels, const py::array& target,
                              const std::optional<py::array>& mask, int most) {
    const ArrayView target_view = view_of(target);
    const ArrayView labels = pred ? view_of(*pred) : target_view;
    require_shape(labels, target_view.shape, "pred");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const LabelTable& table = pred ? rules.pred : rules.target;
    std::vector<Outsider> found;
    {
        const py::gil_scoped_release release;
        found = find_outsiders(pred ? &labels : nullptr, rules.pred, target_view, rules.target,
                               flags ? &*flags : nullptr,
                               void_labels ? table.void_slot() : table.invalid_slot(), most);
    }
    py::list rows;
    for (const Outsider& outsider : found) {
        py::object label = labels.dtype == DType::kUInt64
                               ? py::object(py::int_(static_cast<std::uint64_t>(outsider.label)))
                               : py::object(py::int_(outsider.label));
        rows.append(py::make_tuple(std::move(label), outsider.count, outsider.first));
    }
    return rows;
}

// Codes of uint8 pixels (H, W, 3 or 4), whose rows may lie apart, into uint32 (H, W).
void bound_color_codes(const py::array_t<std::uint8_t, 0>& pixels,
                       py::array_t<std::uint32_t, 0>& codes) {
    if (pixels.ndim() != 3 || pixels.strides(2) != 1 ||
        (pixels.shape(1) > 1 && pixels.strides(1) != pixels.shape(2)))
        throw py::value_error("pixels must be (H, W, channels), each row contiguous");
    const py::ssize_t height = pixels.shape(0);
    const py::ssize_t width = pixels.shape(1);
    const py::ssize_t channels = pixels.shape(2);
    if (channels != 3 && channels != 4) throw py::value_error("pixels must have 3 or 4 channels");
    if (codes.ndim() != 2 || codes.shape(0) != height || codes.shape(1) != width ||
        (codes.flags() & py::array::c_style) == 0)
        throw py::value_error("codes must be contiguous, (H, W)");
    const std::uint8_t* from = pixels.data();
    std::uint32_t* to = codes.mutable_data();
    const py::ssize_t step = pixels.strides(0);
    const py::gil_scoped_release release;
    for (py::ssize_t y = 0; y < height; ++y, from += step, to += width)
        color_codes(from, width, channels, to);
}

// Rows of uint8 (H, 1 + bytes of a row), in place.
bool bound_unfilter_png(py::array_t<std::uint8_t, 0>& rows, std::int64_t pixel_bytes) {
    if (rows.ndim() != 2 || rows.shape(1) < 1 || (rows.flags() & py::array::c_style) == 0)
        throw py::value_error("rows must be contiguous, (H, 1 + bytes)");
    std::uint8_t* data = rows.mutable_data();
    const py::gil_scoped_release release;
    return unfilter_png(data, rows.shape(0), rows.shape(1) - 1, pixel_bytes);
}

}  // namespace

void bind_pixel(py::module_& m) {
    m.def("color_codes", &bound_color_codes, py::arg("pixels").noconvert(),
          py::arg("codes").noconvert());
    m.def("unfilter_png", &bound_unfilter_png, py::arg("rows").noconvert(), py::arg("pixel_bytes"));
    py::class_<Rules>(m, "LabelRules")
        .def(py::init<std::int64_t, const Mapping&, const Mapping&, const Mapping&, bool, bool,
                      int>(),
             py::arg("num_classes"), py::arg("pred_mapping"), py::arg("target_mapping"),
             py::arg("channel_mapping"), py::arg("void_column"), py::arg("invalid_is_void"),
             py::arg("threads"))
        .def("count", &bound_count, py::arg("pred"), py::arg("target"), py::arg("mask"),
             py::arg("per_image"))
        .def("count_scores", &bound_count_scores, py::arg("scores"), py::arg("threshold"),
             py::arg("target"), py::arg("mask"), py::arg("per_image"))
        .def("sum_weights", &bound_sum_weights, py::arg("pred"), py::arg("target"),
             py::arg("weights"), py::arg("mask"), py::arg("per_image"))
        .def("find_outsiders", &bound_find_outsiders, py::arg("pred"), py::arg("void_labels"),
             py::arg("target"), py::arg("mask"), py::arg("most"));
}

}  // namespace segmeter::bindings

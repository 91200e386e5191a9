#include <optional>
#include <string>
#include <vector>

#include "segmeter/pixel.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace segmeter::bindings {
namespace {

using Labels = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
// Pairs (label, class), class < 0 meaning void; absent: labels are classes.
using Mapping = std::optional<std::pair<Labels, Labels>>;

// Everything but the arrays and the way of counting: how labels are read, where results go.
struct Rules {
    LabelTable pred;
    LabelTable target;
};

LabelTable base_table(std::int64_t num_classes, const Mapping& mapping) {
    if (!mapping) return LabelTable(num_classes);
    const auto& [labels, classes] = *mapping;
    return {num_classes, std::span(labels.data(), static_cast<std::size_t>(labels.size())),
            std::span(classes.data(), static_cast<std::size_t>(classes.size()))};
}

Rules rules_of(std::int64_t num_classes, const Mapping& pred_mapping, const Mapping& target_mapping,
               const std::vector<std::int64_t>& ignored) {
    Rules rules{base_table(num_classes, pred_mapping), base_table(num_classes, target_mapping)};
    for (const std::int64_t label : ignored) {
        rules.target.set_void(label);
        rules.pred.set_void_if_invalid(label);
    }
    return rules;
}

std::optional<ArrayView> mask_view(const std::optional<py::array>& mask, const ArrayView& target) {
    if (!mask) return std::nullopt;
    const ArrayView view = view_of(*mask);
    if (view.dtype != DType::kBool) throw py::type_error("mask must be bool");
    require_shape(view, target.shape, "mask");
    return view;
}

std::vector<py::ssize_t> output_shape(const py::array& target, std::int64_t num_classes,
                                      const ConfusionOptions& options, bool square) {
    std::vector<py::ssize_t> shape;
    if (options.per_image) {
        if (target.ndim() == 0) throw py::value_error("per_image needs an image axis");
        shape.push_back(target.shape(0));
    }
    if (square) {
        shape.push_back(num_classes);
        shape.push_back(num_classes + (options.void_column ? 1 : 0));
    } else {
        shape.push_back(4);
    }
    return shape;
}

using Counted = std::tuple<py::array_t<std::int64_t>, py::array_t<std::int64_t>, bool>;

// Runs `count(matrix, tally)` without the GIL. The flag says whether some counted pixel has a
// void or invalid label, so that the usual case needs no look at the tally.
template <class Count>
Counted counted(const py::array& target, std::int64_t num_classes, const ConfusionOptions& options,
                Count&& count) {
    static_assert(sizeof(PixelTally) == 4 * sizeof(std::int64_t));
    auto matrix = zeros<std::int64_t>(output_shape(target, num_classes, options, true));
    auto tally = zeros<std::int64_t>(output_shape(target, num_classes, options, false));
    auto* rows = reinterpret_cast<PixelTally*>(tally.mutable_data());
    std::int64_t* cells = matrix.mutable_data();
    const std::int64_t images = tally.size() / 4;
    bool odd = false;
    {
        const py::gil_scoped_release release;
        count(cells, rows);
        for (std::int64_t i = 0; i < images; ++i)
            odd |=
                rows[i].void_pred != 0 || rows[i].invalid_pred != 0 || rows[i].invalid_target != 0;
    }
    return {std::move(matrix), std::move(tally), odd};
}

Counted bound_confusion_matrix(const py::array& pred, const py::array& target,
                               std::int64_t num_classes, const Mapping& pred_mapping,
                               const Mapping& target_mapping,
                               const std::vector<std::int64_t>& ignored,
                               const std::optional<py::array>& mask, bool per_image,
                               bool void_column, bool invalid_is_void, int threads) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    if (is_float(pred_view.dtype) || is_float(target_view.dtype))
        throw py::type_error("labels must be integers");
    require_shape(pred_view, target_view.shape, "pred");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const Rules rules = rules_of(num_classes, pred_mapping, target_mapping, ignored);
    const ConfusionOptions options{per_image, void_column, invalid_is_void, threads};
    return counted(target, num_classes, options, [&](std::int64_t* matrix, PixelTally* tally) {
        confusion_matrix(pred_view, target_view, flags ? &*flags : nullptr, rules.pred,
                         rules.target, options, matrix, tally);
    });
}

Counted bound_from_scores(const py::array& scores, std::optional<double> threshold,
                          const py::array& target, std::int64_t num_classes,
                          const Mapping& target_mapping, const std::vector<std::int64_t>& ignored,
                          const std::optional<py::array>& mask, bool per_image, bool void_column,
                          bool invalid_is_void, int threads) {
    const ArrayView score_view = view_of(scores);
    const ArrayView target_view = view_of(target);
    if (!is_float(score_view.dtype)) throw py::type_error("scores must be floating point");
    if (is_float(target_view.dtype)) throw py::type_error("labels must be integers");
    const auto channels = score_view.shape.empty() ? 0 : score_view.shape[0];
    if (channels != num_classes && !(channels == 1 && num_classes == 2))
        throw py::value_error("scores must have num_classes channels, or one for two classes");
    ArrayView one_channel = score_view;
    one_channel.shape = score_view.shape.subspan(1);
    require_shape(one_channel, target_view.shape, "scores");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const Rules rules = rules_of(num_classes, std::nullopt, target_mapping, ignored);
    const ConfusionOptions options{per_image, void_column, invalid_is_void, threads};
    bool probable = true;
    Counted result =
        counted(target, num_classes, options, [&](std::int64_t* matrix, PixelTally* tally) {
            probable = confusion_matrix_from_scores(score_view, threshold, target_view,
                                                    flags ? &*flags : nullptr, rules.target,
                                                    options, matrix, tally);
        });
    if (!probable)
        throw py::value_error(
            "pred holds scores outside 0..1 in its only channel: pass threshold=, 0.0 for logits");
    return result;
}

py::array_t<double> bound_weighted(const py::array& pred, const py::array& target,
                                   const py::array& weights, std::int64_t num_classes,
                                   const Mapping& pred_mapping, const Mapping& target_mapping,
                                   const std::vector<std::int64_t>& ignored,
                                   const std::optional<py::array>& mask, bool per_image,
                                   bool void_column, bool invalid_is_void, int threads) {
    const ArrayView pred_view = view_of(pred);
    const ArrayView target_view = view_of(target);
    const ArrayView weight_view = view_of(weights);
    if (is_float(pred_view.dtype) || is_float(target_view.dtype))
        throw py::type_error("labels must be integers");
    if (!is_float(weight_view.dtype)) throw py::type_error("weights must be floating point");
    require_shape(pred_view, target_view.shape, "pred");
    require_shape(weight_view, target_view.shape, "weights");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const Rules rules = rules_of(num_classes, pred_mapping, target_mapping, ignored);
    const ConfusionOptions options{per_image, void_column, invalid_is_void, threads};
    auto matrix = zeros<double>(output_shape(target, num_classes, options, true));
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
py::list bound_find_outsiders(const std::optional<py::array>& pred, bool void_labels,
                              const py::array& target, std::int64_t num_classes,
                              const Mapping& pred_mapping, const Mapping& target_mapping,
                              const std::vector<std::int64_t>& ignored,
                              const std::optional<py::array>& mask, int most) {
    const ArrayView target_view = view_of(target);
    const ArrayView labels = pred ? view_of(*pred) : target_view;
    require_shape(labels, target_view.shape, "pred");
    const std::optional<ArrayView> flags = mask_view(mask, target_view);
    const Rules rules = rules_of(num_classes, pred_mapping, target_mapping, ignored);
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

}  // namespace

void bind_pixel(py::module_& m) {
    m.def("confusion_matrix", &bound_confusion_matrix, py::arg("pred"), py::arg("target"),
          py::arg("num_classes"), py::arg("pred_mapping"), py::arg("target_mapping"),
          py::arg("ignored"), py::arg("mask"), py::arg("per_image"), py::arg("void_column"),
          py::arg("invalid_is_void"), py::arg("threads"));
    m.def("confusion_matrix_from_scores", &bound_from_scores, py::arg("scores"),
          py::arg("threshold"), py::arg("target"), py::arg("num_classes"),
          py::arg("target_mapping"), py::arg("ignored"), py::arg("mask"), py::arg("per_image"),
          py::arg("void_column"), py::arg("invalid_is_void"), py::arg("threads"));
    m.def("weighted_confusion_matrix", &bound_weighted, py::arg("pred"), py::arg("target"),
          py::arg("weights"), py::arg("num_classes"), py::arg("pred_mapping"),
          py::arg("target_mapping"), py::arg("ignored"), py::arg("mask"), py::arg("per_image"),
          py::arg("void_column"), py::arg("invalid_is_void"), py::arg("threads"));
    m.def("find_outsiders", &bound_find_outsiders, py::arg("pred"), py::arg("void_labels"),
          py::arg("target"), py::arg("num_classes"), py::arg("pred_mapping"),
          py::arg("target_mapping"), py::arg("ignored"), py::arg("mask"), py::arg("most"));
}

}  // namespace segmeter::bindings

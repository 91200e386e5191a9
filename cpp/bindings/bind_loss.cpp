#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "segmeter/loss.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace segmeter::bindings {
namespace {

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;
// kind, parameter, threshold
using Term = std::tuple<int, double, double>;

// Checked inputs of sweeps. Keeps the arrays alive.
class LossSweep {
   public:
    LossSweep(py::array logits, bool bfloat16, py::array target, bool dense,
              std::vector<std::int64_t> ignored, std::optional<py::array> mask,
              std::optional<py::array> pixel_weight, int activation, double label_smoothing,
              const std::vector<Term>& terms, bool squares, int threads)
        : logits_(std::move(logits)),
          target_(std::move(target)),
          mask_(std::move(mask)),
          weight_(std::move(pixel_weight)),
          ignored_(std::move(ignored)),
          bfloat16_(bfloat16),
          dense_(dense),
          activation_(activation),
          label_smoothing_(label_smoothing),
          squares_(squares),
          threads_(threads) {
        for (const auto& [kind, parameter, threshold] : terms)
            terms_.push_back({static_cast<TermKind>(kind), parameter, threshold});
        check();
    }

    py::tuple counts(bool regions) const {
        return run([&](const LossInput& input, const SoftCountsView& view) {
            return regions ? soft_counts(input, view)
                           : pixel_terms(input, view, nullptr, nullptr, {});
        });
    }
    py::tuple target_counts_only() const {
        return run([](const LossInput& input, const SoftCountsView& view) {
            return target_counts(input, view);
        });
    }
    py::tuple terms_and_gradient(const std::vector<Doubles>& slopes, py::array out) const {
        const SoftCountsGradientView by = slopes_of(slopes);
        auto* memory = static_cast<std::byte*>(writable(out));
        const ArrayView to = view_of(out);
        return run([&](const LossInput& input, const SoftCountsView& view) {
            return pixel_terms(input, view, &by, memory, to.strides);
        });
    }
    py::tuple backward(const std::vector<Doubles>& slopes, py::array out) const {
        const SoftCountsGradientView by = slopes_of(slopes);
        auto* memory = static_cast<std::byte*>(writable(out));
        const ArrayView to = view_of(out);
        LossFault fault;
        with_input([&](const LossInput& input) {
            fault = soft_counts_backward(input, by, memory, to.strides);
        });
        return found(fault);
    }
    // Values (groups, C), and the fault; the gradient goes to `out` if there is one.
    py::tuple lovasz_losses(bool per_sample, bool hinge, bool exact, const Doubles& weights,
                            std::optional<py::array> out) const {
        const py::ssize_t groups = per_sample ? logits_.shape(0) : 1;
        if (weights.size() != groups * logits_.shape(1))
            throw py::value_error("weights: shape mismatch");
        py::array_t<double> values(std::vector{groups, logits_.shape(1)});
        std::fill_n(values.mutable_data(), values.size(), 0.0);
        auto* memory = out ? static_cast<std::byte*>(writable(*out)) : nullptr;
        const ArrayView to = out ? view_of(*out) : ArrayView{};
        const LovaszOptions options{per_sample, hinge, exact};
        LossFault fault;
        with_input([&](const LossInput& input) {
            fault =
                lovasz(input, options, weights.data(), values.mutable_data(), memory, to.strides);
        });
        return py::make_tuple(values, found(fault));
    }

    // The first term of every pixel, (N, ...), and the fault.
    template <class Real>
    py::tuple costs_as() const {
        std::vector<py::ssize_t> shape(target_.shape(), target_.shape() + target_.ndim());
        py::array_t<Real> costs(shape);
        LossFault fault;
        with_input(
            [&](const LossInput& input) { fault = pixel_costs(input, costs.mutable_data()); });
        return py::make_tuple(costs, found(fault));
    }
    py::tuple costs() const {
        const bool wide = view_of(logits_).dtype == DType::kFloat64 || activation_ == 2;
        return wide ? costs_as<double>() : costs_as<float>();
    }

   private:
    void check() const {
        const ArrayView x = view_of(logits_);
        if (x.shape.size() < 2 || x.shape[1] < 1) throw py::value_error("logits: shape mismatch");
        if (bfloat16_ ? x.dtype != DType::kUInt16 : !is_float(x.dtype))
            throw py::type_error("logits must be floating point");
        if (terms_.size() > static_cast<std::size_t>(kMostPixelTerms))
            throw py::value_error("at most 8 pixel terms fit one sweep");
        std::vector<std::int64_t> per_pixel{x.shape[0]};
        per_pixel.insert(per_pixel.end(), x.shape.begin() + 2, x.shape.end());
        const ArrayView y = view_of(target_);
        if (!dense_ && is_float(y.dtype)) throw py::type_error("labels must be integers");
        require_shape(y, dense_ ? x.shape : std::span<const std::int64_t>(per_pixel), "target");
        if (mask_) require_shape(view_of(*mask_), per_pixel, "mask");
        if (mask_ && view_of(*mask_).dtype != DType::kBool)
            throw py::type_error("mask must be bool");
        if (weight_) require_shape(view_of(*weight_), per_pixel, "pixel_weight");
        if (weight_ && !is_float(view_of(*weight_).dtype))
            throw py::type_error("pixel_weight must be floating point");
        if (activation_ < 0 || activation_ > 2) throw py::value_error("unknown activation");
    }

    [[nodiscard]] void* writable(py::array& out) const {
        const ArrayView to = view_of(out);
        require_shape(to, view_of(logits_).shape, "out");
        if (!out.dtype().equal(logits_.dtype())) throw py::type_error("out: dtype mismatch");
        return out.mutable_data();
    }

    // intersection, pred, pred_squared, terms, terms_negative
    [[nodiscard]] SoftCountsGradientView slopes_of(const std::vector<Doubles>& slopes) const {
        if (slopes.size() != 5) throw py::value_error("slopes: five tables");
        const py::ssize_t table = logits_.shape(0) * logits_.shape(1);
        for (std::size_t i = 0; i < 5; ++i)
            if (slopes[i].size() != table * (i < 3 ? 1 : static_cast<py::ssize_t>(terms_.size())))
                throw py::value_error("slopes: shape mismatch");
        return {slopes[0].data(), slopes[1].data(), slopes[2].data(), slopes[3].data(),
                slopes[4].data()};
    }

    template <class Function>
    void with_input(Function&& function) const {
        const ArrayView mask = mask_ ? view_of(*mask_) : ArrayView{};
        const ArrayView weight = weight_ ? view_of(*weight_) : ArrayView{};
        const LossInput input{.logits = view_of(logits_),
                              .bfloat16 = bfloat16_,
                              .target = view_of(target_),
                              .dense = dense_,
                              .ignored = ignored_,
                              .mask = mask_ ? &mask : nullptr,
                              .pixel_weight = weight_ ? &weight : nullptr,
                              .activation = static_cast<Activation>(activation_),
                              .label_smoothing = label_smoothing_,
                              .terms = terms_,
                              .squares = squares_,
                              .threads = threads_};
        const py::gil_scoped_release release;
        function(input);
    }

    // The fields of SoftCounts in their order, and the fault (kind, sample, channel, pixel).
    template <class Function>
    py::tuple run(Function&& function) const {
        const py::ssize_t samples = logits_.shape(0);
        const py::ssize_t channels = logits_.shape(1);
        const auto terms = static_cast<py::ssize_t>(terms_.size());
        const auto table = [&] { return py::array_t<double>(std::vector{samples, channels}); };
        const auto tables = [&] {
            return py::array_t<double>(std::vector{terms, samples, channels});
        };
        auto intersection = table();
        auto pred = table();
        auto pred_squared = table();
        auto target = table();
        auto target_squared = table();
        auto positive = tables();
        auto negative = tables();
        py::array_t<std::int64_t> valid(samples);
        py::array_t<double> weight(samples);
        const SoftCountsView view{
            intersection.mutable_data(), pred.mutable_data(),           pred_squared.mutable_data(),
            target.mutable_data(),       target_squared.mutable_data(), positive.mutable_data(),
            negative.mutable_data(),     valid.mutable_data(),          weight.mutable_data()};
        LossFault fault;
        with_input([&](const LossInput& input) { fault = function(input, view); });
        return py::make_tuple(py::make_tuple(intersection, pred, pred_squared, target,
                                             target_squared, positive, negative, valid, weight),
                              found(fault));
    }

    static py::tuple found(const LossFault& fault) {
        return py::make_tuple(static_cast<int>(fault.kind), fault.sample, fault.channel,
                              fault.pixel);
    }

    py::array logits_;
    py::array target_;
    std::optional<py::array> mask_;
    std::optional<py::array> weight_;
    std::vector<std::int64_t> ignored_;
    std::vector<PixelTerm> terms_;
    bool bfloat16_;
    bool dense_;
    int activation_;
    double label_smoothing_;
    bool squares_;
    int threads_;
};

// Mean, and its derivatives by intersection and size; all arrays of one size.
py::tuple bound_mean_of_quotients(const std::array<double, 10>& rule, const Doubles& intersection,
                                  const Doubles& size, const Doubles& target,
                                  const Doubles& shares) {
    const py::ssize_t n = intersection.size();
    if (size.size() != n || target.size() != n || shares.size() != n)
        throw py::value_error("sums: shape mismatch");
    const std::vector<py::ssize_t> shape(intersection.shape(),
                                         intersection.shape() + intersection.ndim());
    py::array_t<double> by_intersection(shape);
    py::array_t<double> by_size(shape);
    const double mean =
        mean_of_quotients({{rule[0], rule[1], rule[2]},
                           {rule[3], rule[4], rule[5]},
                           rule[6],
                           rule[7],
                           rule[8],
                           rule[9]},
                          n, {intersection.data(), size.data(), target.data()}, shares.data(),
                          by_intersection.mutable_data(), by_size.mutable_data());
    return py::make_tuple(mean, by_intersection, by_size);
}

}  // namespace

void bind_loss(py::module_& m) {
    m.def("mean_of_quotients", &bound_mean_of_quotients, py::arg("rule"), py::arg("intersection"),
          py::arg("size"), py::arg("target"), py::arg("shares"));
    py::class_<LossSweep>(m, "LossSweep")
        .def(py::init<py::array, bool, py::array, bool, std::vector<std::int64_t>,
                      std::optional<py::array>, std::optional<py::array>, int, double,
                      const std::vector<Term>&, bool, int>(),
             py::arg("logits"), py::arg("bfloat16"), py::arg("target"), py::arg("dense"),
             py::arg("ignored"), py::arg("mask"), py::arg("pixel_weight"), py::arg("activation"),
             py::arg("label_smoothing"), py::arg("terms"), py::arg("squares"), py::arg("threads"))
        .def("counts", &LossSweep::counts, py::arg("regions"))
        .def("target_counts", &LossSweep::target_counts_only)
        .def("terms_and_gradient", &LossSweep::terms_and_gradient, py::arg("slopes"),
             py::arg("out"))
        .def("lovasz", &LossSweep::lovasz_losses, py::arg("per_sample"), py::arg("hinge"),
             py::arg("exact"), py::arg("weights"), py::arg("out"))
        .def("costs", &LossSweep::costs)
        .def("backward", &LossSweep::backward, py::arg("slopes"), py::arg("out"));
}

}  // namespace segmeter::bindings

// Cross entropy plus Dice of a small image with the C++ library alone: a formula on the table of
// sums, and the gradient by its derivative.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "segmeter/loss.hpp"
#include "segmeter/view.hpp"

namespace {

constexpr std::int64_t kClasses = 2;
constexpr std::int64_t kPixels = 6;

// The table of one sample, and the derivative of a loss by it.
struct Table {
    std::array<double, kClasses> intersection{}, pred{}, pred_squared{}, target{};
    std::array<double, kClasses> target_squared{}, cross_entropy{}, negative{};
    std::int64_t valid = 0;
    double weight = 0.0;
};

}  // namespace

int main() {
    static constexpr std::array<std::int64_t, 3> kShape{1, kClasses, kPixels};
    static constexpr std::array<std::int64_t, 3> kStrides{48, 24, 4};  // in bytes
    static constexpr std::array<std::int64_t, 2> kLabelShape{1, kPixels};
    static constexpr std::array<std::int64_t, 2> kLabelStrides{6, 1};
    const std::vector<float> logits{
        2.0F, 1.0F, 0.0F, -1.0F, 0.5F, 3.0F,  //
        0.0F, 0.0F, 0.0F, 0.0F,  0.0F, 0.0F,
    };
    const std::vector<std::uint8_t> target{0, 0, 1, 1, 1, 255};
    const std::array<segmeter::PixelTerm, 1> terms{segmeter::PixelTerm{}};
    const std::array<std::int64_t, 1> ignored{255};

    segmeter::LossInput input;
    input.logits = {.data = reinterpret_cast<const std::byte*>(logits.data()),
                    .dtype = segmeter::DType::kFloat32,
                    .shape = kShape,
                    .strides = kStrides};
    input.target = {.data = reinterpret_cast<const std::byte*>(target.data()),
                    .dtype = segmeter::DType::kUInt8,
                    .shape = kLabelShape,
                    .strides = kLabelStrides};
    input.ignored = ignored;
    input.terms = terms;

    Table sums;
    const segmeter::LossFault fault = segmeter::soft_counts(
        input, {sums.intersection.data(), sums.pred.data(), sums.pred_squared.data(),
                sums.target.data(), sums.target_squared.data(), sums.cross_entropy.data(),
                sums.negative.data(), &sums.valid, &sums.weight});
    if (fault.kind != segmeter::LossFault::Kind::kNone) return 1;

    double loss = 0.0;
    Table by;
    for (std::size_t k = 0; k < kClasses; ++k) {
        const double both = sums.pred[k] + sums.target[k];
        loss += (1.0 - 2.0 * sums.intersection[k] / both) / kClasses;
        by.intersection[k] = -2.0 / both / kClasses;
        by.pred[k] = 2.0 * sums.intersection[k] / (both * both) / kClasses;
        loss += sums.cross_entropy[k] / sums.weight;
        by.cross_entropy[k] = 1.0 / sums.weight;
    }
    std::vector<float> gradient(logits.size());
    const segmeter::LossFault again = segmeter::soft_counts_backward(
        input,
        {by.intersection.data(), by.pred.data(), by.pred_squared.data(), by.cross_entropy.data(),
         by.negative.data()},
        reinterpret_cast<std::byte*>(gradient.data()), kStrides);
    if (again.kind != segmeter::LossFault::Kind::kNone) return 1;

    std::printf("loss %.6f of %lld pixels\n", loss, static_cast<long long>(sums.valid));
    for (std::size_t i = 0; i < kPixels; ++i)
        std::printf("pixel %zu: gradient %+.6f %+.6f\n", i, static_cast<double>(gradient[i]),
                    static_cast<double>(gradient[kPixels + i]));
    return 0;
}

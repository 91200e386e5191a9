#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <doctest/doctest.h>

#include "segmeter/cpu.hpp"
#include "segmeter/loss.hpp"

using namespace segmeter;

namespace {

template <class T>
constexpr DType type_of() {
    if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
    if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
    if constexpr (std::is_same_v<T, std::uint8_t>) return DType::kUInt8;
    if constexpr (std::is_same_v<T, std::byte>) return DType::kBool;
    return DType::kInt64;
}

// A contiguous array with its own shape and strides.
template <class T>
struct Array {
    std::vector<T> values;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;

    explicit Array(std::vector<std::int64_t> s) : shape(std::move(s)), strides(shape.size()) {
        std::int64_t stride = sizeof(T);
        for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
            strides[axis] = stride;
        values.resize(static_cast<std::size_t>(stride) / sizeof(T));
    }
    [[nodiscard]] ArrayView view() const {
        return {reinterpret_cast<const std::byte*>(values.data()), type_of<T>(), false, shape,
                strides};
    }
    [[nodiscard]] std::byte* memory() { return reinterpret_cast<std::byte*>(values.data()); }
};

struct Table {
    std::vector<double> values;
    std::vector<std::int64_t> valid;
    std::vector<double> weight;
    std::int64_t cells;
    std::int64_t terms;

    Table(std::int64_t samples, std::int64_t channels, std::int64_t num_terms)
        : values(static_cast<std::size_t>(samples * channels * (5 + 2 * num_terms))),
          valid(static_cast<std::size_t>(samples)),
          weight(static_cast<std::size_t>(samples)),
          cells(samples * channels),
          terms(num_terms) {}
    double* row(std::int64_t i) { return values.data() + i * cells; }
    SoftCountsView view() {
        return {row(0), row(1),         row(2),       row(3),       row(4),
                row(5), row(5 + terms), valid.data(), weight.data()};
    }
    SoftCountsGradientView as_gradient() {
        return {row(0), row(1), row(2), row(5), row(5 + terms)};
    }
};

struct Problem {
    Array<float> logits;
    Array<std::uint8_t> target;

    Problem(std::int64_t samples, std::int64_t channels, std::int64_t pixels, unsigned seed)
        : logits({samples, channels, pixels}), target({samples, pixels}) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal(0.0F, 2.0F);
        for (float& x : logits.values) x = normal(random);
        for (std::uint8_t& y : target.values)
            y = static_cast<std::uint8_t>(random() %
                                          static_cast<unsigned>(channels == 1 ? 2 : channels));
    }
    [[nodiscard]] LossInput input() const {
        LossInput result;
        result.logits = logits.view();
        result.target = target.view();
        return result;
    }
};

// Cross entropy and probabilities of one pixel in double precision.
std::vector<double> softmax(const Problem& problem, std::int64_t n, std::int64_t pixel) {
    const std::int64_t channels = problem.logits.shape[1];
    const std::int64_t pixels = problem.logits.shape[2];
    std::vector<double> p;
    double sum = 0.0;
    for (std::int64_t c = 0; c < channels; ++c) {
        p.push_back(std::exp(static_cast<double>(
            problem.logits.values[static_cast<std::size_t>((n * channels + c) * pixels + pixel)])));
        sum += p.back();
    }
    for (double& x : p) x /= sum;
    return p;
}

template <class Check>
void at_each_level(Check&& check) {
    const SimdLevel chosen = simd_level();
    for (const SimdLevel level : available_simd_levels()) {
        set_simd_level(name(level));
        INFO("SIMD level ", name(level));
        check();
    }
    set_simd_level(name(chosen));
}

constexpr std::array<PixelTerm, 1> kCrossEntropy{PixelTerm{}};

}  // namespace

TEST_CASE("sums of a softmax equal a plain loop") {
    for (const std::int64_t pixels : {1, 5, 63, 64, 65, 1000, 20'000}) {
        const Problem problem(2, 5, pixels, 1);
        Table expected(2, 5, 1);
        for (std::int64_t n = 0; n < 2; ++n)
            for (std::int64_t i = 0; i < pixels; ++i) {
                const auto p = softmax(problem, n, i);
                const auto t = static_cast<std::int64_t>(
                    problem.target.values[static_cast<std::size_t>(n * pixels + i)]);
                expected.row(0)[n * 5 + t] += p[static_cast<std::size_t>(t)];
                for (std::int64_t c = 0; c < 5; ++c) {
                    const double x = p[static_cast<std::size_t>(c)];
                    expected.row(1)[n * 5 + c] += x;
                    expected.row(2)[n * 5 + c] += x * x;
                }
                expected.row(3)[n * 5 + t] += 1.0;
                expected.row(4)[n * 5 + t] += 1.0;
                expected.row(5)[n * 5 + t] -= std::log(p[static_cast<std::size_t>(t)]);
            }
        at_each_level([&] {
            for (const int threads : {1, 3}) {
                LossInput input = problem.input();
                input.terms = kCrossEntropy;
                input.squares = true;
                input.threads = threads;
                Table found(2, 5, 1);
                CHECK(soft_counts(input, found.view()).kind == LossFault::Kind::kNone);
                for (std::size_t i = 0; i < found.values.size(); ++i)
                    CHECK(found.values[i] == doctest::Approx(expected.values[i]).epsilon(1e-6));
                CHECK(found.valid[1] == pixels);
                CHECK(found.weight[1] == static_cast<double>(pixels));
            }
        });
    }
}

TEST_CASE("gradient is the difference quotient of the sums") {
    for (const Activation activation :
         {Activation::kSoftmax, Activation::kSigmoid, Activation::kNone}) {
        Array<double> logits({1, 3, 7});
        Array<std::int64_t> target({1, 7});
        std::mt19937 random(3);
        std::uniform_real_distribution<double> uniform(0.2, 0.8);
        for (double& x : logits.values) x = uniform(random);
        for (std::int64_t& y : target.values) y = static_cast<std::int64_t>(random() % 3);
        Table slopes(1, 3, 1);
        for (double& x : slopes.values) x = uniform(random);
        LossInput input;
        input.logits = logits.view();
        input.target = target.view();
        input.activation = activation;
        input.terms = kCrossEntropy;
        input.squares = true;
        const auto loss = [&] {
            Table table(1, 3, 1);
            CHECK(soft_counts(input, table.view()).kind == LossFault::Kind::kNone);
            double sum = 0.0;
            for (const std::int64_t row : {0, 1, 2, 5, 6})
                for (std::int64_t c = 0; c < 3; ++c) sum += table.row(row)[c] * slopes.row(row)[c];
            return sum;
        };
        Array<double> gradient(logits.shape);
        CHECK(soft_counts_backward(input, slopes.as_gradient(), gradient.memory(), gradient.strides)
                  .kind == LossFault::Kind::kNone);
        constexpr double kStep = 1e-6;
        for (std::size_t i = 0; i < logits.values.size(); ++i) {
            const double x = logits.values[i];
            logits.values[i] = x + kStep;
            const double above = loss();
            logits.values[i] = x - kStep;
            const double below = loss();
            logits.values[i] = x;
            CHECK(gradient.values[i] ==
                  doctest::Approx((above - below) / (2 * kStep)).epsilon(1e-6));
        }
    }
}

TEST_CASE("one sweep and two give the same gradient of a pixel loss, whoever computes it") {
    const Problem problem(2, 4, 30'000, 5);
    LossInput input = problem.input();
    input.terms = kCrossEntropy;
    Table slopes(2, 4, 1);
    for (std::int64_t i = 0; i < 8; ++i) slopes.row(5)[i] = 1.0 / 60'000;
    Array<float> first(problem.logits.shape);
    for (const SimdLevel level : available_simd_levels()) {
        if (level == SimdLevel::kBaseline) continue;  // without fused multiply-add
        const SimdLevel chosen = simd_level();
        set_simd_level(name(level));
        for (const int threads : {1, 2, 3, 5, 7}) {
            input.threads = threads;
            Array<float> two(problem.logits.shape);
            Array<float> one(problem.logits.shape);
            Table table(2, 4, 1);
            const SoftCountsGradientView by = slopes.as_gradient();
            CHECK(soft_counts_backward(input, by, two.memory(), two.strides).kind ==
                  LossFault::Kind::kNone);
            CHECK(pixel_terms(input, table.view(), &by, one.memory(), one.strides).kind ==
                  LossFault::Kind::kNone);
            CHECK(one.values == two.values);
            if (first.values[0] == 0.0F) first.values = one.values;
            CHECK(one.values == first.values);
        }
        set_simd_level(name(chosen));
    }
}

TEST_CASE("tiles in a run and tiles one by one give the same bits") {
    // Runs of 8 or 16 tiles, a shorter one, and a part of a tile; enough for two blocks.
    constexpr std::int64_t kPixels = 8192 + 11 * 64 + 17;
    const std::array<PixelTerm, 2> both{PixelTerm{}, PixelTerm{TermKind::kFocal, 2.0, 0.5}};
    for (const Activation activation : {Activation::kSoftmax, Activation::kSigmoid})
        for (const std::int64_t channels : {1, 2, 4, 19})
            for (const std::size_t num_terms : {0, 1, 2})
                for (const bool squares : {false, true}) {
                    const auto terms = static_cast<std::int64_t>(num_terms);
                    const Problem problem(2, channels, kPixels,
                                          static_cast<unsigned>(channels + terms));
                    if (channels == 1 && activation == Activation::kSoftmax) continue;
                    LossInput input = problem.input();
                    input.activation = activation;
                    input.terms = std::span(both).first(num_terms);
                    input.squares = squares;
                    // A mask that leaves nothing out is read tile by tile.
                    const Array<std::byte> nothing({2, kPixels});
                    const ArrayView mask = nothing.view();
                    Table slopes(2, channels, terms);
                    std::mt19937 random(9);
                    for (double& x : slopes.values)
                        x = static_cast<double>(random() % 1000) / 1000.0;
                    const SoftCountsGradientView by = slopes.as_gradient();
                    at_each_level([&] {
                        std::vector<std::vector<double>> tables;
                        std::vector<std::vector<float>> gradients;
                        for (const bool apart : {true, false}) {
                            input.mask = apart ? &mask : nullptr;
                            Table table(2, channels, terms);
                            CHECK(soft_counts(input, table.view()).kind == LossFault::Kind::kNone);
                            tables.push_back(table.values);
                            Array<float> gradient(problem.logits.shape);
                            CHECK(
                                soft_counts_backward(input, by, gradient.memory(), gradient.strides)
                                    .kind == LossFault::Kind::kNone);
                            gradients.push_back(gradient.values);
                            CHECK(target_counts(input, table.view()).kind ==
                                  LossFault::Kind::kNone);
                            tables.back().insert(tables.back().end(), table.values.begin(),
                                                 table.values.end());
                            if (terms == 0) continue;
                            CHECK(pixel_terms(input, table.view(), &by, gradient.memory(),
                                              gradient.strides)
                                      .kind == LossFault::Kind::kNone);
                            gradients.back().insert(gradients.back().end(), gradient.values.begin(),
                                                    gradient.values.end());
                        }
                        CHECK(gradients[0] == gradients[1]);
                        // Logarithms of a run's products, or of a tile's.
                        const bool products =
                            activation == Activation::kSigmoid && terms == 1 && !squares;
                        if (!products) {
                            CHECK(tables[0] == tables[1]);
                            return;
                        }
                        for (std::size_t i = 0; i < tables[0].size(); ++i)
                            CHECK(tables[0][i] == doctest::Approx(tables[1][i]).epsilon(1e-7));
                    });
                }
}

TEST_CASE("the first pixel that is not allowed is found") {
    Problem problem(2, 3, 40'000, 6);
    problem.target.values[40'000 + 39'999] = 3;
    problem.target.values[50'000] = 200;
    LossInput input = problem.input();
    Table table(2, 3, 0);
    LossFault fault = soft_counts(input, table.view());
    CHECK(fault.kind == LossFault::Kind::kLabel);
    CHECK(fault.sample == 1);
    CHECK(fault.pixel == 10'000);
    const std::array<std::int64_t, 2> ignored{200, 3};
    input.ignored = ignored;
    fault = target_counts(input, table.view());
    CHECK(fault.kind == LossFault::Kind::kNone);
    CHECK(table.valid[1] == 39'998);
}

TEST_CASE("too many terms are refused") {
    const Problem problem(1, 2, 4, 7);
    const std::vector<PixelTerm> terms(kMostPixelTerms + 1);
    LossInput input = problem.input();
    input.terms = terms;
    Table table(1, 2, kMostPixelTerms + 1);
    CHECK_THROWS_AS((void)soft_counts(input, table.view()), std::invalid_argument);
}

TEST_CASE("costs of pixels are the terms' parts") {
    Problem problem(1, 6, 777, 8);
    problem.target.values[5] = 9;
    const std::array<std::int64_t, 1> ignored{9};
    LossInput input = problem.input();
    input.terms = kCrossEntropy;
    input.ignored = ignored;
    at_each_level([&] {
        std::vector<float> costs(777);
        CHECK(pixel_costs(input, costs.data()).kind == LossFault::Kind::kNone);
        CHECK(costs[5] == 0.0F);
        for (std::size_t i = 0; i < costs.size(); ++i) {
            if (i == 5) continue;
            const auto p = softmax(problem, 0, static_cast<std::int64_t>(i));
            CHECK(static_cast<double>(costs[i]) ==
                  doctest::Approx(-std::log(p[problem.target.values[i]])).epsilon(1e-6));
        }
    });
    std::vector<double> wide(777);
    CHECK_THROWS_AS((void)pixel_costs(input, wide.data()), std::invalid_argument);
}

TEST_CASE("the Lovasz loss of a hard prediction is the Jaccard loss") {
    Problem problem(1, 3, 50'000, 9);
    std::vector<std::int64_t> hit(3);
    std::vector<std::int64_t> both(3);
    std::mt19937 random(2);
    for (std::size_t i = 0; i < 50'000; ++i) {
        const std::size_t y = problem.target.values[i];
        const std::size_t p = random() % 4 == 0 ? random() % 3 : y;
        for (std::size_t c = 0; c < 3; ++c)
            problem.logits.values[c * 50'000 + i] = c == p ? 200.0F : -200.0F;
        if (p == y) ++hit[y];
        ++both[y];
        if (p != y) ++both[p];
    }
    const std::vector<double> weights{1.0, 0.5, 0.0};
    for (const bool exact : {true, false})
        at_each_level([&] {
            std::vector<double> values(3);
            Array<float> gradient(problem.logits.shape);
            CHECK(lovasz(problem.input(), {false, false, exact}, weights.data(), values.data(),
                         gradient.memory(), gradient.strides)
                      .kind == LossFault::Kind::kNone);
            for (std::size_t c = 0; c < 2; ++c)
                CHECK(values[c] == doctest::Approx(1.0 - static_cast<double>(hit[c]) /
                                                             static_cast<double>(both[c]))
                                       .epsilon(1e-12));
            CHECK(values[2] == 0.0);
        });
}

#if defined(__x86_64__)
TEST_CASE("the hinge has no slope where it is met, also where denormal numbers are taken for 0") {
    // Errors of 0, where logits are 1 or 2 on the right side, and of 1/2.
    Problem problem(1, 1, 3000, 4);
    for (std::size_t i = 0; i < 3000; ++i) {
        const float sign = problem.target.values[i] != 0 ? 1.0F : -1.0F;
        problem.logits.values[i] = sign * (i % 3 == 0 ? 2.0F : i % 3 == 1 ? 1.0F : 0.5F);
    }
    LossInput input = problem.input();
    input.activation = Activation::kNone;
    input.threads = 1;
    const double weight = 1.0;
    for (const bool with_zeros : {false, true}) {
        const unsigned before = _mm_getcsr();
        if (with_zeros) _mm_setcsr(before | 0x8040U);
        double value = 0.0;
        Array<float> gradient(problem.logits.shape);
        const LossFault fault = lovasz(input, {false, true, true}, &weight, &value,
                                       gradient.memory(), gradient.strides);
        _mm_setcsr(before);
        CHECK(fault.kind == LossFault::Kind::kNone);
        CHECK(value > 0.0);
        for (std::size_t i = 0; i < 3000; ++i) CHECK((gradient.values[i] != 0.0F) == (i % 3 == 2));
    }
}
#endif

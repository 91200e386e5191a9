#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/pixel.hpp"

#include "levels.hpp"

using namespace segmeter;

namespace {

// A contiguous array with its own shape and strides.
template <class T>
struct Array {
    std::vector<T> values;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;

    Array(std::vector<T> v, std::vector<std::int64_t> s)
        : values(std::move(v)), shape(std::move(s)), strides(shape.size()) {
        std::int64_t stride = sizeof(T);
        for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
            strides[axis] = stride;
    }
    [[nodiscard]] ArrayView view(DType dtype) const {
        return {reinterpret_cast<const std::byte*>(values.data()), dtype, false, shape, strides};
    }
};

template <class T>
constexpr DType type_of() {
    if constexpr (sizeof(T) == 1) return std::is_signed_v<T> ? DType::kInt8 : DType::kUInt8;
    if constexpr (sizeof(T) == 2) return std::is_signed_v<T> ? DType::kInt16 : DType::kUInt16;
    if constexpr (sizeof(T) == 4) return std::is_signed_v<T> ? DType::kInt32 : DType::kUInt32;
    return std::is_signed_v<T> ? DType::kInt64 : DType::kUInt64;
}

template <class T>
std::vector<T> random_runs(std::int64_t n, std::int64_t classes, std::int64_t longest,
                           unsigned seed) {
    std::mt19937 random(seed);
    std::vector<T> labels;
    while (static_cast<std::int64_t>(labels.size()) < n) {
        const auto run = 1 + random() % static_cast<unsigned>(longest);
        labels.insert(labels.end(), run, static_cast<T>(random() % static_cast<unsigned>(classes)));
    }
    labels.resize(static_cast<std::size_t>(n));
    return labels;
}

template <class P, class T>
std::vector<std::int64_t> plain(const std::vector<P>& pred, const std::vector<T>& target,
                                std::int64_t classes) {
    std::vector<std::int64_t> matrix(static_cast<std::size_t>(classes * classes));
    for (std::size_t i = 0; i < pred.size(); ++i)
        ++matrix[static_cast<std::size_t>(target[i]) * static_cast<std::size_t>(classes) +
                 static_cast<std::size_t>(pred[i])];
    return matrix;
}

template <class P, class T>
void check_pair(std::int64_t n, std::int64_t classes, std::int64_t longest) {
    const Array<P> pred(random_runs<P>(n, classes, longest, 1), {n});
    const Array<T> target(random_runs<T>(n, classes, longest, 2), {n});
    const std::vector<std::int64_t> expected = plain(pred.values, target.values, classes);
    const LabelTable table(classes);
    at_each_level([&] {
        for (const int threads : {1, 2, 3, 7}) {
            std::vector<std::int64_t> matrix(expected.size());
            PixelTally tally;
            confusion_matrix(pred.view(type_of<P>()), target.view(type_of<T>()), nullptr, table,
                             table, {false, false, false, threads}, matrix.data(), &tally);
            CHECK(matrix == expected);
            CHECK(tally.ignored + tally.void_pred + tally.invalid_pred + tally.invalid_target == 0);
        }
    });
}

}  // namespace

TEST_CASE_TEMPLATE("counts equal a plain loop for every width, size and run length", T,
                   std::uint8_t, std::int16_t, std::uint32_t, std::int64_t) {
    for (const std::int64_t n : {1, 2, 63, 64, 65, 127, 8191, 8192, 8193, 100'000})
        for (const std::int64_t longest : {1, 3, 8, 60, 5000}) check_pair<T, T>(n, 19, longest);
    check_pair<T, T>(50'000, 120, 1);
    check_pair<std::uint8_t, T>(50'000, 19, 20);
    check_pair<T, std::uint8_t>(50'000, 19, 20);
}

TEST_CASE("noise of few classes, counted in pairs, equals a plain loop") {
    for (std::int64_t classes = 1; classes <= 33; ++classes)
        check_pair<std::uint8_t, std::uint8_t>(40'000 + 61 * classes, classes, 1);
    for (const std::int64_t n : {4095, 4096, 4097, 8192, 8193, 8255, 12'288, 16'384, 16'900})
        check_pair<std::uint8_t, std::uint8_t>(n, 7, 1);
    check_pair<std::uint8_t, std::uint8_t>(50'000, 150, 1);
}

TEST_CASE("labels are classes, void or invalid") {
    const std::vector<std::int64_t> labels{7, -1, 1LL << 40, 3};
    const std::vector<std::int64_t> classes{0, 1, -1, 1};
    LabelTable table(2, labels, classes);
    table.set_void(255);
    table.set_void_if_invalid(7);
    CHECK(table.slot(7) == 0);
    CHECK(table.slot(-1) == 1);
    CHECK(table.slot(3) == 1);
    CHECK(table.slot(255) == table.void_slot());
    CHECK(table.slot(1LL << 40) == table.void_slot());
    for (const std::int64_t label : {0LL, 1LL, 254LL, 256LL, -2LL, 1LL << 41})
        CHECK(table.slot(label) == table.invalid_slot());
}

TEST_CASE("labels that the maps' type cannot hold are never found") {
    const Array<std::int16_t> target({0, -1, -2, -32768}, {4});
    const std::vector<std::int64_t> labels{0, 65535, 65534, 32768, -99999};
    const std::vector<std::int64_t> classes{0, -1, 1, 1, -1};
    const LabelTable table(2, labels, classes);
    std::array<std::int64_t, 4> matrix{};
    PixelTally tally;
    confusion_matrix(target.view(DType::kInt16), target.view(DType::kInt16), nullptr, table, table,
                     {}, matrix.data(), &tally);
    CHECK(matrix == std::array<std::int64_t, 4>{1, 0, 0, 0});
    CHECK(tally.invalid_target == 3);
    CHECK_THROWS_AS(LabelTable(0), std::invalid_argument);
    const std::vector<std::int64_t> too_large{0, 2, 0, 0, 0};
    CHECK_THROWS_AS(LabelTable(2, labels, too_large), std::invalid_argument);
}

TEST_CASE("ignored, void and invalid pixels are tallied and listed") {
    const Array<std::int16_t> target({0, 1, 255, 9, 1, 9}, {2, 3});
    const Array<std::int16_t> pred({0, 255, 0, 0, 8, 0}, {2, 3});
    LabelTable target_table(2);
    target_table.set_void(255);
    LabelTable pred_table(2);
    pred_table.set_void_if_invalid(255);
    std::array<std::int64_t, 6> matrix{};
    PixelTally tally;
    confusion_matrix(pred.view(DType::kInt16), target.view(DType::kInt16), nullptr, pred_table,
                     target_table, {false, true, true, 1}, matrix.data(), &tally);
    CHECK(matrix == std::array<std::int64_t, 6>{1, 0, 0, 0, 0, 2});
    CHECK(tally.ignored == 1);
    CHECK(tally.void_pred == 1);
    CHECK(tally.invalid_pred == 1);
    CHECK(tally.invalid_target == 2);
    const auto found = find_outsiders(nullptr, pred_table, target.view(DType::kInt16), target_table,
                                      nullptr, target_table.invalid_slot(), 9);
    REQUIRE(found.size() == 1);
    CHECK(found[0].label == 9);
    CHECK(found[0].count == 2);
    CHECK(found[0].first == 3);
}

TEST_CASE("a mask takes pixels out, whatever their labels") {
    const std::int64_t n = 20'000;
    const Array<std::int64_t> target(random_runs<std::int64_t>(n, 5, 9, 3), {n});
    const Array<std::uint8_t> mask(random_runs<std::uint8_t>(n, 2, 5, 4), {n});
    const LabelTable table(5);
    const ArrayView flags = mask.view(DType::kBool);
    at_each_level([&] {
        std::vector<std::int64_t> matrix(25);
        PixelTally tally;
        confusion_matrix(target.view(DType::kInt64), target.view(DType::kInt64), &flags, table,
                         table, {}, matrix.data(), &tally);
        std::vector<std::int64_t> expected(25);
        std::int64_t masked = 0;
        for (std::size_t i = 0; i < mask.values.size(); ++i) {
            masked += mask.values[i];
            if (mask.values[i] == 0) ++expected[static_cast<std::size_t>(target.values[i]) * 6];
        }
        CHECK(matrix == expected);
        CHECK(tally.ignored == masked);
    });
}

TEST_CASE_TEMPLATE("scores are decided as a plain argmax with first ties and NaN first", T, float,
                   double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const T inf = std::numeric_limits<T>::infinity();
    const std::array<T, 6> values{T(0), T(-0.0), T(1), inf, -inf, nan};
    for (const std::int64_t channels : {2, 3, 19, 300}) {
        const std::int64_t n = 2500;
        std::mt19937 random(5);
        std::vector<T> scores(static_cast<std::size_t>(channels * n));
        for (T& score : scores) score = values[random() % values.size()];
        std::vector<std::uint16_t> best(static_cast<std::size_t>(n));
        for (std::int64_t i = 0; i < n; ++i) {
            std::int64_t winner = 0;
            const auto at = [&](std::int64_t c) {
                return scores[static_cast<std::size_t>(c * n + i)];
            };
            for (std::int64_t c = 1; c < channels; ++c) {
                if (std::isnan(at(winner))) break;
                if (at(c) > at(winner) || std::isnan(at(c))) winner = c;
            }
            best[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(winner);
        }
        const Array<T> score_array(scores, {channels, n});
        const Array<std::uint16_t> target(random_runs<std::uint16_t>(n, channels, 3, 6), {n});
        const std::vector<std::int64_t> expected = plain(best, target.values, channels);
        const DType dtype = sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64;
        at_each_level([&] {
            std::vector<std::int64_t> matrix(expected.size());
            PixelTally tally;
            CHECK(confusion_matrix_from_scores(
                score_array.view(dtype), 0.5, target.view(DType::kUInt16), nullptr,
                LabelTable(channels), LabelTable(channels), {}, matrix.data(), &tally));
            CHECK(matrix == expected);
        });
    }
}

TEST_CASE("strided, flipped and transposed arrays are read in place") {
    const std::int64_t rows = 37;
    const std::int64_t columns = 300;
    const Array<std::uint8_t> target(random_runs<std::uint8_t>(rows * columns, 4, 6, 7),
                                     {rows, columns});
    const Array<std::uint8_t> pred(random_runs<std::uint8_t>(rows * columns, 4, 6, 8),
                                   {rows, columns});
    const std::vector<std::int64_t> expected = plain(pred.values, target.values, 4);
    const LabelTable table(4);
    const auto flipped = [](ArrayView view, std::array<std::int64_t, 2>& strides) {
        view.data += (view.shape[0] - 1) * view.strides[0] + (view.shape[1] - 1) * view.strides[1];
        strides = {-view.strides[0], -view.strides[1]};
        view.strides = strides;
        return view;
    };
    std::array<std::int64_t, 2> pred_strides{};
    std::array<std::int64_t, 2> target_strides{};
    const ArrayView p = flipped(pred.view(DType::kUInt8), pred_strides);
    const ArrayView t = flipped(target.view(DType::kUInt8), target_strides);
    std::vector<std::int64_t> matrix(16);
    PixelTally tally;
    confusion_matrix(p, t, nullptr, table, table, {}, matrix.data(), &tally);
    CHECK(matrix == expected);

    std::vector<std::int64_t> counts(16 * static_cast<std::size_t>(rows));
    std::vector<PixelTally> tallies(static_cast<std::size_t>(rows));
    confusion_matrix(pred.view(DType::kUInt8), target.view(DType::kUInt8), nullptr, table, table,
                     {true, false, false, 3}, counts.data(), tallies.data());
    std::vector<std::int64_t> sum(16);
    for (std::size_t i = 0; i < counts.size(); ++i) sum[i % 16] += counts[i];
    CHECK(sum == expected);
}

TEST_CASE("weighted sums have the same bits for any number of threads") {
    const std::int64_t n = 1'200'000;
    const Array<std::uint8_t> target(random_runs<std::uint8_t>(n, 3, 4, 9), {n});
    const Array<std::uint8_t> pred(random_runs<std::uint8_t>(n, 3, 4, 10), {n});
    std::mt19937 random(11);
    std::vector<double> values(static_cast<std::size_t>(n));
    for (double& value : values) value = std::generate_canonical<double, 53>(random);
    const Array<double> weights(values, {n});
    const LabelTable table(3);
    std::vector<double> first;
    for (const int threads : {1, 2, 3, 7}) {
        std::vector<double> matrix(9);
        CHECK(weighted_confusion_matrix(pred.view(DType::kUInt8), target.view(DType::kUInt8),
                                        nullptr, weights.view(DType::kFloat64), table, table,
                                        {false, false, false, threads}, matrix.data()));
        if (first.empty()) first = matrix;
        CHECK(matrix == first);
    }
}

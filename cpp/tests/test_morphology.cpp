#include <cstdint>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/region/morphology.hpp"

namespace {

using segmeter::ElementRow;
using segmeter::OwnedRunRows;
using segmeter::RunRows;
using Pixel = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

struct Mask {
    std::int64_t planes, rows, width;
    std::set<Pixel> pixels;

    [[nodiscard]] bool has(std::int64_t p, std::int64_t r, std::int64_t x) const {
        return pixels.count({p, r, x}) != 0;
    }
    [[nodiscard]] bool holds(const Pixel& at) const {
        const auto& [p, r, x] = at;
        return p >= 0 && p < planes && r >= 0 && r < rows && x >= 0 && x < width;
    }
};

Mask random_mask(std::mt19937& random, std::int64_t planes, std::int64_t rows, std::int64_t width,
                 double density) {
    Mask mask{planes, rows, width, {}};
    std::bernoulli_distribution is_set(density);
    for (std::int64_t p = 0; p < planes; ++p)
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t x = 0; x < width; ++x)
                if (is_set(random)) mask.pixels.insert({p, r, x});
    return mask;
}

OwnedRunRows runs_of(const Mask& mask) {
    OwnedRunRows runs;
    runs.row_begin.push_back(0);
    for (std::int64_t p = 0; p < mask.planes; ++p)
        for (std::int64_t r = 0; r < mask.rows; ++r) {
            for (std::int64_t x = 0; x < mask.width; ++x) {
                if (!mask.has(p, r, x)) continue;
                if (x == 0 || !mask.has(p, r, x - 1))
                    runs.begin.push_back(static_cast<std::uint32_t>(x));
                if (x + 1 == mask.width || !mask.has(p, r, x + 1))
                    runs.end.push_back(static_cast<std::uint32_t>(x + 1));
            }
            runs.row_begin.push_back(static_cast<std::int64_t>(runs.begin.size()));
        }
    return runs;
}

std::set<Pixel> dilated(const Mask& mask, const std::vector<ElementRow>& element) {
    std::set<Pixel> result;
    for (const auto& [p, r, x] : mask.pixels)
        for (const ElementRow& part : element)
            for (std::int64_t dx = part.first; dx <= part.last; ++dx) {
                const Pixel at{p + part.plane, r + part.row, x + dx};
                if (mask.holds(at)) result.insert(at);
            }
    return result;
}

// Faces of the closed pixels, or pixels and their common neighbourhoods, counted one by one.
std::int64_t euler_by_cells(const Mask& mask, bool is_volume, bool full) {
    std::int64_t sum = 0;
    const std::int64_t deepest = is_volume ? 1 : 0;
    for (std::int64_t p = -deepest; p < mask.planes; ++p)
        for (std::int64_t r = -1; r < mask.rows; ++r)
            for (std::int64_t x = -1; x < mask.width; ++x)
                for (std::int64_t dp = 0; dp <= deepest; ++dp)
                    for (std::int64_t dr = 0; dr <= 1; ++dr)
                        for (std::int64_t dx = 0; dx <= 1; ++dx) {
                            bool any = false;
                            bool all = true;
                            for (std::int64_t a = 0; a <= dp; ++a)
                                for (std::int64_t b = 0; b <= dr; ++b)
                                    for (std::int64_t c = 0; c <= dx; ++c) {
                                        const bool in = mask.has(p + a, r + b, x + c);
                                        any = any || in;
                                        all = all && in;
                                    }
                            const std::int64_t extent = dp + dr + dx;
                            const std::int64_t dimension =
                                full ? (is_volume ? 3 : 2) - extent : extent;
                            if (full ? any : all) sum += dimension % 2 == 0 ? 1 : -1;
                        }
    return sum;
}

}  // namespace

TEST_CASE("dilation is the Minkowski sum, cut off at the border") {
    std::mt19937 random(1);
    const std::vector<ElementRow> lopsided{{0, 0, 0, 0}, {1, -1, -2, 1}, {-1, 2, 3, 3}};
    const std::vector<ElementRow> cross{{0, 0, -1, 1}, {0, 1, 0, 0}, {0, -1, 0, 0}};
    for (const auto& element : {lopsided, cross})
        for (const double density : {0.0, 0.05, 0.4, 1.0}) {
            const Mask mask = random_mask(random, 3, 5, 9, density);
            const OwnedRunRows runs = runs_of(mask);
            const RunRows view = runs.view({3, 5, 9, {}, {}, {}});
            Mask expected = mask;
            for (int iterations = 0; iterations < 4; ++iterations) {
                const OwnedRunRows wanted = runs_of(expected);
                for (const int threads : {1, 3}) {
                    const OwnedRunRows result =
                        segmeter::dilate(view, element, iterations, threads);
                    CHECK(result.row_begin == wanted.row_begin);
                    CHECK(result.begin == wanted.begin);
                    CHECK(result.end == wanted.end);
                }
                expected.pixels = dilated(expected, element);
            }
        }
}

TEST_CASE("Euler characteristic equals the count of all cells") {
    std::mt19937 random(2);
    for (int repeat = 0; repeat < 60; ++repeat) {
        const double density = 0.1 * static_cast<double>(repeat % 11);
        const bool is_volume = repeat % 2 == 1;
        const std::int64_t planes = is_volume ? repeat % 5 : 1;
        const Mask mask = random_mask(random, planes, repeat % 6, repeat % 7, density);
        const OwnedRunRows runs = runs_of(mask);
        const RunRows view = runs.view({planes, mask.rows, mask.width, {}, {}, {}});
        for (const bool full : {false, true})
            for (const int threads : {1, 2})
                CHECK(segmeter::euler_characteristic(view, is_volume, full, threads) ==
                      euler_by_cells(mask, is_volume, full));
    }
}

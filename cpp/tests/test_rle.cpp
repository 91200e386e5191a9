#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/region/coco.hpp"
#include "segmeter/region/rle.hpp"

using namespace segmeter;

namespace {

// Row-major pixels of a random mask.
std::vector<std::uint8_t> random_pixels(std::int64_t pixels, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> mask(static_cast<std::size_t>(pixels));
    const unsigned share = 1 + random() % 9;
    for (auto& pixel : mask) pixel = random() % 10 < share ? 1 : 0;
    return mask;
}

void append(RunMasks& masks, const std::vector<std::uint8_t>& pixels, std::int64_t width) {
    masks.append_pixels(reinterpret_cast<const std::byte*>(pixels.data()), width, 1);
}

}  // namespace

TEST_CASE("masks survive every form") {
    constexpr std::int64_t kHeight = 9;
    constexpr std::int64_t kWidth = 70;  // more than one band of columns
    for (unsigned seed = 0; seed < 50; ++seed) {
        RunMasks masks(kHeight, kWidth);
        const auto pixels = random_pixels(kHeight * kWidth, seed);
        append(masks, pixels, kWidth);
        const RunMaskView one = masks.view();
        check_masks(one);
        std::vector<std::uint8_t> painted(pixels.size());
        paint_mask(one[0], kHeight, kWidth, painted.data());
        CHECK(painted == pixels);
        RunMasks again(kHeight, kWidth);
        again.append_counts(mask_counts(one[0], kHeight * kWidth));
        again.append_text(mask_text(one[0], kHeight * kWidth));
        again.append_merged(one, true);
        for (std::int64_t k = 0; k < 3; ++k)
            CHECK(std::vector(again.view()[k].begin(), again.view()[k].end()) ==
                  std::vector(one[0].begin(), one[0].end()));
    }
}

TEST_CASE("area, box, union and intersection are those of the pixels") {
    constexpr std::int64_t kHeight = 8;
    constexpr std::int64_t kWidth = 11;
    for (unsigned seed = 0; seed < 100; ++seed) {
        RunMasks masks(kHeight, kWidth);
        const auto a = random_pixels(kHeight * kWidth, 2 * seed);
        const auto b = random_pixels(kHeight * kWidth, 2 * seed + 1);
        append(masks, a, kWidth);
        append(masks, b, kWidth);
        std::int64_t shared = 0;
        std::int64_t either = 0;
        PixelBox box{kHeight, 0, kWidth, 0};
        for (std::int64_t p = 0; p < kHeight * kWidth; ++p) {
            const auto k = static_cast<std::size_t>(p);
            shared += a[k] & b[k];
            either += a[k] | b[k];
            if (a[k] == 0) continue;
            box.top = std::min(box.top, p / kWidth);
            box.bottom = std::max(box.bottom, p / kWidth + 1);
            box.left = std::min(box.left, p % kWidth);
            box.right = std::max(box.right, p % kWidth + 1);
        }
        const RunMaskView view = masks.view();
        CHECK(mask_intersection(view[0], view[1]) == shared);
        const PixelBox found = mask_box(view[0], kHeight);
        CHECK(found.top == box.top);
        CHECK(found.bottom == box.bottom);
        CHECK(found.left == box.left);
        CHECK(found.right == box.right);
        RunMasks merged(kHeight, kWidth);
        merged.append_merged(view, false);
        merged.append_merged(view, true);
        CHECK(mask_area(merged.view()[0]) == either);
        CHECK(mask_area(merged.view()[1]) == shared);
    }
}

TEST_CASE("what cannot be a mask throws and leaves the list as it was") {
    RunMasks masks(2, 3);
    const std::vector<std::vector<std::int64_t>> bad{{2, 3}, {7}, {2, -1, 5}, {}, {INT64_MAX, 6}};
    for (const auto& counts : bad)
        CHECK_THROWS_AS(masks.append_counts(counts), std::invalid_argument);
    for (const std::string text : {"", "2", "2`", "oooooooooooooo", "\x7f", "22O"})
        CHECK_THROWS_AS(masks.append_text(text), std::invalid_argument);
    const std::vector<double> line{0, 0, 1, 1};
    const std::vector<std::size_t> end{4};
    CHECK_THROWS_AS(masks.append_polygons(line, end), std::invalid_argument);
    CHECK_THROWS_AS(masks.append_polygons({}, {}), std::invalid_argument);
    CHECK(masks.view().size() == 0);
    CHECK_THROWS_AS(RunMasks(1 << 16, 1 << 16), std::invalid_argument);
    CHECK_THROWS_AS(RunMasks(-1, 2), std::invalid_argument);
    masks.append_text("24");
    CHECK(mask_area(masks.view()[0]) == 4);
}

TEST_CASE("a sure detection takes the target, the next one is wrong, a crowd forgives") {
    RunMasks masks(1, 4);
    masks.append_counts(std::vector<std::int64_t>{0, 2, 2});
    masks.append_counts(std::vector<std::int64_t>{0, 2, 2});
    const std::vector<std::int64_t> classes{0, 0};
    const std::vector<double> scores{0.5, 0.9};
    const std::vector<double> threshold{0.5};
    const std::vector<double> all{0, 1e10};
    const CocoRules rules{threshold, all, 100};
    const CocoDetections pred{masks.view(), classes, {}, scores};
    for (const std::uint8_t crowd : {0, 1}) {
        RunMasks one(1, 4);
        one.append_counts(std::vector<std::int64_t>{0, 2, 2});
        const std::vector<std::int64_t> own{0};
        const std::vector<std::uint8_t> flags{crowd};
        const std::vector<std::uint8_t> none{0};
        const CocoMatches found = coco_match(pred, {one.view(), own, {}, flags, none}, 1, rules);
        CHECK(found.detection == std::vector<std::int64_t>{1, 0});
        CHECK(found.positives == std::vector<std::int64_t>{crowd != 0 ? 0 : 1});
        CHECK(found.outcome[0] ==
              (crowd != 0 ? CocoOutcome::kIgnored : CocoOutcome::kTruePositive));
        CHECK(found.outcome[1] ==
              (crowd != 0 ? CocoOutcome::kIgnored : CocoOutcome::kFalsePositive));
    }
}

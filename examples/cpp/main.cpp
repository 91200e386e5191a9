// Counts two small label maps with the C++ library alone and prints the IoU of each class.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "segmeter/pixel.hpp"
#include "segmeter/view.hpp"

int main() {
    constexpr std::int64_t kClasses = 3;
    constexpr std::int64_t kIgnored = 255;
    static constexpr std::array<std::int64_t, 2> kShape{4, 6};
    static constexpr std::array<std::int64_t, 2> kStrides{6, 1};  // in bytes
    const std::vector<std::uint8_t> target{
        0, 0, 0, 1, 1, 255,  //
        0, 0, 0, 1, 1, 255,  //
        0, 0, 2, 2, 1, 255,  //
        0, 0, 2, 2, 1, 255,
    };
    const std::vector<std::uint8_t> pred{
        0, 0, 1, 1, 1, 1,  //
        0, 0, 1, 1, 1, 1,  //
        0, 0, 2, 2, 1, 0,  //
        0, 0, 0, 2, 1, 0,
    };

    segmeter::LabelTable labels(kClasses);
    labels.set_void(kIgnored);
    const auto view = [&](const std::vector<std::uint8_t>& map) {
        return segmeter::ArrayView{.data = reinterpret_cast<const std::byte*>(map.data()),
                                   .dtype = segmeter::DType::kUInt8,
                                   .shape = kShape,
                                   .strides = kStrides};
    };

    std::array<std::int64_t, kClasses * kClasses> matrix{};
    segmeter::PixelTally tally;
    segmeter::confusion_matrix(view(pred), view(target), nullptr, labels, labels, {}, matrix.data(),
                               &tally);

    std::printf("%lld pixels ignored\n", static_cast<long long>(tally.ignored));
    for (std::size_t k = 0; k < kClasses; ++k) {
        std::int64_t in_target = 0;
        std::int64_t in_pred = 0;
        for (std::size_t other = 0; other < kClasses; ++other) {
            in_target += matrix[k * kClasses + other];
            in_pred += matrix[other * kClasses + k];
        }
        const std::int64_t both = matrix[k * kClasses + k];
        const std::int64_t either = in_target + in_pred - both;
        std::printf("class %zu: IoU %lld / %lld\n", k, static_cast<long long>(both),
                    static_cast<long long>(either));
    }
    return 0;
}

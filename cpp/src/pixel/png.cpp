#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "segmeter/pixel.hpp"

namespace segmeter {
namespace {

// Bytes that the shortcut of a row of predictions takes at once, and bytes between two attempts to
// take it: whole pixels of 1, 2, 3 and 4 bytes.
constexpr std::size_t kBlock = 48;
constexpr std::size_t kStride = 12;

bool all_zero(const std::uint8_t* bytes) {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < kBlock; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + i, sizeof(word));
        any |= word;
    }
    return any == 0;
}

template <std::size_t kStep>
using Pixel = std::array<int, kStep>;

template <std::size_t kStep>
void add_left(std::uint8_t* row, std::size_t n) {
    Pixel<kStep> left{};
    for (std::size_t i = 0; i < n; i += kStep)
        for (std::size_t k = 0; k < kStep; ++k) {
            left[k] = (row[i + k] + left[k]) & 255;
            row[i + k] = static_cast<std::uint8_t>(left[k]);
        }
}

void add_above(std::uint8_t* row, const std::uint8_t* above, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) row[i] = static_cast<std::uint8_t>(row[i] + above[i]);
}

template <std::size_t kStep>
void add_average(std::uint8_t* row, const std::uint8_t* above, std::size_t n) {
    Pixel<kStep> left{};
    for (std::size_t i = 0; i < n; i += kStep)
        for (std::size_t k = 0; k < kStep; ++k) {
            left[k] = (row[i + k] + (left[k] + above[i + k]) / 2) & 255;
            row[i + k] = static_cast<std::uint8_t>(left[k]);
        }
}

// Of left, above and the one above left: the nearest to left + above - above left.
int paeth(int left, int above, int corner) {
    const int to_left = std::abs(above - corner);
    const int to_above = std::abs(left - corner);
    const int to_corner = std::abs(left + above - 2 * corner);
    const int vertical = to_above <= to_corner ? above : corner;
    return to_left <= std::min(to_above, to_corner) ? left : vertical;
}

// Where the pixel to the left equals the one above it, what is above is predicted; and as long as
// predictions are right, as in maps of labels they mostly are, that stays so.
template <std::size_t kStep>
void add_prediction(std::uint8_t* row, const std::uint8_t* above, std::size_t n) {
    Pixel<kStep> left{};
    Pixel<kStep> corner{};
    for (std::size_t i = 0; i < n;) {
        if (i + kBlock <= n && left == corner && all_zero(row + i)) {
            std::memcpy(row + i, above + i, kBlock);
            i += kBlock;
            for (std::size_t k = 0; k < kStep; ++k) left[k] = corner[k] = row[i - kStep + k];
            continue;
        }
        const std::size_t stop = std::min(n, i + kStride);
        for (; i < stop; i += kStep)
            for (std::size_t k = 0; k < kStep; ++k) {
                left[k] = (row[i + k] + paeth(left[k], above[i + k], corner[k])) & 255;
                corner[k] = above[i + k];
                row[i + k] = static_cast<std::uint8_t>(left[k]);
            }
    }
}

template <std::size_t kStep>
bool undo_filter(std::uint8_t filter, std::uint8_t* row, const std::uint8_t* above, std::size_t n) {
    switch (filter) {
        case 0: return true;
        case 1: add_left<kStep>(row, n); return true;
        case 2: add_above(row, above, n); return true;
        case 3: add_average<kStep>(row, above, n); return true;
        case 4: add_prediction<kStep>(row, above, n); return true;
        default: return false;
    }
}

}  // namespace

bool unfilter_png(std::uint8_t* rows, std::int64_t height, std::int64_t row_bytes,
                  std::int64_t pixel_bytes) {
    const auto undo = [&] {
        switch (pixel_bytes) {
            case 1: return undo_filter<1>;
            case 2: return undo_filter<2>;
            case 3: return undo_filter<3>;
            case 4: return undo_filter<4>;
            default: throw std::invalid_argument("pixels must have 1 to 4 bytes");
        }
    }();
    if (row_bytes % pixel_bytes != 0) throw std::invalid_argument("rows must be whole pixels");
    const auto size = static_cast<std::size_t>(row_bytes);
    const std::vector<std::uint8_t> blank(size);
    const std::uint8_t* above = blank.data();
    for (std::int64_t y = 0; y < height; ++y, rows += row_bytes + 1) {
        if (!undo(rows[0], rows + 1, above, size)) return false;
        above = rows + 1;
    }
    return true;
}

}  // namespace segmeter

// Which pixels see another label in their window.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "segmeter/boundary/band.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/bit_rows.hpp"
#include "boundary/class_maps.hpp"
#include "region/rows.hpp"

namespace segmeter::boundary {

// Lines along one axis: `outer` groups of `count` lines of `inner` contiguous elements.
struct Axis {
    std::int64_t outer;
    std::int64_t count;
    std::int64_t inner;
};

// Calls work(first element of a group, first and last column) for columns of about `width`.
template <class Work>
void for_each_column_block(const Axis& axis, std::int64_t width, int threads, Work&& work) {
    const std::int64_t columns = (axis.inner + width - 1) / width;
    run_blocks(axis.outer * columns, threads, [&](std::int64_t block) {
        const std::int64_t begin = block % columns * width;
        work(block / columns * axis.count * axis.inner, begin, std::min(begin + width, axis.inner));
    });
}

// Lines of an axis with room for windows that reach beyond either end.
template <class Value>
class LineBuffer {
   public:
    LineBuffer(std::int64_t lines, std::int64_t width, Value fill)
        : lines_(lines), width_(width), values_(static_cast<std::size_t>(lines * width), fill) {}
    [[nodiscard]] Value* line(std::int64_t i) { return values_.data() + i * width_; }
    // Line i becomes what join(to, from, n) makes of the lines i to i + length - 1.
    template <class Join>
    void join_windows(std::int64_t length, Join&& join) {
        for_each_doubling(length, [&](std::int64_t shift) {
            for (std::int64_t i = 0; i + shift < lines_; ++i)
                join(line(i), line(i + shift), width_);
        });
    }

   private:
    std::int64_t lines_;
    std::int64_t width_;
    std::vector<Value> values_;
};

// Whole cache lines; so wide that a line is worth a call, so narrow that a column stays in cache.
inline constexpr std::int64_t kColumnBytes = 512;

// bits: which pixels see a change along the axes before. Adds what a window of `reach` lines to
// either side sees. changes: bit set where a line differs from the next one.
inline void spread_along(std::uint64_t* bits, const std::uint64_t* changes, const Axis& axis,
                         std::int64_t reach, bool border, int threads) {
    reach = std::min(reach, axis.count);
    if (reach == 0) return;
    constexpr std::int64_t kWidth = kColumnBytes / 8;
    const auto join = band_kernels().join;
    for_each_column_block(
        axis, kWidth, threads, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
            const std::int64_t width = end - begin;
            // Line i + reach - 1 is the edge before line i: set if either of its lines sees a
            // change or they differ. The edges before the first and after the last line are the
            // image's.
            LineBuffer<std::uint64_t> edges(axis.count + 2 * reach, width, 0);
            const auto at = [&](std::int64_t line) { return group + line * axis.inner + begin; };
            for (std::int64_t line = 1; line < axis.count; ++line) {
                std::uint64_t* edge = edges.line(line + reach - 1);
                std::copy_n(changes + at(line - 1), width, edge);
                join(edge, bits + at(line - 1), width);
                join(edge, bits + at(line), width);
            }
            if (border)
                for (const std::int64_t line : {std::int64_t{0}, axis.count})
                    std::fill_n(edges.line(line + reach - 1), width, ~std::uint64_t{0});
            edges.join_windows(2 * reach, join);
            for (std::int64_t line = 0; line < axis.count; ++line)
                join(bits + at(line), edges.line(line), width);
        });
}

// Smallest or largest of every window of `reach` lines to either side.
template <class Code>
void join_along(Code* codes, const Axis& axis, std::int64_t reach, Code neutral, int threads,
                simd::Extreme join) {
    reach = std::min(reach, axis.count);
    if (reach == 0) return;
    constexpr auto kWidth = kColumnBytes / static_cast<std::int64_t>(sizeof(Code));
    for_each_column_block(
        axis, kWidth, threads, [&](std::int64_t group, std::int64_t begin, std::int64_t end) {
            const std::int64_t width = end - begin;
            LineBuffer<Code> lines(axis.count + 2 * reach, width, neutral);
            const auto at = [&](std::int64_t line) { return group + line * axis.inner + begin; };
            for (std::int64_t line = 0; line < axis.count; ++line)
                std::copy_n(codes + at(line), width, lines.line(line + reach));
            lines.join_windows(2 * reach + 1, [&](Code* to, const Code* from, std::int64_t n) {
                join(to, from, n, to);
            });
            for (std::int64_t line = 0; line < axis.count; ++line)
                std::copy_n(lines.line(line), width, codes + at(line));
        });
}

// Codes with `neutral` in place of the unknown ones. A function of its own: nothing it writes to
// can be taken for a length.
template <class Code>
void copy_known(const Code* codes, const std::uint8_t* unknown, std::int64_t n, Code neutral,
                Code* out) {
    for (std::int64_t x = 0; x < n; ++x) {
        const Code code = codes[x];  // read whatever it is worth, so that there is no branch
        out[x] = unknown[x] != 0 ? neutral : code;
    }
}

// Where a new label begins in every row.
template <class Code>
BitRows changes_in_rows(const Code* codes, const VolumeShape& shape, int threads) {
    BitRows changes(shape.all_rows(), shape.length);
    const simd::Changes find = band_kernels().changes[simd::code_place(sizeof(Code))];
    for_each_row(shape.all_rows(), threads, [&](std::int64_t row) {
        find(codes + row * shape.length, shape.length, row > 0, changes.row(row));
    });
    return changes;
}

template <class Code>
class BandFinder {
   public:
    BandFinder(const Code* codes, const VolumeShape& shape, const Reach& reach, bool border,
               int threads)
        : codes_(codes), shape_(shape), reach_(reach), border_(border), threads_(threads) {
        reach_[2] = std::min(reach_[2], shape.length);
    }

    // The band of every row, from where labels change in it. Bits beyond its length are of no
    // meaning.
    [[nodiscard]] BitRows find(const BitRows& changes, const std::uint8_t* unknown) const {
        return unknown == nullptr ? by_changes(changes) : by_extremes(unknown);
    }

   private:
    static constexpr int kPlace = simd::code_place(sizeof(Code));

    // Lines along rows and along slices, of so many elements each.
    [[nodiscard]] Axis rows(std::int64_t length) const {
        return {shape_.slices, shape_.rows, length};
    }
    [[nodiscard]] Axis slices(std::int64_t length) const {
        return {1, shape_.slices, shape_.rows * length};
    }

    [[nodiscard]] BitRows by_changes(const BitRows& changes) const {
        const std::int64_t all = shape_.all_rows();
        BitRows bits(all, shape_.length);
        BitRows below(reach_[1] > 0 ? all : 0, shape_.length);
        BitRows behind(reach_[0] > 0 ? all : 0, shape_.length);
        for_each_row_block(all, threads_, [&](std::int64_t begin, std::int64_t end) {
            const std::int64_t words = words_for(shape_.length + 2 * reach_[2]);
            std::vector<std::uint64_t> scratch(static_cast<std::size_t>(words));
            for (std::int64_t row = begin; row < end; ++row) {
                spread_in_row(changes.row(row), scratch, bits.row(row));
                if (!below.empty() && row % shape_.rows + 1 < shape_.rows)
                    compare_rows(row, row + 1, below.row(row));
                if (!behind.empty() && row + shape_.rows < all)
                    compare_rows(row, row + shape_.rows, behind.row(row));
            }
        });
        const std::int64_t words = bits.words();
        spread_along(bits.row(0), below.row(0), rows(words), reach_[1], border_, threads_);
        spread_along(bits.row(0), behind.row(0), slices(words), reach_[0], border_, threads_);
        return bits;
    }

    void spread_in_row(const std::uint64_t* changes, std::vector<std::uint64_t>& scratch,
                       std::uint64_t* out) const {
        const std::int64_t reach = reach_[2];
        if (reach == 0) return;
        // Bit x + reach - 1: pixel x differs from the one before.
        const std::int64_t whole = (reach - 1) / 64;
        const auto rest = static_cast<int>((reach - 1) % 64);
        std::fill(scratch.begin(), scratch.end(), 0U);
        std::uint64_t* to = scratch.data() + whole;
        for (std::int64_t word = 0; word < words_for(shape_.length); ++word) {
            to[word] |= changes[word] << rest;
            if (rest > 0 && changes[word] >> (64 - rest) != 0)
                to[word + 1] |= changes[word] >> (64 - rest);
        }
        if (border_) {
            set_bits(scratch.data(), reach - 1, reach);
            set_bits(scratch.data(), reach - 1 + shape_.length, reach + shape_.length);
        }
        const auto words = static_cast<std::int64_t>(scratch.size());
        for_each_doubling(2 * reach,
                          [&](std::int64_t shift) { or_shifted(scratch.data(), words, shift); });
        std::copy_n(scratch.data(), words_for(shape_.length), out);
    }

    void compare_rows(std::int64_t row, std::int64_t other, std::uint64_t* out) const {
        band_kernels().differ[kPlace](codes_ + row * shape_.length, codes_ + other * shape_.length,
                                      shape_.length, out);
    }

    [[nodiscard]] BitRows by_extremes(const std::uint8_t* unknown) const {
        const std::vector<Code> low =
            extremes(unknown, std::numeric_limits<Code>::max(), band_kernels().least[kPlace]);
        const std::vector<Code> high = extremes(unknown, Code{0}, band_kernels().most[kPlace]);
        BitRows bits(shape_.all_rows(), shape_.length);
        for_each_row(shape_.all_rows(), threads_, [&](std::int64_t row) {
            const std::int64_t at = row * shape_.length;
            band_kernels().differ[kPlace](low.data() + at, high.data() + at, shape_.length,
                                          bits.row(row));
            if (border_) set_border(row, bits.row(row));
        });
        return bits;
    }

    // Smallest or largest known label in the window of every pixel.
    [[nodiscard]] std::vector<Code> extremes(const std::uint8_t* unknown, Code neutral,
                                             simd::Extreme join) const {
        const std::int64_t length = shape_.length;
        const std::int64_t reach = reach_[2];
        std::vector<Code> values(static_cast<std::size_t>(shape_.all_rows() * length));
        for_each_row_block(shape_.all_rows(), threads_, [&](std::int64_t begin, std::int64_t end) {
            // Two lines, from one of which each step reads while it writes to the other.
            const auto size = static_cast<std::size_t>(length + 2 * reach);
            std::vector<Code> line(size, neutral);
            std::vector<Code> next(size, neutral);
            for (std::int64_t row = begin; row < end; ++row) {
                std::fill(line.begin(), line.end(), neutral);
                copy_known(codes_ + row * length, unknown + row * length, length, neutral,
                           line.data() + reach);
                auto filled = static_cast<std::int64_t>(size);
                for_each_doubling(2 * reach + 1, [&](std::int64_t shift) {
                    filled -= shift;
                    join(line.data(), line.data() + shift, filled, next.data());
                    std::swap(line, next);
                });
                std::copy_n(line.data(), length, values.data() + row * length);
            }
        });
        join_along(values.data(), rows(length), reach_[1], neutral, threads_, join);
        join_along(values.data(), slices(length), reach_[0], neutral, threads_, join);
        return values;
    }

    // Pixels whose window leads out of the image.
    void set_border(std::int64_t row, std::uint64_t* out) const {
        const auto near_end = [](std::int64_t i, std::int64_t count, std::int64_t reach) {
            return i < reach || i >= count - reach;
        };
        if (near_end(row / shape_.rows, shape_.slices, reach_[0]) ||
            near_end(row % shape_.rows, shape_.rows, reach_[1])) {
            set_bits(out, 0, shape_.length);
            return;
        }
        set_bits(out, 0, reach_[2]);
        set_bits(out, shape_.length - reach_[2], shape_.length);
    }

    const Code* codes_;
    VolumeShape shape_;
    Reach reach_;
    bool border_;
    int threads_;
};

}  // namespace segmeter::boundary

// Which pixels see another label in their window.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
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
    // Line i becomes what `join` makes of the lines i to i + length - 1.
    template <class Join>
    void join_windows(std::int64_t length, Join&& join) {
        for_each_doubling(length, [&](std::int64_t shift) {
            Value* to = values_.data();
            const Value* from = to + shift * width_;
            const std::int64_t count = (lines_ - shift) * width_;
            for (std::int64_t i = 0; i < count; ++i) to[i] = join(to[i], from[i]);
        });
    }

   private:
    std::int64_t lines_;
    std::int64_t width_;
    std::vector<Value> values_;
};

inline constexpr std::int64_t kColumnBytes = 128;  // whole cache lines, whatever the stride

// bits: which pixels see a change along the axes before. Adds what a window of `reach` lines to
// either side sees. changes: bit set where a line differs from the next one.
inline void spread_along(std::uint64_t* bits, const std::uint64_t* changes, const Axis& axis,
                         std::int64_t reach, bool border, int threads) {
    reach = std::min(reach, axis.count);
    if (reach == 0) return;
    constexpr std::int64_t kWidth = kColumnBytes / 8;
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
                const std::uint64_t* before = bits + at(line - 1);
                const std::uint64_t* here = bits + at(line);
                const std::uint64_t* change = changes + at(line - 1);
                for (std::int64_t i = 0; i < width; ++i) edge[i] = before[i] | here[i] | change[i];
            }
            if (border)
                for (const std::int64_t line : {std::int64_t{0}, axis.count})
                    std::fill_n(edges.line(line + reach - 1), width, ~std::uint64_t{0});
            edges.join_windows(2 * reach, [](std::uint64_t a, std::uint64_t b) { return a | b; });
            for (std::int64_t line = 0; line < axis.count; ++line)
                for (std::int64_t i = 0; i < width; ++i) bits[at(line) + i] |= edges.line(line)[i];
        });
}

// Smallest or largest of every window of `reach` lines to either side.
template <class Code, class Join>
void join_along(Code* codes, const Axis& axis, std::int64_t reach, Code neutral, int threads,
                Join&& join) {
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
            lines.join_windows(2 * reach + 1, join);
            for (std::int64_t line = 0; line < axis.count; ++line)
                std::copy_n(lines.line(line), width, codes + at(line));
        });
}

template <class Code>
class BandFinder {
   public:
    BandFinder(const Code* codes, const VolumeShape& shape, const Reach& reach, bool border,
               int threads)
        : codes_(codes), shape_(shape), reach_(reach), border_(border), threads_(threads) {
        reach_[2] = std::min(reach_[2], shape.length);
    }

    // The band of every row. Bits beyond its length are of no meaning.
    [[nodiscard]] BitRows find(const std::uint8_t* unknown) {
        if (shape_.all_rows() * shape_.length == 0) return {};
        return unknown == nullptr ? by_changes() : by_extremes(unknown);
    }

   private:
    [[nodiscard]] Axis rows() const { return {shape_.slices, shape_.rows, 1}; }
    [[nodiscard]] Axis slices() const { return {1, shape_.slices, shape_.rows}; }
    [[nodiscard]] static Axis of(Axis axis, std::int64_t elements) {
        axis.inner *= elements;
        return axis;
    }

    [[nodiscard]] BitRows by_changes() {
        const std::int64_t all = shape_.all_rows();
        BitRows bits(all, shape_.length);
        BitRows below(reach_[1] > 0 ? all : 0, shape_.length);
        BitRows behind(reach_[0] > 0 ? all : 0, shape_.length);
        const std::int64_t blocks = std::max<std::int64_t>(1, row_blocks(all, threads_));
        run_blocks(blocks, threads_, [&](std::int64_t block) {
            RowScratch scratch(shape_.length + 2 * reach_[2] + 1);
            for (std::int64_t row = all * block / blocks; row < all * (block + 1) / blocks; ++row) {
                spread_in_row(row, scratch, bits.row(row));
                if (!below.empty() && row % shape_.rows + 1 < shape_.rows)
                    compare_rows(row, row + 1, scratch, below.row(row));
                if (!behind.empty() && row + shape_.rows < all)
                    compare_rows(row, row + shape_.rows, scratch, behind.row(row));
            }
        });
        spread_along(bits.row(0), below.row(0), of(rows(), bits.words()), reach_[1], border_,
                     threads_);
        spread_along(bits.row(0), behind.row(0), of(slices(), bits.words()), reach_[0], border_,
                     threads_);
        return bits;
    }

    struct RowScratch {
        explicit RowScratch(std::int64_t length)
            : flags(static_cast<std::size_t>(64 * words_for(length))),
              words(static_cast<std::size_t>(words_for(length))) {}
        std::vector<std::uint8_t> flags;
        std::vector<std::uint64_t> words;
    };

    void spread_in_row(std::int64_t row, RowScratch& scratch, std::uint64_t* out) const {
        const std::int64_t reach = reach_[2];
        if (reach == 0) return;
        const Code* codes = codes_ + row * shape_.length;
        std::fill(scratch.flags.begin(), scratch.flags.end(), std::uint8_t{0});
        // Flag x + reach - 1: pixel x differs from the one before.
        std::uint8_t* flags = scratch.flags.data() + reach - 1;
        for (std::int64_t x = 1; x < shape_.length; ++x) flags[x] = codes[x] != codes[x - 1];
        flags[0] = flags[shape_.length] = border_ ? 1 : 0;
        const auto words = static_cast<std::int64_t>(scratch.words.size());
        pack_flags(scratch.flags.data(), words, scratch.words.data());
        for_each_doubling(
            2 * reach, [&](std::int64_t shift) { or_shifted(scratch.words.data(), words, shift); });
        std::copy_n(scratch.words.data(), words_for(shape_.length), out);
    }

    void compare_rows(std::int64_t row, std::int64_t other, RowScratch& scratch,
                      std::uint64_t* out) const {
        const Code* a = codes_ + row * shape_.length;
        const Code* b = codes_ + other * shape_.length;
        std::uint8_t* flags = scratch.flags.data();
        for (std::int64_t x = 0; x < shape_.length; ++x) flags[x] = a[x] != b[x];
        const std::int64_t words = words_for(shape_.length);
        std::fill(flags + shape_.length, flags + 64 * words, std::uint8_t{0});
        pack_flags(flags, words, out);
    }

    [[nodiscard]] BitRows by_extremes(const std::uint8_t* unknown) {
        constexpr Code kLow = 0;
        constexpr Code kHigh = std::numeric_limits<Code>::max();
        const auto least = [](Code a, Code b) { return std::min(a, b); };
        const auto most = [](Code a, Code b) { return std::max(a, b); };
        const std::vector<Code> low = extremes(unknown, kHigh, least);
        const std::vector<Code> high = extremes(unknown, kLow, most);
        BitRows bits(shape_.all_rows(), shape_.length);
        const std::int64_t words = bits.words();
        for_each_row(shape_.all_rows(), threads_, [&](std::int64_t row) {
            const std::int64_t at = row * shape_.length;
            std::vector<std::uint8_t> flags(static_cast<std::size_t>(64 * words));
            for (std::int64_t x = 0; x < shape_.length; ++x)
                flags[static_cast<std::size_t>(x)] =
                    low[static_cast<std::size_t>(at + x)] != high[static_cast<std::size_t>(at + x)];
            pack_flags(flags.data(), words, bits.row(row));
            if (border_) set_border(row, bits.row(row));
        });
        return bits;
    }

    template <class Join>
    [[nodiscard]] std::vector<Code> extremes(const std::uint8_t* unknown, Code neutral,
                                             Join&& join) const {
        const std::int64_t length = shape_.length;
        const std::int64_t reach = reach_[2];
        std::vector<Code> values(static_cast<std::size_t>(shape_.all_rows() * length));
        for_each_row(shape_.all_rows(), threads_, [&](std::int64_t row) {
            LineBuffer<Code> line(length + 2 * reach, 1, neutral);
            const Code* codes = codes_ + row * length;
            const std::uint8_t* is_unknown = unknown + row * length;
            Code* known = line.line(reach);
            for (std::int64_t x = 0; x < length; ++x)
                known[x] = is_unknown[x] != 0 ? neutral : codes[x];
            line.join_windows(2 * reach + 1, join);
            std::copy_n(line.line(0), length, values.data() + row * length);
        });
        join_along(values.data(), of(rows(), length), reach_[1], neutral, threads_, join);
        join_along(values.data(), of(slices(), length), reach_[0], neutral, threads_, join);
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

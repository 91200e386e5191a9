// Rows of pixels as bits, and what is done with 64 of them at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace segmeter::boundary {

constexpr std::int64_t words_for(std::int64_t bits) { return (bits + 63) / 64; }

class BitRows {
   public:
    BitRows() = default;
    BitRows(std::int64_t rows, std::int64_t length)
        : words_(words_for(length)), bits_(static_cast<std::size_t>(rows * words_)) {}

    [[nodiscard]] std::int64_t words() const noexcept { return words_; }
    [[nodiscard]] bool empty() const noexcept { return bits_.empty(); }
    [[nodiscard]] std::uint64_t* row(std::int64_t r) { return bits_.data() + r * words_; }
    [[nodiscard]] const std::uint64_t* row(std::int64_t r) const {
        return bits_.data() + r * words_;
    }

   private:
    std::int64_t words_ = 0;
    std::vector<std::uint64_t> bits_;
};

// Bit i of the words: flags[i], which is 0 or 1. Reads 64 flags a word.
inline void pack_flags(const std::uint8_t* flags, std::int64_t words, std::uint64_t* out) {
    for (std::int64_t word = 0; word < words; ++word) {
        std::uint64_t bits = 0;
        for (int byte = 0; byte < 8; ++byte, flags += 8) {
            std::uint64_t eight;
            std::memcpy(&eight, flags, sizeof(eight));
            // Every flag is moved to its bit of the highest byte; no sum carries.
            bits |= (eight * 0x0102040810204080U >> 56) << (8 * byte);
        }
        out[word] = bits;
    }
}

// Bits from `begin` on.
constexpr std::uint64_t bits_from(std::int64_t begin) { return ~std::uint64_t{0} << begin; }
// Bits below `end`, which is 1 to 64.
constexpr std::uint64_t bits_below(std::int64_t end) { return ~std::uint64_t{0} >> (64 - end); }

// Calls visit(word, mask) for the words that hold the bits [begin, end), which is not empty.
template <class Visit>
void for_each_word(std::int64_t begin, std::int64_t end, Visit&& visit) {
    const std::int64_t first = begin / 64;
    const std::int64_t last = (end - 1) / 64;
    for (std::int64_t word = first; word <= last; ++word) {
        std::uint64_t mask = ~std::uint64_t{0};
        if (word == first) mask &= bits_from(begin % 64);
        if (word == last) mask &= bits_below((end - 1) % 64 + 1);
        visit(word, mask);
    }
}

inline void set_bits(std::uint64_t* row, std::int64_t begin, std::int64_t end) {
    if (begin >= end) return;
    for_each_word(begin, end, [&](std::int64_t word, std::uint64_t mask) { row[word] |= mask; });
}

// Each bit or-ed with the one `shift` places further on.
inline void or_shifted(std::uint64_t* words, std::int64_t count, std::int64_t shift) {
    const std::int64_t whole = shift / 64;
    const auto rest = static_cast<int>(shift % 64);
    if (whole >= count) return;
    if (rest == 0) {
        for (std::int64_t i = 0; i + whole < count; ++i) words[i] |= words[i + whole];
        return;
    }
    const std::int64_t last = count - 1 - whole;
    for (std::int64_t i = 0; i < last; ++i)
        words[i] |= words[i + whole] >> rest | words[i + whole + 1] << (64 - rest);
    words[last] |= words[last + whole] >> rest;
}

// Calls step(s) for shifts s that join windows of length 1 to windows of `length`.
template <class Step>
void for_each_doubling(std::int64_t length, Step&& step) {
    std::int64_t covered = 1;
    for (; 2 * covered <= length; covered *= 2) step(covered);
    if (covered < length) step(length - covered);
}

inline std::int64_t count_bits(std::uint64_t word) {
    return static_cast<std::int64_t>(std::popcount(word));
}

}  // namespace segmeter::boundary

// The inner loops of bands along outlines; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage.

#include <cstdint>

#include "simd/band_kernels.hpp"
#include "simd/edges_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

template <class Code>
void differ_row(const void* first, const void* second, std::int64_t n, std::uint64_t* out) {
    const Code* a = static_cast<const Code*>(first);
    const Code* b = static_cast<const Code*>(second);
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) *out++ = unequal(a + i, b + i);
    if (i == n) return;
    std::uint64_t mask = 0;
    for (std::int64_t rest = 0; i + rest < n; ++rest)
        mask |= std::uint64_t{a[i + rest] != b[i + rest]} << rest;
    *out = mask;
}

template <class Code>
void changes_in_row(const void* row, std::int64_t n, bool has_previous, std::uint64_t* out) {
    const Code* x = static_cast<const Code*>(row);
    std::int64_t i = 0;
    if (n >= 64) {
        *out++ = (has_previous ? changes(x) : changes_at_edge(x, 64, false)) & ~std::uint64_t{1};
        for (i = 64; i + 64 <= n; i += 64) *out++ = changes(x + i);
    }
    if (i < n) *out = changes_at_edge(x + i, n - i, i > 0);
}

template <class Code>
void least_of(const void* a, const void* b, std::int64_t n, void* out) {
    const Code* x = static_cast<const Code*>(a);
    const Code* y = static_cast<const Code*>(b);
    Code* z = static_cast<Code*>(out);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) z[i] = x[i] < y[i] ? x[i] : y[i];
}

template <class Code>
void most_of(const void* a, const void* b, std::int64_t n, void* out) {
    const Code* x = static_cast<const Code*>(a);
    const Code* y = static_cast<const Code*>(b);
    Code* z = static_cast<Code*>(out);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) z[i] = x[i] < y[i] ? y[i] : x[i];
}

void join_words(std::uint64_t* to, const std::uint64_t* from, std::int64_t n) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) to[i] |= from[i];
}

// Calls visit(bits of pred, bits of target, first pixel) for the stretches of equal codes that
// have a pixel in a band.
template <class Visit>
inline void for_each_stretch(const BandRow& row, Visit&& visit) {
    for (std::int64_t word = 0; 64 * word < row.n; ++word) {
        std::uint64_t counted = row.n - 64 * word < 64
                                    ? (std::uint64_t{1} << (row.n - 64 * word)) - 1
                                    : ~std::uint64_t{0};
        if (row.ignored != nullptr) counted &= ~row.ignored[word];
        const std::uint64_t target = row.target_band[word] & counted;
        const std::uint64_t pred = row.pred_band == nullptr ? 0 : row.pred_band[word] & counted;
        if ((target | pred) == 0) continue;
        std::uint64_t starts =
            (row.pred_changes[word] | row.target_changes[word]) & ~std::uint64_t{1};
        std::int64_t first = 64 * word;
        std::uint64_t from = ~std::uint64_t{0};
        while (true) {
            // Bits before the next start.
            const std::uint64_t before = starts == 0 ? ~std::uint64_t{0} : (starts & -starts) - 1;
            const std::uint64_t part = from & before;
            if (((target | pred) & part) != 0) visit(pred & part, target & part, first);
            if (starts == 0) break;
            first = 64 * word + __builtin_ctzll(starts);
            from = ~before;
            starts &= starts - 1;
        }
    }
}

template <class Code>
void count_overlap(const BandRow& row, std::int64_t* cells) {
    const Code* preds = static_cast<const Code*>(row.pred);
    const Code* targets = static_cast<const Code*>(row.target);
    for_each_stretch(row, [&](std::uint64_t pred, std::uint64_t target, std::int64_t first) {
        const std::int64_t p = preds[first];
        const std::int64_t t = targets[first];
        if (p == t) cells[3 * t] += __builtin_popcountll(pred & target);
        cells[3 * p + 1] += __builtin_popcountll(pred);
        cells[3 * t + 2] += __builtin_popcountll(target);
    });
}

template <class Code>
void count_pairs(const BandRow& row, std::int64_t columns, std::int64_t* cells) {
    const Code* preds = static_cast<const Code*>(row.pred);
    const Code* targets = static_cast<const Code*>(row.target);
    for_each_stretch(row, [&](std::uint64_t, std::uint64_t target, std::int64_t first) {
        const auto cell = static_cast<std::int64_t>(targets[first]) * columns +
                          static_cast<std::int64_t>(preds[first]);
        cells[cell] += __builtin_popcountll(target);
    });
}

}  // namespace

extern const BandKernels kBandKernels;
const BandKernels kBandKernels = {
    {differ_row<std::uint8_t>, differ_row<std::uint16_t>, differ_row<std::uint32_t>,
     differ_row<std::uint64_t>},
    {changes_in_row<std::uint8_t>, changes_in_row<std::uint16_t>, changes_in_row<std::uint32_t>,
     changes_in_row<std::uint64_t>},
    {least_of<std::uint8_t>, least_of<std::uint16_t>, least_of<std::uint32_t>,
     least_of<std::uint64_t>},
    {most_of<std::uint8_t>, most_of<std::uint16_t>, most_of<std::uint32_t>, most_of<std::uint64_t>},
    {count_overlap<std::uint8_t>, count_overlap<std::uint32_t>},
    {count_pairs<std::uint8_t>, count_pairs<std::uint32_t>},
    join_words,
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

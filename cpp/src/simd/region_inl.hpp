// The inner loops of run-based labelling; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage.
//
// Labelling by ranks
// ------------------
// A row becomes two bit maps, where runs start and where they end, 64 pixels at a time; a third
// pass writes the positions of the bits. The runs of the row before that a run [b, e) touches need
// no search: they are those with numbers from (ends at or before b) to (starts before e), and both
// numbers are ranks in the bit maps of that row: one table look-up and one count of bits each. In
// volumes, several rows were before, and pixels that touch are found on bit maps of both rows;
// where runs are few, a walk along them is shorter.
// After Lacassagne and Zavidovique, "Light speed labeling", J. Real-Time Image Processing 6 (2011).
// Bytes per pixel: the label bytes, once.

#include <cstdint>
#include <type_traits>

#include "region/union_find_inl.hpp"
#include "simd/edges_inl.hpp"
#include "simd/region_kernels.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// --- which pixels are not of a value? ---
// Bit i of the result: x[i] != value, for i in [0, 64).

#if defined(__AVX512BW__)

inline std::uint64_t others(const std::uint8_t* x, std::uint8_t value) {
    return _mm512_cmpneq_epi8_mask(load(x), _mm512_set1_epi8(static_cast<char>(value)));
}
inline std::uint64_t others(const std::uint16_t* x, std::uint16_t value) {
    const __m512i all = _mm512_set1_epi16(static_cast<short>(value));
    const auto part = [&](int i) { return _mm512_cmpneq_epi16_mask(load(x + i), all); };
    return join(part(0), part(32));
}
inline std::uint64_t others(const std::uint32_t* x, std::uint32_t value) {
    const __m512i all = _mm512_set1_epi32(static_cast<int>(value));
    const auto part = [&](int i) { return _mm512_cmpneq_epi32_mask(load(x + i), all); };
    return join(part(0), part(16), part(32), part(48));
}
inline std::uint64_t others(const std::uint64_t* x, std::uint64_t value) {
    const __m512i all = _mm512_set1_epi64(static_cast<long long>(value));
    const auto part = [&](int i) { return _mm512_cmpneq_epi64_mask(load(x + i), all); };
    return join(join(part(0), part(8), part(16), part(24)),
                join(part(32), part(40), part(48), part(56)));
}

#elif defined(__AVX2__)

inline std::uint64_t others(const std::uint8_t* x, std::uint8_t value) {
    const __m256i all = _mm256_set1_epi8(static_cast<char>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i same = _mm256_cmpeq_epi8(load(x + i), all);
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t others(const std::uint16_t* x, std::uint16_t value) {
    const __m256i all = _mm256_set1_epi16(static_cast<short>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i low = _mm256_cmpeq_epi16(load(x + i), all);
        const __m256i high = _mm256_cmpeq_epi16(load(x + i + 16), all);
        const __m256i same = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t others(const std::uint32_t* x, std::uint32_t value) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 8) {
        const __m256i same = _mm256_cmpeq_epi32(load(x + i), all);
        equal |= static_cast<std::uint64_t>(_mm256_movemask_ps(_mm256_castsi256_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t others(const std::uint64_t* x, std::uint64_t value) {
    const __m256i all = _mm256_set1_epi64x(static_cast<long long>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m256i same = _mm256_cmpeq_epi64(load(x + i), all);
        equal |= static_cast<std::uint64_t>(_mm256_movemask_pd(_mm256_castsi256_pd(same))) << i;
    }
    return ~equal;
}

#elif defined(__SSE2__)

inline std::uint64_t others(const std::uint8_t* x, std::uint8_t value) {
    const __m128i all = _mm_set1_epi8(static_cast<char>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16)
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(load(x + i), all)))
                 << i;
    return ~equal;
}
inline std::uint64_t others(const std::uint16_t* x, std::uint16_t value) {
    const __m128i all = _mm_set1_epi16(static_cast<short>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i low = _mm_cmpeq_epi16(load(x + i), all);
        const __m128i high = _mm_cmpeq_epi16(load(x + i + 8), all);
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high))) << i;
    }
    return ~equal;
}
inline std::uint64_t others(const std::uint32_t* x, std::uint32_t value) {
    const __m128i all = _mm_set1_epi32(static_cast<int>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m128i same = _mm_cmpeq_epi32(load(x + i), all);
        equal |= static_cast<std::uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t others(const std::uint64_t* x, std::uint64_t value) {
    const __m128i all = _mm_set1_epi64x(static_cast<long long>(value));
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 2) {
        const __m128i halves = _mm_cmpeq_epi32(load(x + i), all);
        const __m128i same = _mm_and_si128(halves, _mm_shuffle_epi32(halves, 0xB1));
        equal |= static_cast<std::uint64_t>(_mm_movemask_pd(_mm_castsi128_pd(same))) << i;
    }
    return ~equal;
}

#elif defined(SEGMETER_SIMD_NEON)

// Bytes that are all ones where 16 labels are equal to the value.
inline uint8x16_t equal_to(const std::uint8_t* x, std::uint8_t value) {
    return vceqq_u8(vld1q_u8(x), vdupq_n_u8(value));
}
inline uint8x16_t equal_to(const std::uint16_t* x, std::uint16_t value) {
    const auto half = [&](int i) {
        return vreinterpretq_u8_u16(vceqq_u16(vld1q_u16(x + i), vdupq_n_u16(value)));
    };
    return vuzp1q_u8(half(0), half(8));
}
inline uint8x16_t equal_to(const std::uint32_t* x, std::uint32_t value) {
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vceqq_u32(vld1q_u32(x + i), vdupq_n_u32(value)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
inline uint8x16_t equal_to(const std::uint64_t* x, std::uint64_t value) {
    const auto eighth = [&](int i) {
        return vreinterpretq_u32_u64(vceqq_u64(vld1q_u64(x + i), vdupq_n_u64(value)));
    };
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vuzp1q_u32(eighth(i), eighth(i + 2)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
template <class Label>
inline std::uint64_t others(const Label* x, Label value) {
    return ~bits_of(equal_to(x, value), equal_to(x + 16, value), equal_to(x + 32, value),
                    equal_to(x + 48, value));
}

#else

template <class Label>
inline std::uint64_t others(const Label* x, Label value) {
    std::uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= static_cast<std::uint64_t>(x[i] != value) << i;
    return mask;
}

#endif

// --- a bit map to positions ---

#if defined(__AVX512VBMI2__)

// Positions within 64 pixels, `from` being the position of the first in every lane.
inline void write_positions(std::uint64_t bits, __m512i from, std::int64_t count,
                            std::uint32_t* out) {
    alignas(64) static constexpr std::uint8_t kCount[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i at = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kCount));
    const auto store = [&](std::int64_t i, __m128i bytes) {
        _mm512_storeu_si512(out + i, _mm512_add_epi32(_mm512_cvtepu8_epi32(bytes), from));
    };
    store(0, _mm512_castsi512_si128(at));
    if (count <= 16) return;
    // No more than 32 runs can start, or end, in 64 pixels, unless neighbours differ in value.
    store(16, _mm512_extracti32x4_epi32(at, 1));
    if (count <= 32) return;
    store(32, _mm512_extracti32x4_epi32(at, 2));
    store(48, _mm512_extracti32x4_epi32(at, 3));
}

// Positions are written without a look at how many there are.
constexpr bool kQuickPositions = true;
using Base = __m512i;
inline Base base_of(std::uint32_t first) { return _mm512_set1_epi32(static_cast<int>(first)); }

#else

inline void write_positions(std::uint64_t bits, std::uint32_t base, std::int64_t count,
                            std::uint32_t* out) {
    if (bits == 0) return;
    // Four steps without asking how many bits there are; the guard bit keeps ctz defined.
    for (int i = 0; i < 4; ++i, bits &= bits - 1)
        out[i] = base + static_cast<std::uint32_t>(__builtin_ctzll(bits | (1ULL << 63)));
    for (std::int64_t i = 4; i < count; ++i, bits &= bits - 1)
        out[i] = base + static_cast<std::uint32_t>(__builtin_ctzll(bits));
}

constexpr bool kQuickPositions = false;
using Base = std::uint32_t;
inline Base base_of(std::uint32_t first) { return first; }

#endif

// --- rows to bit maps ---

// What 64 pixels say: which of them belong to a run, and which differ from the one before.
struct Look {
    std::uint64_t inside;
    std::uint64_t changed;
};

// Plain: only the background belongs to no run.
template <class Label, bool kBinary, bool kPlain>
inline Look look(const Label* x, const std::uint8_t* mask, const RowRule& rule) {
    if constexpr (kPlain)
        return {others(x, static_cast<Label>(rule.background)), kBinary ? 0 : changes(x)};
    std::uint64_t inside = ~std::uint64_t{0};
    if (rule.has_background) inside = others(x, static_cast<Label>(rule.background));
    for (std::int64_t k = 0; k < rule.num_ignored; ++k)
        inside &= others(x, static_cast<Label>(rule.ignored[k]));
    if (mask != nullptr) inside &= ~nonzero(mask);
    return {inside, kBinary ? 0 : changes(x)};
}

// The same for n < 64 pixels, one by one; nothing before the first is looked at.
template <class Label>
inline Look look_at_few(const Label* x, const std::uint8_t* mask, std::int64_t n,
                        const RowRule& rule, bool has_previous) {
    std::uint64_t inside = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        bool is_inside = !rule.has_background || x[i] != static_cast<Label>(rule.background);
        for (std::int64_t k = 0; k < rule.num_ignored; ++k)
            is_inside &= x[i] != static_cast<Label>(rule.ignored[k]);
        if (mask != nullptr) is_inside &= mask[i] == 0;
        inside |= std::uint64_t{is_inside} << i;
    }
    return {inside, changes_at_edge(x, n, has_previous)};
}

// Starts and ends of runs in a row, word by word.
template <bool kBinary>
struct EdgeWriter {
    RowEdges edges;
    std::uint32_t count = 0;
    std::uint32_t listed = 0;
    std::uint64_t carry = 0;  // whether the last pixel belonged to a run

    [[gnu::always_inline]] void write(Look seen, std::int64_t word) {
        const std::uint64_t before = seen.inside << 1 | carry;
        std::uint64_t opens = seen.inside & ~before;
        std::uint64_t closes = before & ~seen.inside;
        if constexpr (!kBinary) {
            const std::uint64_t between = seen.inside & before & seen.changed;
            opens |= between;
            closes |= between;
        }
        if (edges.inside != nullptr) edges.inside[word] = seen.inside;
        edges.starts[word] = opens;
        edges.ends[word] = closes;
        edges.starts_before[word] = count;
        edges.ends_before[word] = count - static_cast<std::uint32_t>(carry);
        edges.listed[listed] = static_cast<std::uint32_t>(word);
        listed += (opens | closes) != 0;
        carry = seen.inside >> 63;
        count += static_cast<std::uint32_t>(__builtin_popcountll(opens));
    }
    [[nodiscard]] EdgeCounts counts() const { return {count, listed}; }
    void skip(std::int64_t first_words) {
        for (std::int64_t word = 0; word < first_words; ++word) {
            if (edges.inside != nullptr) edges.inside[word] = 0;
            edges.starts[word] = edges.ends[word] = 0;
            edges.starts_before[word] = edges.ends_before[word] = 0;
        }
    }
};

// Pixels, in whole words, before the first one that is not background; n if there is none. Most
// rows of a volume with small lesions are nothing else.
template <class Label>
inline std::int64_t empty_before(const Label* x, std::int64_t n, const RowRule& rule) {
    if (!rule.has_background || n < 64) return 0;
    const auto background = static_cast<Label>(rule.background);
    std::int64_t i = 0;
    for (; i + 256 <= n; i += 256) {
        for (std::int64_t k = 0; k < 256; k += 64) prefetch_ahead(x + i + k);
        if ((others(x + i, background) | others(x + i + 64, background) |
             others(x + i + 128, background) | others(x + i + 192, background)) != 0)
            break;
    }
    for (; i + 64 <= n; i += 64)
        if (others(x + i, background) != 0) return i;
    return i == n || others(x + n - 64, background) == 0 ? n : i;
}

// The same for binary rows: where pixels begin or cease to belong to runs, in one bit map.
struct ChangeWriter {
    RowEdges edges;
    std::uint32_t count = 0;
    std::uint32_t listed = 0;
    std::uint64_t carry = 0;

    [[gnu::always_inline]] void write(Look seen, std::int64_t word) {
        const std::uint64_t changes = seen.inside ^ (seen.inside << 1 | carry);
        const int more = __builtin_popcountll(changes);
        edges.starts[word] = changes;
        edges.starts_before[word] = count;
        if constexpr (kQuickPositions) {
            write_positions(changes, base_of(static_cast<std::uint32_t>(64 * word)), more,
                            edges.turns + count);
        } else {
            edges.listed[listed] = static_cast<std::uint32_t>(word);
            listed += changes != 0;
        }
        carry = seen.inside >> 63;
        count += static_cast<std::uint32_t>(more);
    }
    [[nodiscard]] EdgeCounts counts() const { return {count / 2, listed}; }
    void skip(std::int64_t first_words) {
        for (std::int64_t word = 0; word < first_words; ++word)
            edges.starts[word] = edges.starts_before[word] = 0;
    }
};

// Pixels of the background before the first other one, in whole words; or all.
template <class Label>
std::int64_t count_empty(const void* labels, std::int64_t n, const RowRule& rule) {
    return empty_before(static_cast<const Label*>(labels), n, rule);
}

template <class Label>
std::int64_t count_alike(const void* labels, std::int64_t n, std::uint64_t label_a,
                         std::uint64_t label_b) {
    const auto* x = static_cast<const Label*>(labels);
    const auto a = static_cast<Label>(label_a);
    const auto b = static_cast<Label>(label_b);
    constexpr std::int64_t kTogether = 256;
    std::int64_t i = 0;
    for (; i + kTogether <= n; i += kTogether) {
        std::uint64_t unlike = 0;
        for (std::int64_t k = i; k < i + kTogether; k += 64) {
            prefetch_ahead(x + k);
            unlike |= others(x + k, a) & others(x + k, b);
        }
        if (unlike != 0) break;
    }
    while (i < n && (x[i] == a || x[i] == b)) ++i;
    return i;
}

// Writes the whole row.
template <class Label, bool kBinary, bool kPlain, class Writer>
EdgeCounts write_row(const Label* x, const std::uint8_t* mask, std::int64_t n, const RowRule rule,
                     Writer writer) {
    const auto mask_at = [&](std::int64_t i) {
        return kPlain || mask == nullptr ? nullptr : mask + i;
    };
    std::int64_t i = empty_before(x, n, rule);
    if (i == n) return {0, 0};
    writer.skip(i / 64);
    if (!kBinary && !rule.has_previous && i == 0 && n >= 64) {
        writer.write(look_at_few(x, mask, 64, rule, false), 0);
        i = 64;
    }
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead(x + i);
        writer.write(look<Label, kBinary, kPlain>(x + i, mask_at(i), rule), i / 64);
    }
    if (i < n) {
        Look last;
        if (n > 64) {
            // The last 64 pixels, of which those seen already are shifted out.
            last = look<Label, kBinary, kPlain>(x + n - 64, mask_at(n - 64), rule);
            last.inside >>= 64 - (n - i);
            last.changed >>= 64 - (n - i);
        } else {
            last = look_at_few(x, mask, n, rule, false);
        }
        writer.write(last, i / 64);
        i += 64;
    }
    // A run may end behind the last pixel; what is left is clear.
    for (std::int64_t word = i / 64; word < edge_words(n); ++word) writer.write({0, 0}, word);
    return writer.counts();
}

template <class Label, bool kBinary, class Writer>
EdgeCounts write_row(const void* labels, const std::uint8_t* mask, std::int64_t n,
                     const RowRule& rule, Writer writer) {
    const auto* x = static_cast<const Label*>(labels);
    const bool is_plain = mask == nullptr && rule.has_background && rule.num_ignored == 0;
    return is_plain ? write_row<Label, kBinary, true>(x, mask, n, rule, writer)
                    : write_row<Label, kBinary, false>(x, mask, n, rule, writer);
}

template <class Label>
EdgeCounts find_edges(const void* labels, const std::uint8_t* mask, std::int64_t n,
                      const RowRule& rule, const RowEdges& edges) {
    return rule.binary ? write_row<Label, true>(labels, mask, n, rule, EdgeWriter<true>{edges})
                       : write_row<Label, false>(labels, mask, n, rule, EdgeWriter<false>{edges});
}

template <class Label>
EdgeCounts find_changes(const void* labels, const std::uint8_t* mask, std::int64_t n,
                        const RowRule& rule, const RowEdges& edges) {
    return write_row<Label, true>(labels, mask, n, rule, ChangeWriter{edges});
}

// --- bit maps to runs ---

void list_edges(const RowEdges& edges, EdgeCounts counts, std::uint32_t* begin,
                std::uint32_t* end) {
    for (std::int64_t i = 0; i < counts.listed; ++i) {
        const std::uint32_t word = edges.listed[i];
        const Base base = base_of(64 * word);
        const auto list = [&](std::uint64_t bits, std::uint32_t* out) {
            write_positions(bits, base, __builtin_popcountll(bits), out);
        };
        list(edges.starts[word], begin + edges.starts_before[word]);
        list(edges.ends[word], end + edges.ends_before[word]);
    }
}

void list_changes(const RowEdges& edges, EdgeCounts counts, std::uint32_t* begin,
                  std::uint32_t* end) {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < counts.listed; ++i) {
        const std::uint32_t word = edges.listed[i];
        const std::uint64_t bits = edges.starts[word];
        const std::int64_t more = __builtin_popcountll(bits);
        write_positions(bits, base_of(64 * word), more, edges.turns + count);
        count += more;
    }
    for (std::int64_t k = 0; k < counts.runs; ++k) {
        begin[k] = edges.turns[2 * k];
        end[k] = edges.turns[2 * k + 1];
    }
}

// --- ranks to unions ---

// Number of bits set before position x.
inline std::int32_t rank(const std::uint64_t* bits, const std::uint32_t* before, std::uint64_t x) {
    const std::uint64_t below = (std::uint64_t{1} << (x & 63)) - 1;
    return static_cast<std::int32_t>(before[x >> 6]) + __builtin_popcountll(bits[x >> 6] & below);
}

// Runs of a row before that a run touches: those before `begin` end too early, those from `end` on
// start too late.
struct Touched {
    std::int32_t begin;
    std::int32_t end;
};

inline Touched touched(const FlatJoin& row, std::uint32_t begin, std::uint32_t end) {
    const auto reach = static_cast<std::uint64_t>(row.reach);
    const RowEdges& edges = row.before;
    return {row.first_before + rank(edges.ends, edges.ends_before, begin + 1 - reach),
            row.first_before + rank(edges.starts, edges.starts_before, end + reach)};
}

template <class Value>
void join_flat(const FlatJoin& row, std::int32_t* parent) {
    MinimumUnionFind sets(parent);
    const auto* value = static_cast<const Value*>(row.value);
    for (std::int32_t run = row.first; run < row.last; ++run) {
        auto [other, stop] = touched(row, row.begin[run], row.end[run]);
        std::int32_t root = run;
        for (; other < stop; ++other) {
            if (value[other] != value[run]) continue;
            root = root == run ? parent[other] : sets.unite(root, other);
        }
        parent[run] = root;
    }
}

// --- strands: binary flat maps ---
//
// From row to row, most runs of a structured mask touch just the one above. So facts are carried
// along strands of such runs, many side by side, and added to those of a component only where a
// strand ends, and numbers are given to strands, not to runs.

inline std::int64_t sum_of_positions(std::uint32_t begin, std::uint32_t end) {
    const std::uint64_t length = end - begin;
    return static_cast<std::int64_t>(length * begin + length * (length - 1) / 2);
}

inline std::int64_t* facts_of(std::int32_t part, const Parts& parts) {
    return parts.facts + std::int64_t{kFactColumns} * part;
}

inline std::int32_t new_part(const StrandRow& row, std::int32_t run, Parts& parts) {
    const std::int64_t begin = row.begin[run];
    std::int64_t* facts = facts_of(parts.count, parts);
    for (std::int32_t column = 0; column < kFactColumns; ++column) facts[column] = 0;
    facts[kValue] = parts.value;
    facts[kFirst] = row.position + begin;
    facts[kLowY] = row.y;
    facts[kLowX] = begin;
    facts[kHighZ] = 1;
    parts.parent[parts.count] = parts.count;
    return parts.count++;
}

// Adds some runs in rows up to end_y.
inline void add_to_part(std::int64_t* facts, std::int64_t area, std::int64_t num_runs,
                        std::int64_t sum_y, std::int64_t sum_x, std::int64_t low_x,
                        std::int64_t high_x, std::int64_t end_y) {
    facts[kArea] += area;
    facts[kNumRuns] += num_runs;
    facts[kSumY] += sum_y;
    facts[kSumX] += sum_x;
    facts[kLowX] = low_x < facts[kLowX] ? low_x : facts[kLowX];
    facts[kHighX] = high_x > facts[kHighX] ? high_x : facts[kHighX];
    facts[kHighY] = end_y;
}

inline void end_strand(const Strands& strands, std::int32_t i, std::int64_t end_y, Parts& parts) {
    add_to_part(facts_of(strands.part[i], parts), strands.area[i], strands.num_runs[i],
                static_cast<std::int64_t>(strands.sum_y[i]),
                static_cast<std::int64_t>(strands.sum_x[i]), strands.low_x[i], strands.high_x[i],
                end_y);
}

// Of nothing, so far.
inline void clear_strand(const Strands& strands, std::int32_t i) {
    strands.area[i] = strands.num_runs[i] = strands.high_x[i] = 0;
    strands.low_x[i] = ~std::uint32_t{0};
    strands.sum_x[i] = strands.sum_y[i] = 0;
}

void end_strands(const StrandRow& row, Parts& parts) {
    for (std::int32_t i = 0; i < row.count; ++i) {
        end_strand(row.strands, i, row.y + 1, parts);
    }
}

constexpr std::int32_t kLanes = 8;
using Narrow [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;
using Wide [[gnu::vector_size(8 * kLanes)]] = std::uint64_t;

// By reference: how vectors are returned depends on the instruction set.
template <class Lanes>
inline void take(const void* x, Lanes& lanes) {
    __builtin_memcpy(&lanes, x, sizeof lanes);
}
template <class Lanes>
inline void put(const Lanes& lanes, void* x) {
    __builtin_memcpy(x, &lanes, sizeof lanes);
}
// x[k] = before[k] + more[k]
template <class Lanes>
inline void put_sum(const void* before, const Lanes& more, void* x) {
    Lanes sum;
    take(before, sum);
    put(sum + more, x);
}

// Strands i to i + kLanes - 1 of the row from those before from j on: their next runs touch.
inline void carry(const StrandRow& row, std::int32_t i, const Strands& before, std::int32_t j) {
    const Strands& own = row.strands;
    Narrow begin;
    Narrow end;
    Narrow low;
    Narrow high;
    take(row.begin + i, begin);
    take(row.end + i, end);
    take(before.low_x + j, low);
    take(before.high_x + j, high);
    const Narrow area = end - begin;
    const Wide wide_area = __builtin_convertvector(area, Wide);
    const Wide doubled = wide_area * __builtin_convertvector(begin + end - 1, Wide);
    put_sum(before.sum_x + j, doubled >> 1, own.sum_x + i);
    put_sum(before.sum_y + j, wide_area * static_cast<std::uint64_t>(row.y), own.sum_y + i);
    put(begin < low ? begin : low, own.low_x + i);
    put(end > high ? end : high, own.high_x + i);
    put_sum(before.area + j, area, own.area + i);
    put_sum(before.num_runs + j, Narrow{} + 1, own.num_runs + i);
    put_sum(before.part + j, Narrow{}, own.part + i);
}
// The same for one.
inline void carry_one(const StrandRow& row, std::int32_t i, const Strands& before, std::int32_t j) {
    const Strands& own = row.strands;
    const std::uint32_t begin = row.begin[i];
    const std::uint32_t end = row.end[i];
    const std::uint64_t area = end - begin;
    own.sum_x[i] = before.sum_x[j] + area * (begin + end - 1) / 2;
    own.sum_y[i] = before.sum_y[j] + area * static_cast<std::uint64_t>(row.y);
    own.low_x[i] = begin < before.low_x[j] ? begin : before.low_x[j];
    own.high_x[i] = end > before.high_x[j] ? end : before.high_x[j];
    own.area[i] = before.area[j] + static_cast<std::uint32_t>(area);
    own.num_runs[i] = before.num_runs[j] + 1;
    own.part[i] = before.part[j];
}

// Bit k of the result, for the first kPairs runs and as many before: run k and run k before touch
// each other, but neither touches the next one of the other row.
#if defined(__AVX512BW__)

constexpr std::int32_t kPairs = 16;
inline std::uint32_t pairs(const std::uint32_t* begin, const std::uint32_t* end,
                           const std::uint32_t* its_begin, const std::uint32_t* its_end,
                           std::uint32_t reach) {
    const __m512i far = _mm512_set1_epi32(static_cast<int>(reach));
    const __m512i stop = _mm512_add_epi32(load(end), far);
    const __m512i its_stop = _mm512_add_epi32(load(its_end), far);
    return _mm512_cmplt_epu32_mask(load(its_begin), stop) &
           _mm512_cmplt_epu32_mask(load(begin), its_stop) &
           _mm512_cmpge_epu32_mask(load(its_begin + 1), stop) &
           _mm512_cmpge_epu32_mask(load(begin + 1), its_stop);
}

#elif defined(__AVX2__)

constexpr std::int32_t kPairs = 8;
inline std::uint32_t pairs(const std::uint32_t* begin, const std::uint32_t* end,
                           const std::uint32_t* its_begin, const std::uint32_t* its_end,
                           std::uint32_t reach) {
    const __m256i far = _mm256_set1_epi32(static_cast<int>(reach));
    const __m256i stop = _mm256_add_epi32(load(end), far);
    const __m256i its_stop = _mm256_add_epi32(load(its_end), far);
    const auto at_least = [](__m256i x, __m256i y) {
        return _mm256_cmpeq_epi32(_mm256_max_epu32(x, y), x);
    };
    const __m256i apart =
        _mm256_or_si256(at_least(load(its_begin), stop), at_least(load(begin), its_stop));
    const __m256i next_apart =
        _mm256_and_si256(at_least(load(its_begin + 1), stop), at_least(load(begin + 1), its_stop));
    return static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_andnot_si256(apart, next_apart))));
}

#else

constexpr std::int32_t kPairs = 8;
inline std::uint32_t pairs(const std::uint32_t* begin, const std::uint32_t* end,
                           const std::uint32_t* its_begin, const std::uint32_t* its_end,
                           std::uint32_t reach) {
    std::uint32_t bits = 0;
    for (std::int32_t k = 0; k < kPairs; ++k) {
        const std::uint32_t stop = end[k] + reach;
        const std::uint32_t its_stop = its_end[k] + reach;
        const bool is_pair = (its_begin[k] < stop) & (begin[k] < its_stop) &
                             (its_begin[k + 1] >= stop) & (begin[k + 1] >= its_stop);
        bits |= static_cast<std::uint32_t>(is_pair) << k;
    }
    return bits;
}

#endif

// How many runs from i on touch just one run before each, those from j on, and are the only ones
// that do.
inline std::int32_t count_pairs(const StrandRow& row, std::int32_t i, const StrandRow& before,
                                std::int32_t j, std::uint32_t reach) {
    const std::int32_t runs = row.count - i;
    const std::int32_t others = before.count - j;
    const std::int32_t most = runs < others ? runs : others;
    std::int32_t count = 0;
    while (count < most) {
        const std::uint32_t found = pairs(row.begin + i + count, row.end + i + count,
                                          before.begin + j + count, before.end + j + count, reach);
        const std::int32_t more = __builtin_ctz(~found | std::uint32_t{1} << kPairs);
        count += more;
        if (more < kPairs) break;
    }
    return count < most ? count : most;
}

void grow_strands(const StrandRow& row, const StrandRow& before, std::uint32_t reach,
                  Parts& parts) {
    MinimumUnionFind sets(parts.parent);
    const Strands& own = row.strands;
    const Strands& its = before.strands;
    const std::int64_t end_y = before.y + 1;
    std::int32_t i = 0;
    std::int32_t j = 0;
    bool is_taken = false;  // strand j goes on already
    while (i < row.count) {
        const std::uint32_t begin = row.begin[i];
        const std::uint32_t end = row.end[i];
        for (; j < before.count && before.end[j] + reach <= begin; ++j, is_taken = false)
            if (!is_taken) end_strand(its, j, end_y, parts);
        const std::int32_t count = is_taken ? 0 : count_pairs(row, i, before, j, reach);
        if (count > 0) {
            // Lanes behind the last pair are written again.
            for (std::int32_t k = 0; k < count; k += kLanes) carry(row, i + k, its, j + k);
            i += count;
            j += count;
            continue;
        }
        clear_strand(own, i);
        if (j == before.count || before.begin[j] >= end + reach) {
            own.part[i] = new_part(row, i, parts);
            carry_one(row, i, own, i);
        } else {
            std::int32_t part = its.part[j];
            own.part[i] = part;
            is_taken ? carry_one(row, i, own, i) : carry_one(row, i, its, j);
            is_taken = true;
            for (; before.begin[j + 1] < end + reach; ++j, is_taken = false) {
                if (!is_taken) end_strand(its, j, end_y, parts);
                part = sets.unite(part, its.part[j + 1]);
            }
            own.part[i] = part;
        }
        ++i;
    }
    for (; j < before.count; ++j, is_taken = false)
        if (!is_taken) end_strand(its, j, end_y, parts);
}

// Crowded rows: most runs touch two others that are of one region already, which is seen without
// counting them.
void grow_parts(const StrandRow& row, const RowEdges& changes, const StrandRow& before,
                std::uint32_t reach, Parts& parts) {
    MinimumUnionFind sets(parts.parent);
    const std::int32_t* its = before.strands.part;
    const auto turns = [&](std::uint64_t x) {
        return rank(changes.starts, changes.starts_before, x);
    };
    for (std::int32_t run = 0; run < row.count; ++run) {
        const std::uint32_t begin = row.begin[run];
        const std::uint32_t end = row.end[run];
        std::int32_t other = before.count == 0 ? 0 : turns(std::uint64_t{begin} + 1 - reach) / 2;
        const std::int32_t stop =
            before.count == 0 ? 0 : (turns(std::uint64_t{end} + reach) + 1) / 2;
        std::int32_t part;
        if (other >= stop) {
            part = new_part(row, run, parts);
        } else {
            part = parts.parent[its[other]];
            if (stop - other > 2 || parts.parent[its[stop - 1]] != part)
                while (++other < stop) part = sets.unite(part, its[other]);
        }
        row.strands.part[run] = part;
    }
    for (std::int32_t run = 0; run < row.count; ++run) {
        const std::uint32_t begin = row.begin[run];
        const std::uint32_t end = row.end[run];
        const std::int64_t area = end - begin;
        add_to_part(facts_of(row.strands.part[run], parts), area, 1, row.y * area,
                    sum_of_positions(begin, end), begin, end, row.y + 1);
    }
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

#include "simd/region_slices_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// --- volumes: contacts by bit maps ---
//
// Bit x of a map says that pixel x of the row and the one beside it in a row before are of one
// label. A contact is left out where others imply it: where the pixel behind, (z - 1, y, x), has
// the label, it sees by itself nearly all that pixel (z, y, x) could. A step to the left or right
// counts only where a run starts and the other one ended, or the other way round, and where no
// pixel beside has the label. What remains is little more than one contact of a run, found by a
// few operations on 64 pixels and listed, those of all rows and sides together, so that one loop
// goes over many: how long it is, the processor foresees wrong once, not once a side.

constexpr int kTileBits = 10;
constexpr std::int64_t kTileWords = (1 << kTileBits) / 64;

// How the runs of a contact are found: by the starts or ends of either row.
enum Side : std::int32_t {
    kBeside,  // by starts
    kRight,   // by the end of a run and the start of the other one
    kLeft,    // by the start of a run and the end of the other one
    kSides = 4
};

// Positions of contacts in a tile; and above them, if there are several, which kind of contact.
template <std::int32_t kKinds>
struct ContactList {
    std::int64_t count = 0;
    std::uint16_t listed[(kKinds << kTileBits) + 64];

    void add(std::int32_t kind, std::int64_t word, std::uint64_t pixels) {
        const std::int64_t first = (std::int64_t{kind} << kTileBits) + 64 * word;
        count += append_positions(pixels, first, listed + count);
    }
};

// Of 6 neighbours, those in two rows are many and have lists of their own. Of more, little is left
// but the runs behind; all others are one list.
struct Contacts {
    ContactList<1> behind;
    ContactList<1> above;
    ContactList<kSides * std::int32_t{kRowsSeen}> other;

    void clear() { behind.count = above.count = other.count = 0; }
    void add_other(std::int32_t which, std::int32_t side, std::int64_t word, std::uint64_t pixels) {
        other.add(kSides * which + side, word, pixels);
    }
};

// The last bits of the word before.
struct Carries {
    std::uint64_t behind = 0;
    std::uint64_t stretch[kRowsSeen] = {};
    std::uint64_t implied[kRowsSeen] = {};
};

// Pixels of the row, out of `inside`, that have the label of the ones beside them.
template <class Label, bool kBinary>
inline std::uint64_t beside(const VolumeJoin& row, RowsSeen which, std::uint64_t inside,
                            std::int64_t word) {
    const RowEdges* before = row.before[which].edges;
    if (before == nullptr) return 0;
    std::uint64_t pixels = inside & before->inside[word];
    if constexpr (!kBinary)
        pixels &= ~unequal(static_cast<const Label*>(row.own.edges->labels) + 64 * word,
                           static_cast<const Label*>(before->labels) + 64 * word);
    return pixels;
}

template <class Label, bool kBinary>
void find_contacts(const VolumeJoin& row, std::int64_t word, std::int64_t at, Carries& last,
                   Contacts& out) {
    const RowEdges& edges = *row.own.edges;
    const std::uint64_t inside = edges.inside[word];
    const std::uint64_t continues = inside & ~edges.starts[word];
    const std::uint64_t c = beside<Label, kBinary>(row, kSliceBefore, inside, word);
    const std::uint64_t b = beside<Label, kBinary>(row, kRowBefore, inside, word);
    const std::uint64_t d = beside<Label, kBinary>(row, kDiagonalAbove, inside, word);
    const std::uint64_t e = beside<Label, kBinary>(row, kDiagonalBelow, inside, word);
    // What is behind the pixel, or behind its neighbours in the run, sees the pixels beside it.
    std::uint64_t seen = row.neighbours == 6 ? 0 : c;
    if (row.neighbours == 26) seen |= ((c << 1 | last.behind) & continues) | (c & continues) >> 1;
    last.behind = c >> 63;
    const auto stretch = [&](RowsSeen which, std::uint64_t pixels) {
        const std::uint64_t before = pixels << 1 | last.stretch[which];
        last.stretch[which] = pixels >> 63;
        return pixels & ~(before & continues);
    };
    out.behind.add(0, at, stretch(kSliceBefore, c));
    const std::uint64_t above = stretch(kRowBefore, b & ~seen);
    if (row.neighbours == 6) return out.above.add(0, at, above);
    out.add_other(kRowBefore, kBeside, at, above);
    // Most words have none of the others.
    const std::uint64_t diagonal[] = {stretch(kDiagonalAbove, d & ~(seen | b)),
                                      stretch(kDiagonalBelow, e & ~seen)};
    std::uint64_t right[kRowsSeen] = {};
    std::uint64_t left[kRowsSeen] = {};
    std::uint64_t any = diagonal[0] | diagonal[1];
    const auto aside = [&](RowsSeen which, std::uint64_t implied) {
        const RowEdges* other = row.before[which].edges;
        if (other == nullptr) return;
        const std::uint64_t before = implied << 1 | last.implied[which];
        last.implied[which] = implied >> 63;
        right[which] = edges.ends[word] & other->starts[word] & ~before;
        left[which] = edges.starts[word] & other->ends[word] & ~implied;
        any |= right[which] | left[which];
    };
    std::int32_t rows_aside = kDiagonalAbove;
    if (row.neighbours == 26) {
        rows_aside = kRowsSeen;
        aside(kSliceBefore, c | b | d | e);
        aside(kRowBefore, c | b | d);
        aside(kDiagonalAbove, c | b | d);
        aside(kDiagonalBelow, c | e);
    } else {
        aside(kSliceBefore, c | d | e);
        aside(kRowBefore, b | d);
    }
    if (any == 0) return;
    out.add_other(kDiagonalAbove, kBeside, at, diagonal[0]);
    out.add_other(kDiagonalBelow, kBeside, at, diagonal[1]);
    for (std::int32_t which = 0; which < rows_aside; ++which) {
        out.add_other(which, kRight, at, right[which]);
        out.add_other(which, kLeft, at, left[which]);
    }
}

// A bit map of a row, to count in.
struct Ranked {
    const std::uint64_t* bits;
    const std::uint32_t* before;
    std::int32_t first;

    // The last run that it says to start, or to end, at x or before.
    [[nodiscard]] std::int32_t run_at(std::uint64_t x) const {
        return first + rank(bits, before, x + 1) - 1;
    }
};
inline Ranked starts_of(const VolumeRow& row) {
    return {row.edges->starts, row.edges->starts_before, row.first};
}
inline Ranked ends_of(const VolumeRow& row) {
    return {row.edges->ends, row.edges->ends_before, row.first};
}

// Gives a run that has no other parent yet that of the other one; without a branch, as which of the
// contacts of a run comes first is not foreseeable.
inline void link(std::int32_t own, std::int32_t other, std::int32_t* parent) {
    const std::int32_t mine = parent[own];
    const std::int32_t theirs = parent[other];
    const std::int32_t has_parent = -static_cast<std::int32_t>(mine != own);
    parent[own] = (mine & has_parent) | (theirs & ~has_parent);
    if ((has_parent & (mine ^ theirs)) != 0)
        parent[own] = MinimumUnionFind(parent).unite(mine, theirs);
}

// Where the runs of contacts are found: those of the row by its starts and ends, and by those of
// the rows before.
struct RanksOfRows {
    explicit RanksOfRows(const VolumeJoin& row) : own{starts_of(row.own), ends_of(row.own)} {
        for (std::int32_t which = 0; which < kRowsSeen; ++which) {
            const VolumeRow& before = row.before[which];
            if (before.edges == nullptr) continue;  // there are no contacts
            other[2 * which] = starts_of(before);
            other[2 * which + 1] = ends_of(before);
        }
    }
    Ranked own[2];
    Ranked other[2 * kRowsSeen];
};

inline std::uint64_t position_of(std::uint32_t contact, std::int64_t first_word) {
    return 64 * static_cast<std::uint64_t>(first_word) + (contact & ((1U << kTileBits) - 1));
}

// Joins the runs of the contacts in a tile: of one kind, which all are of one value,
void link_alike(const ContactList<1>& contacts, std::int64_t first_word, Ranked own, Ranked other,
                std::int32_t* parent) {
    for (std::int64_t i = 0; i < contacts.count; ++i) {
        const std::uint64_t x = position_of(contacts.listed[i], first_word);
        link(own.run_at(x), other.run_at(x), parent);
    }
}

// and of all kinds, unless their values differ (null: they do not).
template <class Value>
void link_others(const Contacts& contacts, std::int64_t first_word, const RanksOfRows& ranks,
                 const Value* value, std::int32_t* parent) {
    for (std::int64_t i = 0; i < contacts.other.count; ++i) {
        const std::uint32_t contact = contacts.other.listed[i];
        const std::uint32_t kind = contact >> kTileBits;
        const std::uint64_t x = position_of(contact, first_word);
        const std::int32_t a = ranks.own[kind & 1].run_at(x);
        const std::int32_t b = ranks.other[kind >> 1].run_at(x);
        // To be linked to itself changes nothing.
        link(a, value == nullptr || value[a] == value[b] ? b : a, parent);
    }
}

template <class Label, bool kBinary>
void join_volume(const VolumeJoin& row, std::int32_t* parent) {
    using Value = std::conditional_t<sizeof(Label) == 8, std::uint64_t, std::uint32_t>;
    const auto* value = kBinary ? nullptr : static_cast<const Value*>(row.value);
    for (std::int32_t run = row.own.first; run < row.last; ++run) parent[run] = run;
    const RanksOfRows ranks(row);
    const Ranked own = ranks.own[0];
    const std::int64_t all_words = (row.length + 63) / 64;
    Carries last;
    Contacts found;
    for (std::int64_t first = 0; first < all_words; first += kTileWords) {
        const std::int64_t words = all_words - first < kTileWords ? all_words - first : kTileWords;
        found.clear();
        for (std::int64_t word = 0; word < words; ++word)
            find_contacts<Label, kBinary>(row, first + word, word, last, found);
        link_alike(found.behind, first, own, ranks.other[2 * kSliceBefore], parent);
        link_alike(found.above, first, own, ranks.other[2 * kRowBefore], parent);
        link_others(found, first, ranks, value, parent);
    }
}

// --- runs to labels ---

// A label as often as it fits into kPaintSlack bytes.
template <class Label>
struct Brush {
    using Chunk [[gnu::vector_size(kPaintSlack)]] = Label;
    static constexpr std::int64_t kLabels = kPaintSlack / static_cast<std::int64_t>(sizeof(Label));

    // Whole chunks from `begin` to `end` or farther, at least one.
    static void stroke(Label label, std::int64_t begin, std::int64_t end, Label* out) {
        const Chunk chunk = Chunk{} + label;
        do {
            __builtin_memcpy(out + begin, &chunk, sizeof chunk);
            begin += kLabels;
        } while (begin < end);
    }
};

// From left to right, each stroke over what the one before wrote too much.
template <class Label>
void paint_row(const RowPaint& row, void* labels) {
    const auto* label = static_cast<const Label*>(row.label);
    const auto background = static_cast<Label>(row.background);
    auto* out = static_cast<Label*>(labels);
    if (row.runs == 0) {
        if (!row.is_blank) Brush<Label>::stroke(background, 0, row.length, out);
        return;
    }
    if (!row.is_blank) Brush<Label>::stroke(background, 0, row.begin[0], out);
    for (std::int64_t run = 0; run < row.runs; ++run) {
        Brush<Label>::stroke(label[run], row.begin[run], row.end[run], out);
        const std::int64_t next = run + 1 < row.runs ? row.begin[run + 1] : row.length;
        Brush<Label>::stroke(background, row.end[run], row.is_blank ? 0 : next, out);
    }
}

}  // namespace

extern const RegionKernels kRegionKernels;
const RegionKernels kRegionKernels = {
    {find_edges<std::uint8_t>, find_edges<std::uint16_t>, find_edges<std::uint32_t>,
     find_edges<std::uint64_t>},
    list_edges,
    {count_empty<std::uint8_t>, count_empty<std::uint16_t>, count_empty<std::uint32_t>,
     count_empty<std::uint64_t>},
    {count_alike<std::uint8_t>, count_alike<std::uint16_t>, count_alike<std::uint32_t>,
     count_alike<std::uint64_t>},
    {find_changes<std::uint8_t>, find_changes<std::uint16_t>, find_changes<std::uint32_t>,
     find_changes<std::uint64_t>},
    list_changes,
    {join_flat<std::uint32_t>, join_flat<std::uint64_t>},
    grow_strands,
    grow_parts,
    end_strands,
    {mark_rows<std::uint8_t>, mark_rows<std::uint16_t>, mark_rows<std::uint32_t>,
     mark_rows<std::uint64_t>},
    list_turns,
    join_slice,
    {join_volume<std::uint8_t, true>, join_volume<std::uint8_t, false>,
     join_volume<std::uint16_t, false>, join_volume<std::uint32_t, false>,
     join_volume<std::uint64_t, false>},
    {paint_row<std::uint8_t>, paint_row<std::uint16_t>, paint_row<std::uint32_t>,
     paint_row<std::uint64_t>},
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

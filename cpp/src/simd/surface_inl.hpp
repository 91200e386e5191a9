// Where 2x2x2 blocks of a label map hold unequal labels, and where pixels have an unequal
// neighbour, 64 at a time.
//
// A block is uniform if its two planes are and any pixel is equal to the one in the other plane; a
// plane's 2x2 block if its two rows are and any pixel is equal to the one in the other row. So
// three comparisons per pixel are enough, and what the row and the plane before were found to be is
// kept. Bytes per pixel: the label three times, two of them from cache.

#include <cstdint>
#include <cstring>

#include "simd/edges_inl.hpp"
#include "simd/surface_kernels.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// Distance of the software prefetch, bytes: each line is new once and then read from cache, so that
// little is done with it, and what lies farther ahead comes in time (1 KiB took 1.7 times as long).
constexpr std::int64_t kPrefetchRows = 8192;

struct Comparison {
    std::uint64_t along;
    std::uint64_t rows;
    std::uint64_t planes;
};

inline std::uint64_t keep(const MixedRow& row, std::int64_t word, const Comparison& found) {
    const std::uint64_t plane = found.along | row.row_changes[word] | found.rows;
    const std::uint64_t mixed = plane | row.plane_mixed[word] | found.planes;
    row.row_changes[word] = found.along;
    row.plane_mixed[word] = plane;
    row.mixed[word] = mixed;
    return mixed;
}

// Bits of the last, incomplete word: pixels, and what lies beyond them.
template <class T>
inline Comparison with_end(Comparison found, const MixedRow& row, const T* x, const T* y,
                           const T* z) {
    const std::int64_t n = row.n;
    const auto bit = [&](bool value) { return std::uint64_t{value} << (n % 64); };
    if (row.closed) {
        found.along |= bit(x[n - 1] != static_cast<T>(row.outside));
    } else {
        found.rows |= bit(x[n - 1] != y[n - 1]);
        found.planes |= bit(x[n - 1] != z[n - 1]);
    }
    return found;
}

// The row as it is, at least 64 pixels long.
template <class T>
inline std::uint64_t mixed_of(const MixedRow& row, const T* x, const T* y, const T* z) {
    const std::int64_t n = row.n;
    std::uint64_t any = 0;
    prefetch_ahead<kPrefetchRows>(x);
    // Nothing may be read before the first pixel: its word is that of the next pixels, moved.
    const std::uint64_t first =
        n > 64 ? unequal(x + 1, x) << 1 : changes_at_edge(x, std::int64_t{64}, false);
    Comparison found = {first | std::uint64_t{row.closed && x[0] != static_cast<T>(row.outside)},
                        unequal(x, y), unequal(x, z)};
    any |= keep(row, 0, found);
    std::int64_t i = 64;
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead<kPrefetchRows>(x + i);
        found = {changes(x + i), unequal(x + i, y + i), unequal(x + i, z + i)};
        any |= keep(row, i / 64, found);
    }
    const std::int64_t rest = n - i;
    found = {0, 0, 0};
    if (rest > 0) {
        const std::int64_t at = n - 64;
        const auto moved = [&](std::uint64_t bits) { return bits >> (64 - rest); };
        found = {moved(changes(x + at)), moved(unequal(x + at, y + at)),
                 moved(unequal(x + at, z + at))};
    }
    return any | keep(row, i / 64, with_end(found, row, x, y, z));
}

template <class T>
bool find_mixed(const MixedRow& row) {
    const auto* x = static_cast<const T*>(row.row);
    const auto* y = static_cast<const T*>(row.row_before);
    const auto* z = static_cast<const T*>(row.plane_before);
    const std::int64_t n = row.n;
    if (n >= 64) return mixed_of(row, x, y, z) != 0;
    T padded[3][65] = {};  // one more in front
    const auto size = static_cast<std::size_t>(n) * sizeof(T);
    std::memcpy(padded[0] + 1, x, size);
    std::memcpy(padded[1] + 1, y, size);
    std::memcpy(padded[2] + 1, z, size);
    padded[0][0] = row.closed ? static_cast<T>(row.outside) : x[0];
    const std::uint64_t inside = (std::uint64_t{1} << n) - 1;
    const Comparison found = {changes(padded[0] + 1) & inside,
                              unequal(padded[0] + 1, padded[1] + 1) & inside,
                              unequal(padded[0] + 1, padded[2] + 1) & inside};
    return keep(row, 0, with_end(found, row, x, y, z)) != 0;
}

// --- rows of one label ---

bool same_bytes(const void* row, const void* other, std::int64_t size) {
    const auto* x = static_cast<const std::uint8_t*>(row);
    const auto* y = static_cast<const std::uint8_t*>(other);
    if (size < 64) return std::memcmp(x, y, static_cast<std::size_t>(size)) == 0;
    constexpr std::int64_t kStep = 256;
    std::int64_t i = 0;
    std::uint64_t differs = 0;
    for (; i + kStep <= size && differs == 0; i += kStep)
        for (std::int64_t part = i; part < i + kStep; part += 64) {
            prefetch_ahead<kPrefetchRows>(x + part);
            differs |= unequal(x + part, y + part);
        }
    for (; i + 64 <= size && differs == 0; i += 64) {
        prefetch_ahead<kPrefetchRows>(x + i);
        differs |= unequal(x + i, y + i);
    }
    return differs == 0 && unequal(x + size - 64, y + size - 64) == 0;
}

// --- pixels with an unequal neighbour ---

// Bits of the pixels [at, at + 64), but for neighbours along the row.
template <class T>
inline std::uint64_t faced_across(const T* x, const T* const* neighbours, std::int64_t at) {
    return unequal(x + at, neighbours[0] + at) | unequal(x + at, neighbours[1] + at) |
           unequal(x + at, neighbours[2] + at) | unequal(x + at, neighbours[3] + at);
}

template <class T>
bool find_faced(const FacedRow& row) {
    const auto* x = static_cast<const T*>(row.row);
    const T* neighbours[4];
    for (int i = 0; i < 4; ++i) neighbours[i] = static_cast<const T*>(row.neighbours[i]);
    const auto* nobodys = static_cast<const T*>(row.nobodys);
    std::int64_t n = row.n;
    const bool first = row.closed && x[0] != static_cast<T>(row.outside);
    const bool last = row.closed && x[n - 1] != static_cast<T>(row.outside);
    // A short row is made longer by pixels that are like the last one.
    T padded[6][64];
    if (n < 64) {
        const auto lengthen = [&](const T* from, T* to) {
            for (std::int64_t i = 0; i < 64; ++i) to[i] = from[i < n ? i : n - 1];
            return to;
        };
        x = lengthen(x, padded[0]);
        for (int i = 0; i < 4; ++i) neighbours[i] = lengthen(neighbours[i], padded[i + 1]);
        if (nobodys != nullptr) nobodys = lengthen(nobodys, padded[5]);
        n = 64;
    }
    const auto all_of = [&](std::int64_t at, std::uint64_t left, std::uint64_t right) {
        const std::uint64_t found = left | right | faced_across(x, neighbours, at);
        return nobodys == nullptr ? found : found & unequal(x + at, nobodys + at);
    };
    std::uint64_t any = 0;
    std::int64_t i = 0;
    // The pixels before the first and behind the last one may not be read: their words come from
    // the other neighbours' changes, moved.
    for (; i + 64 < n; i += 64) {
        prefetch_ahead<kPrefetchRows>(neighbours[1] + i);  // what was not read before
        prefetch_ahead<kPrefetchRows>(neighbours[3] + i);
        const std::uint64_t right = unequal(x + i + 1, x + i);
        const std::uint64_t left = i == 0 ? right << 1 | std::uint64_t{first} : changes(x + i);
        any |= row.faced[i / 64] = all_of(i, left, right);
    }
    const std::int64_t at = n - 64;
    prefetch_ahead<kPrefetchRows>(neighbours[1] + at);
    prefetch_ahead<kPrefetchRows>(neighbours[3] + at);
    const std::uint64_t left =
        at == 0 ? changes_at_edge(x, std::int64_t{64}, false) | std::uint64_t{first}
                : changes(x + at);
    std::uint64_t found = all_of(at, left, left >> 1) >> (i - at);
    // The last pixel of a row that was made longer lies before the end of the word.
    if (last) {
        const std::int64_t end = row.n - 1 - i;
        const bool held = nobodys == nullptr || x[row.n - 1] != nobodys[row.n - 1];
        found |= std::uint64_t{held} << end;
    }
    const std::int64_t rest = row.n - i;
    if (rest < 64) found &= (std::uint64_t{1} << rest) - 1;
    row.faced[i / 64] = found;
    return (any | found) != 0;
}

// --- corners between bytes ---

#if defined(__AVX512VBMI2__)

// Pixels to the left and to the right of 64 corners, in each of the four rows around them.
struct Corners {
    __m512i pixels[8];
};

// Only the first pixel to the left and the last one to the right may lie beyond the row.
inline Corners corners_at(const CornerRow& row, std::int64_t at) {
    const auto first = [](std::int64_t count) {
        return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    };
    const __mmask64 right = first(row.n - at);
    const __mmask64 left = first(row.n - at + 1) & ~std::uint64_t{at == 0};
    Corners corners;
    for (int r = 0; r < 4; ++r) {
        const std::uint8_t* pixels = row.rows[r];
        const std::uint8_t before = row.closed ? row.outside : pixels[0];
        const std::uint8_t behind = row.closed ? row.outside : pixels[row.n - 1];
        corners.pixels[2 * r] = _mm512_mask_loadu_epi8(_mm512_set1_epi8(static_cast<char>(before)),
                                                       left, pixels + at - 1);
        corners.pixels[2 * r + 1] =
            _mm512_mask_loadu_epi8(_mm512_set1_epi8(static_cast<char>(behind)), right, pixels + at);
    }
    return corners;
}

// For each corner which of the pixels around it have the label: the last one is bit 0.
inline __m512i codes_of(const Corners& corners, std::uint8_t label) {
    const __m512i wanted = _mm512_set1_epi8(static_cast<char>(label));
    __m512i codes = _mm512_setzero_si512();
    for (int i = 0; i < 8; ++i) {
        const __mmask64 equal = _mm512_cmpeq_epi8_mask(corners.pixels[i], wanted);
        const __m512i bit = _mm512_set1_epi8(static_cast<char>(0x80 >> i));
        codes = _mm512_mask_add_epi8(codes, equal, codes, bit);
    }
    return codes;
}

// Writes the points of these corners; may write 7 more. Bits 8 to 13 of a point are clear in base.
inline std::int64_t write_points(__mmask64 which, __m512i codes, std::uint64_t base,
                                 std::uint64_t* points) {
    alignas(64) static constexpr std::uint8_t kCount[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i columns = _mm512_maskz_compress_epi8(which, load(kCount));
    const __m512i own = _mm512_maskz_compress_epi8(which, codes);
    const __m512i first = _mm512_set1_epi64(static_cast<std::int64_t>(base));
    const auto write = [&](__m128i column, __m128i code, std::uint64_t* out) {
        const __m512i low = _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu8_epi64(column), 8),
                                            _mm512_cvtepu8_epi64(code));
        _mm512_storeu_si512(out, _mm512_or_si512(low, first));
    };
    const std::int64_t count = __builtin_popcountll(which);
    write(_mm512_castsi512_si128(columns), _mm512_castsi512_si128(own), points);
    if (count <= 8) return count;
    alignas(64) std::uint8_t bytes[2][64];
    _mm512_store_si512(bytes[0], columns);
    _mm512_store_si512(bytes[1], own);
    for (std::int64_t i = 8; i < count; i += 8) {
        const auto part = [&](const std::uint8_t* from) {
            return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + i));
        };
        write(part(bytes[0]), part(bytes[1]), points + i);
    }
    return count;
}

// A label that is around the lowest of the corners, and not among the known pixels there.
inline std::uint8_t label_at(const CornerRow& row, std::int64_t at, std::uint64_t corners,
                             __m512i known) {
    alignas(64) std::uint8_t seen[64];
    _mm512_store_si512(seen, known);
    const int corner = __builtin_ctzll(corners);
    const int pixel = __builtin_clz(~(std::uint32_t{seen[corner]} << 24));
    const std::int64_t x = at + corner - 1 + pixel % 2;
    return row.rows[pixel / 2][x < 0 ? 0 : x < row.n ? x : row.n - 1];
}

void list_corners(const CornerRow& row) {
    const __m512i full = _mm512_set1_epi8(static_cast<char>(row.full));
    const __m512i all = _mm512_set1_epi8(-1);
    std::uint8_t label = *row.usual;
    for (std::int64_t at = 0; at <= row.n; at += 64) {
        const std::uint64_t mixed = row.mixed[at / 64];
        if (mixed == 0) continue;
        const Corners corners = corners_at(row, at);
        const std::uint64_t base = row.base + (static_cast<std::uint64_t>(at) << 8);
        // Mostly there are nobody's pixels and those of the label that was met before.
        __m512i known = _mm512_setzero_si512();
        if (row.groups[row.outside] < 0) {
            known = codes_of(corners, row.outside);
            row.labels_met[row.outside] |= (mixed & _mm512_test_epi8_mask(known, known)) != 0;
        }
        for (;;) {
            const __m512i codes = codes_of(corners, label);
            known = _mm512_or_si512(known, codes);
            const __m512i own = _mm512_and_si512(codes, full);
            const __mmask64 touching = mixed & _mm512_test_epi8_mask(own, own);
            row.labels_met[label] |= touching != 0;
            if (row.groups[label] >= 0) {
                const __mmask64 which = touching & _mm512_cmpneq_epi8_mask(own, full);
                const auto group = static_cast<std::uint64_t>(row.groups[label]) << 48;
                PointList& list = row.lists[label];
                if (list.end - list.next < kListRoom) row.grow(row.owner, label);
                list.next += write_points(which, own, base | group, list.next);
            }
            const std::uint64_t left = mixed & _mm512_cmpneq_epi8_mask(known, all);
            if (left == 0) break;
            label = label_at(row, at, left, known);
        }
    }
    *row.usual = label;
}

constexpr ListCorners kListCorners = list_corners;

#else

constexpr ListCorners kListCorners = nullptr;

#endif

// --- the nearest point in rows nearby ---

// A packed point's place among the words: the first of the two words that its window of 64 columns
// is part of, and the first bit there.
struct Window {
    const std::uint64_t* word;
    int shift;
};
inline Window window_of(const NearPoints& to, std::uint64_t point) {
    const auto part = [&](int shift, int width) {
        return static_cast<std::int64_t>(point >> shift & ((std::uint64_t{1} << width) - 1));
    };
    const int row_shift = 8 + to.bits[2];
    const std::int64_t column = part(8, to.bits[2]) - to.low[2];
    const std::int64_t row = part(row_shift, to.bits[1]) - to.low[1];
    const std::int64_t plane = part(row_shift + to.bits[1], to.bits[0]) - to.low[0];
    return {to.words + (column >> 6) * to.column_words + plane * to.plane_words + row,
            static_cast<int>(column & 63)};
}

#if defined(__AVX512F__)

constexpr std::int64_t kRowsAtOnce = 8;

// Squared distances to the nearest bits of eight rows; none is 64 steps away.
template <int kLast>
inline __m512d squares_in(const NearGroups& groups, std::int64_t group, const std::uint64_t* word,
                          std::int64_t column_words, __m512i shift, __m512d spacing) {
    const std::uint64_t* rows = word + groups.offsets[group];
    const __m512i window = _mm512_shrdv_epi64(_mm512_loadu_si512(rows),
                                              _mm512_loadu_si512(rows + column_words), shift);
    const __m512i right = _mm512_srli_epi64(window, kWindowBefore);
    const __m512i left = _mm512_slli_epi64(window, 63 - kWindowBefore);
    // Zeros below the lowest bit, and above the highest one: 64 where there is none. Both are
    // small, so that halves of them are compared, which takes less time.
    const __m512i below =
        _mm512_andnot_si512(right, _mm512_add_epi64(right, _mm512_set1_epi64(-1)));
    const __m512i steps = _mm512_min_epu32(_mm512_popcnt_epi64(below), _mm512_lzcnt_epi64(left));
    const __m512d length = _mm512_mul_pd(_mm512_cvtepi64_pd(steps), spacing);
    const __m512d column = _mm512_mul_pd(length, length);
    if constexpr (kLast == 2)
        return _mm512_add_pd(_mm512_loadu_pd(groups.both + 8 * group), column);
    const double* first = kLast == 1 ? groups.planes : groups.rows;
    const double* last = kLast == 1 ? groups.rows : groups.planes;
    return _mm512_add_pd(_mm512_add_pd(_mm512_loadu_pd(first + 8 * group), column),
                         _mm512_loadu_pd(last + 8 * group));
}

// Squares become distances, or what says that they are not certain. Returns how many are not. The
// square of more steps than a window has says that there was no bit.
inline std::int64_t settle(const NearGroups& groups, std::int64_t n, double* squares) {
    const __m512d complete = _mm512_set1_pd(groups.complete);
    const __m512d beyond = _mm512_set1_pd((64 * groups.spacing) * (64 * groups.spacing));
    std::int64_t open = 0;
    for (std::int64_t i = 0; i < n; i += 8) {
        const auto present = static_cast<__mmask8>(n - i >= 8 ? 0xFF : (1 << (n - i)) - 1);
        const __m512d best = _mm512_maskz_loadu_pd(present, squares + i);
        const __mmask8 is_settled = _mm512_cmp_pd_mask(best, complete, _CMP_LE_OQ);
        const __mmask8 is_bound = _mm512_cmp_pd_mask(best, beyond, _CMP_LT_OQ);
        __m512d found = _mm512_set1_pd(-__builtin_inf());
        found = _mm512_mask_sub_pd(found, is_bound, _mm512_setzero_pd(), best);
        found = _mm512_mask_sqrt_pd(found, is_settled, best);
        _mm512_mask_storeu_pd(squares + i, present, found);
        open += __builtin_popcount(present & ~is_settled);
    }
    return open;
}

// A point for which rows farther away may be nearer.
struct OpenPoint {
    Window window;
    std::int32_t index;
};
constexpr std::int64_t kPointsAtOnce = 256;
constexpr std::int64_t kRounds = 2;

// Many points look at the first group, then those that are open at the next two, and so on: whether
// a point goes on to the next round is no branch, as a wrong guess would cost as much as two
// groups. What is open after the last round looks on by itself.
template <int kLast>
NearFound search_near(const NearPoints& to, const NearGroups& groups, const std::uint64_t* points,
                      std::int64_t n, double* distances) {
    const __m512d spacing = _mm512_set1_pd(groups.spacing);
    const auto look_at = [&](std::int64_t group, const Window& window) {
        return squares_in<kLast>(groups, group, window.word, to.column_words,
                                 _mm512_set1_epi64(window.shift), spacing);
    };
    // Mostly the same rows of the planes on both sides.
    const auto look_at_two = [&](std::int64_t group, const Window& window) {
        const __m512d found = look_at(group, window);
        return group + 1 < groups.count ? _mm512_min_pd(found, look_at(group + 1, window)) : found;
    };
    const auto least = [&](std::int64_t group) {
        return group < groups.count ? groups.least[group] : __builtin_inf();
    };
    NearFound result = {0, 0};
    OpenPoint open[kPointsAtOnce];
    for (std::int64_t begin = 0; begin < n; begin += kPointsAtOnce) {
        const std::int64_t count = n - begin < kPointsAtOnce ? n - begin : kPointsAtOnce;
        double* squares = distances + begin;
        std::int64_t num_open = 0;
        double next = least(1);
        for (std::int64_t i = 0; i < count; ++i) {
            const Window window = window_of(to, points[begin + i]);
            const double found = _mm512_reduce_min_pd(look_at(0, window));
            squares[i] = found;
            open[num_open] = {window, static_cast<std::int32_t>(i)};
            num_open += next < found;
        }
        result.groups += count;
        std::int64_t group = 1;
        for (; num_open > 0 && group < 1 + 2 * kRounds; group += 2) {
            result.groups += 2 * num_open;
            next = least(group + 2);
            std::int64_t kept = 0;
            for (std::int64_t k = 0; k < num_open; ++k) {
                const OpenPoint point = open[k];
                const double found = _mm512_reduce_min_pd(look_at_two(group, point.window));
                const double before = squares[point.index];
                const double square = found < before ? found : before;
                squares[point.index] = square;
                open[kept] = point;
                kept += next < square;
            }
            num_open = kept;
        }
        for (std::int64_t k = 0; k < num_open; ++k) {
            const Window window = open[k].window;
            double& square = squares[open[k].index];
            std::int64_t g = group;
            for (; g < groups.count && groups.least[g] < square; g += 2) {
                const double found = _mm512_reduce_min_pd(look_at_two(g, window));
                square = found < square ? found : square;
            }
            result.groups += g - group;
        }
        result.open += settle(groups, count, squares);
    }
    return result;
}

#else

constexpr std::int64_t kRowsAtOnce = 1;

inline std::int64_t zeros_below(std::uint64_t bits) {
#if defined(__BMI__)
    return static_cast<std::int64_t>(_tzcnt_u64(bits));
#else
    return bits == 0 ? 64 : __builtin_ctzll(bits);
#endif
}
inline std::int64_t zeros_above(std::uint64_t bits) {
#if defined(__LZCNT__)
    return static_cast<std::int64_t>(_lzcnt_u64(bits));
#else
    return bits == 0 ? 64 : __builtin_clzll(bits);
#endif
}

template <int kLast>
NearFound search_near(const NearPoints& to, const NearGroups& groups, const std::uint64_t* points,
                      std::int64_t n, double* distances) {
    double columns[65];
    for (int steps = 0; steps <= 64; ++steps)
        columns[steps] = (steps * groups.spacing) * (steps * groups.spacing);
    NearFound result = {0, 0};
    for (std::int64_t i = 0; i < n; ++i) {
        const Window window = window_of(to, points[i]);
        double best = __builtin_inf();
        // No branch depends on the bits: a row without any is 64 steps away, which is too far, and
        // a square of so many says that there was none.
        std::int64_t g = 0;
        for (; g < groups.count && groups.least[g] < best; ++g) {
            const std::uint64_t* row = window.word + groups.offsets[g];
            const std::uint64_t bits = row[0] >> window.shift | row[to.column_words]
                                                                    << 1 << (63 - window.shift);
            const std::int64_t right = zeros_below(bits >> kWindowBefore);
            const std::int64_t left = zeros_above(bits << (63 - kWindowBefore));
            const double column = columns[right < left ? right : left];
            const double square = kLast == 2   ? groups.both[g] + column
                                  : kLast == 1 ? (groups.planes[g] + column) + groups.rows[g]
                                               : (groups.rows[g] + column) + groups.planes[g];
            best = square < best ? square : best;
        }
        const bool is_settled = best <= groups.complete;
        const double bound = best < columns[64] ? -best : -__builtin_inf();
        distances[i] = is_settled ? __builtin_sqrt(best) : bound;
        result.open += !is_settled;
        result.groups += g;
    }
    return result;
}

#endif

// --- boxes around points ---

void find_ranges(const std::uint64_t* points, std::int64_t n, const std::uint64_t* fields,
                 FieldRange* ranges) {
    // Signed, as not every instruction set compares the others; fields do not have the highest bit.
    const auto rows = static_cast<std::int64_t>(fields[0]);
    const auto columns = static_cast<std::int64_t>(fields[1]);
    std::int64_t least_row = rows;
    std::int64_t least_column = columns;
    std::int64_t most_row = 0;
    std::int64_t most_column = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto point = static_cast<std::int64_t>(points[i]);
        const std::int64_t row = point & rows;
        const std::int64_t column = point & columns;
        least_row = row < least_row ? row : least_row;
        most_row = row > most_row ? row : most_row;
        least_column = column < least_column ? column : least_column;
        most_column = column > most_column ? column : most_column;
    }
    ranges[0] = {static_cast<std::uint64_t>(least_row), static_cast<std::uint64_t>(most_row)};
    ranges[1] = {static_cast<std::uint64_t>(least_column), static_cast<std::uint64_t>(most_column)};
}

// --- sums of distances ---

// Eight sums side by side, whatever the width of the machine: the same bits everywhere.
using Eight [[gnu::vector_size(64)]] = double;
using EightFlags [[gnu::vector_size(64)]] = std::int64_t;
constexpr std::int64_t kSumBlock = 1024;

// By reference: how a function returns a vector depends on the instruction set.
inline void read_eight(const double* values, Eight& eight) {
    std::memcpy(&eight, values, sizeof(eight));
}
inline double sum_of(const Eight& x) {
    return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

// Calls visit(distances, weights) for eight points at a time, and finish() behind each block; the
// last points are made eight by some at distance 0 without weight.
template <class Visit, class Finish>
inline void for_each_eight(const double* distances, const double* weights, std::int64_t n,
                           Visit&& visit, Finish&& finish) {
    for (std::int64_t begin = 0; begin < n; begin += kSumBlock) {
        const std::int64_t end = begin + kSumBlock < n ? begin + kSumBlock : n;
        std::int64_t i = begin;
        Eight distance, weight;
        for (; i + 8 <= end; i += 8) {
            read_eight(distances + i, distance);
            read_eight(weights + i, weight);
            visit(distance, weight);
        }
        if (i < end) {
            double rest[2][8] = {};
            std::memcpy(rest[0], distances + i, static_cast<std::size_t>(end - i) * sizeof(double));
            std::memcpy(rest[1], weights + i, static_cast<std::size_t>(end - i) * sizeof(double));
            read_eight(rest[0], distance);
            read_eight(rest[1], weight);
            visit(distance, weight);
        }
        finish();
    }
}

DistanceTotals sum_distances(const double* distances, const double* weights, std::int64_t n) {
    DistanceTotals totals = {0, 0, 0};
    Eight largest = {};
    Eight weight = {};
    Eight weighted = {};
    for_each_eight(
        distances, weights, n,
        [&](const Eight& d, const Eight& w) {
            largest = d > largest ? d : largest;
            weight += w;
            weighted += d * w;
        },
        [&] {
            totals.weight += sum_of(weight);
            totals.weighted += sum_of(weighted);
            weight = weighted = Eight{};
        });
    for (int i = 0; i < 8; ++i)
        if (largest[i] > totals.largest) totals.largest = largest[i];
    return totals;
}

double sum_within(const double* distances, const double* weights, std::int64_t n,
                  double tolerance) {
    const Eight limit = Eight{} + tolerance;
    double total = 0;
    Eight weight = {};
    for_each_eight(
        distances, weights, n,
        [&](const Eight& d, const Eight& w) {
            const EightFlags kept = (d <= limit) & __builtin_bit_cast(EightFlags, w);
            weight += __builtin_bit_cast(Eight, kept);
        },
        [&] {
            total += sum_of(weight);
            weight = Eight{};
        });
    return total;
}

std::int64_t keep_farther(const double* distances, const double* weights, std::int64_t n,
                          double floor, double* kept_distances, double* kept_weights) {
    std::int64_t kept = 0;
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 8 <= n; i += 8) {
        const __m512d distance = _mm512_loadu_pd(distances + i);
        const __mmask8 is_kept = _mm512_cmp_pd_mask(distance, _mm512_set1_pd(floor), _CMP_GT_OQ);
        _mm512_storeu_pd(kept_distances + kept, _mm512_maskz_compress_pd(is_kept, distance));
        _mm512_storeu_pd(kept_weights + kept,
                         _mm512_maskz_compress_pd(is_kept, _mm512_loadu_pd(weights + i)));
        kept += __builtin_popcount(is_kept);
    }
#endif
    // Written before it is known whether they are kept.
    for (; i < n; ++i) {
        kept_distances[kept] = distances[i];
        kept_weights[kept] = weights[i];
        kept += distances[i] > floor;
    }
    return kept;
}

}  // namespace

extern const SurfaceKernels kSurfaceKernels;
const SurfaceKernels kSurfaceKernels = {{find_mixed<std::uint8_t>, find_mixed<std::uint16_t>,
                                         find_mixed<std::uint32_t>, find_mixed<std::uint64_t>},
                                        {find_faced<std::uint8_t>, find_faced<std::uint16_t>,
                                         find_faced<std::uint32_t>, find_faced<std::uint64_t>},
                                        same_bytes,
                                        kListCorners,
                                        {search_near<0>, search_near<1>, search_near<2>},
                                        kRowsAtOnce,
                                        find_ranges,
                                        sum_distances,
                                        sum_within,
                                        keep_farther};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

// The inner loops of the pixel family; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage, so no copy compiled for a wider machine can replace another at link time.
//
// Counting by joint runs
// ----------------------
// Label maps are piecewise constant. For 64 pixels at a time a bit mask says where pred or target
// differs from the pixel before; every set bit starts a joint run, and each run is one addition
// to one cell:
//
//   cells[target_offset + pred_offset] += length
//
// Two passes over a tile that stays in L1: masks to a flat list of run starts (as JSON parsers do
// it), and runs to cells. Tiles with a run every few pixels are counted pixel by pixel, into
// several copies of a small table, so that equal neighbours do not wait for each other's store, or
// into the low bytes of a larger one, which stay in L1 where the cells would not. One store a
// pixel is the limit of both; few classes need none (pixel_pairs_inl.hpp).
// Overflow: a caller adds fewer than 2^32 pixels between two flushes of the cells.
// Bytes per pixel: the label bytes, once.

#include <cstdint>
#include <cstring>

#include "simd/edges_inl.hpp"
#include "simd/pixel_kernels.hpp"
#include "simd/pixel_pairs_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// A tile with more runs than pixels / kBusyTile is counted pixel by pixel.
constexpr std::int64_t kBusyTile = 3;
// Distance of the software prefetch of binary maps: between what is best in L3 and in memory.
constexpr std::int64_t kPrefetchBinary = 1536;
// Pixels looked at where a busy tile is expected.
constexpr std::int64_t kSample = 64;

// --- labels to cells ---

inline std::uint64_t far_offset(const Lookup& lookup, std::int64_t label) {
    std::int64_t low = 0;
    std::int64_t high = lookup.far_count;
    while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        if (lookup.far_label[middle] < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lookup.far_count && lookup.far_label[low] == label ? lookup.far_offset[low]
                                                                    : lookup.invalid;
}

inline std::uint64_t offset_of(const Lookup& lookup, std::uint8_t label) {
    return lookup.near_offset[label];
}

template <class T>
inline std::uint64_t offset_of(const Lookup& lookup, T label) {
    if (label < lookup.size) return lookup.near_offset[label];
    constexpr int kUnused = 64 - 8 * static_cast<int>(sizeof(T));
    const auto bits = static_cast<std::uint64_t>(label) << kUnused;
    if (lookup.is_signed) return far_offset(lookup, static_cast<std::int64_t>(bits) >> kUnused);
    return far_offset(lookup, static_cast<std::int64_t>(label));
}

template <class T>
void add_runs(const T* pred, const T* target, const std::uint16_t* runs, std::int64_t count,
              const Lookup& pred_lookup, const Lookup& target_lookup, std::uint32_t* cells) {
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint16_t start = runs[i];
        const std::uint64_t cell =
            offset_of(target_lookup, target[start]) + offset_of(pred_lookup, pred[start]);
        cells[cell] += static_cast<std::uint32_t>(runs[i + 1] - start);
    }
}

// --- pixels one by one ---

// Adders and lookups are handed over as copies: as far as the compiler knows, a byte that is
// written may be part of anything that lies in memory, and it would be loaded anew for every pixel.

// Increments of cells whose low bytes are apart.
class LowBytes {
   public:
    explicit LowBytes(const Cells& cells) : low_(cells.low), table_(cells.table) {}
    template <int>
    void add(std::uint64_t cell) const {
        if (++low_[cell] == 0) table_[cell] += 256;
    }

   private:
    std::uint8_t* low_;
    std::uint32_t* table_;
};

// Increments of the cells of up to four tables in turn.
class Copies {
   public:
    explicit Copies(const Cells& cells) {
        for (std::int64_t k = 0; k < 4; ++k)
            table_[k] = cells.table + (k % cells.copies) * cells.cells;
    }
    template <int kTurn>
    void add(std::uint64_t cell) const {
        ++table_[kTurn % 4][cell];
    }

   private:
    std::uint32_t* table_[4];
};

// Increments for pixels i..i + 3, of the cells that number_of(i) names.
template <class Adder, class NumberOf>
inline void add_four(const Adder& adder, std::int64_t i, NumberOf number_of) {
    adder.template add<0>(number_of(i));
    adder.template add<1>(number_of(i + 1));
    adder.template add<2>(number_of(i + 2));
    adder.template add<3>(number_of(i + 3));
}

template <class T, class Adder>
void add_pixels(const T* pred, const T* target, std::int64_t n, const Lookup pred_lookup,
                const Lookup target_lookup, const Adder adder, std::int64_t /*stride*/) {
    const auto cell = [&](std::int64_t i) {
        return offset_of(target_lookup, target[i]) + offset_of(pred_lookup, pred[i]);
    };
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) add_four(adder, i, cell);
    for (; i < n; ++i) adder.template add<0>(cell(i));
}

#if !defined(__AVX512VBMI__)

// Eight labels in one load: loads are what a core runs out of first here.
template <class Adder>
void add_pixels(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                const Lookup pred_lookup, const Lookup target_lookup, const Adder adder,
                std::int64_t stride) {
    std::int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        std::uint64_t p = 0;
        std::uint64_t t = 0;
        std::memcpy(&p, pred + i, sizeof(p));
        std::memcpy(&t, target + i, sizeof(t));
        const auto cell = [&](std::int64_t k) {
            return target_lookup.near_offset[(t >> (8 * k)) & 255] +
                   pred_lookup.near_offset[(p >> (8 * k)) & 255];
        };
        add_four(adder, 0, cell);
        add_four(adder, 4, cell);
    }
    add_pixels<std::uint8_t>(pred + i, target + i, n - i, pred_lookup, target_lookup, adder,
                             stride);
}

#else

// 256 bytes in registers, looked up 64 at a time.
struct ByteTable {
    explicit ByteTable(const std::uint8_t* bytes)
        : part{load(bytes), load(bytes + 64), load(bytes + 128), load(bytes + 192)} {}
    [[nodiscard]] __m512i operator[](__m512i index) const {
        const __m512i below = _mm512_permutex2var_epi8(part[0], index, part[1]);
        const __m512i above = _mm512_permutex2var_epi8(part[2], index, part[3]);
        return _mm512_mask_mov_epi8(below, _mm512_movepi8_mask(index), above);
    }
    __m512i part[4];
};

// Cell numbers of 8-bit labels, 64 at a time, where slots fit a byte and cell numbers 16 bits.
class CellNumbers {
   public:
    CellNumbers(const Lookup& pred, const Lookup& target, std::int64_t stride)
        : pred_slot_(pred.near_slot),
          target_slot_(target.near_slot),
          stride_(_mm512_set1_epi16(static_cast<short>(stride))) {}
    void store(const std::uint8_t* pred, const std::uint8_t* target, std::uint16_t* out) const {
        const __m512i p = pred_slot_[load(pred)];
        const __m512i t = target_slot_[load(target)];
        _mm512_storeu_si512(out, cells(_mm512_castsi512_si256(p), _mm512_castsi512_si256(t)));
        _mm512_storeu_si512(
            out + 32, cells(_mm512_extracti64x4_epi64(p, 1), _mm512_extracti64x4_epi64(t, 1)));
    }

   private:
    [[nodiscard]] __m512i cells(__m256i pred, __m256i target) const {
        return _mm512_add_epi16(_mm512_mullo_epi16(_mm512_cvtepu8_epi16(target), stride_),
                                _mm512_cvtepu8_epi16(pred));
    }
    ByteTable pred_slot_;
    ByteTable target_slot_;
    __m512i stride_;
};

// Numbers are made 64 pixels ahead of the increments, which else would wait for their stores.
template <class Adder>
void add_pixels(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                const Lookup& pred_lookup, const Lookup& target_lookup, const Adder adder,
                std::int64_t stride) {
    if (pred_lookup.near_slot == nullptr) {
        add_pixels<std::uint8_t>(pred, target, n, pred_lookup, target_lookup, adder, stride);
        return;
    }
    const CellNumbers numbers(pred_lookup, target_lookup, stride);
    alignas(64) std::uint16_t ahead[2][64];
    if (n >= 64) numbers.store(pred, target, ahead[0]);
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const std::uint16_t* now = ahead[i / 64 % 2];
        prefetch_ahead(pred + i);
        prefetch_ahead(target + i);
        if (i + 128 <= n) numbers.store(pred + i + 64, target + i + 64, ahead[(i / 64 + 1) % 2]);
        const auto cell = [now](std::int64_t k) { return std::uint64_t{now[k]}; };
        for (std::int64_t k = 0; k < 64; k += 8) {
            add_four(adder, k, cell);
            add_four(adder, k + 4, cell);
        }
    }
    add_pixels<std::uint8_t>(pred + i, target + i, n - i, pred_lookup, target_lookup, adder,
                             stride);
}

#endif

// --- pixels in queues ---

#if defined(SEGMETER_SIMD_PAIRS)

// Slots of the pixels of at most kQueuedPixels to the queues; returns the highest of them.
inline std::int64_t queue_slots(const std::uint8_t* pred, const std::uint8_t* target,
                                std::int64_t n, const ByteTable& pred_slot,
                                const ByteTable& target_slot, PairQueues& queues) {
    CodeWriter writer(queues);
    __m512i highest = _mm512_setzero_si512();
    const auto append = [&](__m512i t, __m512i p, __mmask64 valid) {
        highest = _mm512_mask_max_epu8(highest, valid, highest, _mm512_max_epu8(t, p));
        writer.append(t, p, valid);
    };
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead(pred + i);
        prefetch_ahead(target + i);
        append(target_slot[load(target + i)], pred_slot[load(pred + i)], ~__mmask64{0});
    }
    if (i < n) {
        const __mmask64 rest = (__mmask64{1} << (n - i)) - 1;
        append(target_slot[_mm512_maskz_loadu_epi8(rest, target + i)],
               pred_slot[_mm512_maskz_loadu_epi8(rest, pred + i)], rest);
    }
    writer.finish();
    const __m512i wide = _mm512_max_epu16(_mm512_srli_epi16(highest, 8),
                                          _mm512_and_si512(highest, _mm512_set1_epi16(255)));
    return _mm512_reduce_max_epu32(_mm512_max_epu32(
        _mm512_srli_epi32(wide, 16), _mm512_and_si512(wide, _mm512_set1_epi32(255))));
}

void queue_pixels(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                  const Lookup& pred_lookup, const Lookup& target_lookup, PairQueues& queues) {
    const ByteTable pred_slot(pred_lookup.near_slot);
    const ByteTable target_slot(target_lookup.near_slot);
    for (std::int64_t i = 0; i < n; i += kQueuedPixels) {
        const std::int64_t size = n - i < kQueuedPixels ? n - i : kQueuedPixels;
        const std::int64_t highest =
            queue_slots(pred + i, target + i, size, pred_slot, target_slot, queues);
        if (highest >= queues.slots) queues.slots = highest + 1;
        for (int quarter = 0; quarter < 4; ++quarter) count_full(queues, quarter);
    }
}

void count_queued(const Cells& cells) {
    for (int quarter = 0; quarter < 4; ++quarter) count_rest(*cells.queues, quarter);
    add_queue_sums(*cells.queues, cells.stride, cells.table);
}

#endif

template <class T>
void add_busy_tile(const T* pred, const T* target, std::int64_t n, const Lookup& pred_lookup,
                   const Lookup& target_lookup, const Cells& cells) {
#if defined(SEGMETER_SIMD_PAIRS)
    if constexpr (sizeof(T) == 1)
        if (cells.queues != nullptr) {
            queue_pixels(pred, target, n, pred_lookup, target_lookup, *cells.queues);
            return;
        }
#endif
    if (cells.low != nullptr)
        add_pixels(pred, target, n, pred_lookup, target_lookup, LowBytes(cells), cells.stride);
    else
        add_pixels(pred, target, n, pred_lookup, target_lookup, Copies(cells), cells.stride);
}

template <class T>
bool count_tile(const void* pred_data, const void* target_data, std::int64_t n, bool has_previous,
                bool expect_busy, const Lookup& pred_lookup, const Lookup& target_lookup,
                const Cells& cells, std::uint16_t* scratch) {
    const auto* pred = static_cast<const T*>(pred_data);
    const auto* target = static_cast<const T*>(target_data);
    // Where runs are short as a rule, a look at the beginning saves listing them all.
    const std::int64_t sample = n < kSample ? n : kSample;
    bool busy = expect_busy && count_runs(pred, target, sample, has_previous) * kBusyTile > sample;
    std::int64_t count = 0;
    if (!busy) {
        count = list_runs(pred, target, n, has_previous, scratch);
        busy = count * kBusyTile > n;
    }
    if (busy)
        add_busy_tile(pred, target, n, pred_lookup, target_lookup, cells);
    else
        add_runs(pred, target, scratch, count, pred_lookup, target_lookup, cells.table);
    return busy;
}

template <class Count, class Sum>
void add_counts(const Count* counts, std::int64_t n, Sum* sums) {
    for (std::int64_t i = 0; i < n; ++i) sums[i] += counts[i];
}

template <class T>
void resolve_tile(const void* pred_data, const void* target_data, std::int64_t n,
                  const Lookup& pred_lookup, const Lookup& target_lookup, std::uint64_t* cells) {
    const auto* pred = static_cast<const T*>(pred_data);
    const auto* target = static_cast<const T*>(target_data);
    for (std::int64_t i = 0; i < n; ++i)
        cells[i] = offset_of(target_lookup, target[i]) + offset_of(pred_lookup, pred[i]);
}

// --- binary maps ---

// A vector of bytes: zeros and ones of a map as they are loaded, or sums of at most 255 of them.
#if defined(__AVX512BW__)

struct Bytes {
    __m512i v = _mm512_setzero_si512();
    static Bytes is_true(const std::uint8_t* x) {
        return {_mm512_min_epu8(load(x), _mm512_set1_epi8(1))};
    }
    Bytes operator&(Bytes other) const { return {_mm512_and_si512(v, other.v)}; }
    void operator+=(Bytes other) { v = _mm512_add_epi8(v, other.v); }
    [[nodiscard]] std::int64_t sum() const {
        return _mm512_reduce_add_epi64(_mm512_sad_epu8(v, _mm512_setzero_si512()));
    }
};

#elif defined(__AVX2__)

struct Bytes {
    __m256i v = _mm256_setzero_si256();
    static Bytes is_true(const std::uint8_t* x) {
        return {_mm256_min_epu8(load(x), _mm256_set1_epi8(1))};
    }
    Bytes operator&(Bytes other) const { return {_mm256_and_si256(v, other.v)}; }
    void operator+=(Bytes other) { v = _mm256_add_epi8(v, other.v); }
    [[nodiscard]] std::int64_t sum() const {
        const __m256i sums = _mm256_sad_epu8(v, _mm256_setzero_si256());
        const __m128i two =
            _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
    }
};

#elif defined(__SSE2__)

struct Bytes {
    __m128i v = _mm_setzero_si128();
    static Bytes is_true(const std::uint8_t* x) {
        return {_mm_min_epu8(load(x), _mm_set1_epi8(1))};
    }
    Bytes operator&(Bytes other) const { return {_mm_and_si128(v, other.v)}; }
    void operator+=(Bytes other) { v = _mm_add_epi8(v, other.v); }
    [[nodiscard]] std::int64_t sum() const {
        const __m128i two = _mm_sad_epu8(v, _mm_setzero_si128());
        return _mm_cvtsi128_si64(two) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(two, two));
    }
};

#elif defined(SEGMETER_SIMD_NEON)

struct Bytes {
    uint8x16_t v = vdupq_n_u8(0);
    static Bytes is_true(const std::uint8_t* x) { return {vminq_u8(vld1q_u8(x), vdupq_n_u8(1))}; }
    Bytes operator&(Bytes other) const { return {vandq_u8(v, other.v)}; }
    void operator+=(Bytes other) { v = vaddq_u8(v, other.v); }
    [[nodiscard]] std::int64_t sum() const { return vaddlvq_u8(v); }
};

#else

struct Bytes {
    std::uint8_t v = 0;
    static Bytes is_true(const std::uint8_t* x) { return {static_cast<std::uint8_t>(*x != 0)}; }
    Bytes operator&(Bytes other) const { return {static_cast<std::uint8_t>(v & other.v)}; }
    void operator+=(Bytes other) { v = static_cast<std::uint8_t>(v + other.v); }
    [[nodiscard]] std::int64_t sum() const { return v; }
};

#endif

constexpr std::int64_t kBytes = sizeof(Bytes);
// Pixels of one round: whole cache lines, each of which is asked for once.
constexpr std::int64_t kRound = 4 * kBytes < 64 ? 64 : 4 * kBytes;

// Whole vectors of at most 255 * kBytes pixels.
inline void add_bytes(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                      std::int64_t* counts) {
    Bytes both;
    Bytes in_pred;
    Bytes in_target;
    const auto add = [&](std::int64_t i) {
        const Bytes p = Bytes::is_true(pred + i);
        const Bytes t = Bytes::is_true(target + i);
        both += p & t;
        in_pred += p;
        in_target += t;
    };
    std::int64_t i = 0;
    for (; i + kRound <= n; i += kRound) {
        for (std::int64_t line = i; line < i + kRound; line += 64) {
            prefetch_ahead<kPrefetchBinary>(pred + line);
            prefetch_ahead<kPrefetchBinary>(target + line);
        }
#pragma GCC unroll 4
        for (std::int64_t k = i; k < i + kRound; k += kBytes) add(k);
    }
    for (; i + kBytes <= n; i += kBytes) add(i);
    counts[0] += both.sum();
    counts[1] += in_pred.sum();
    counts[2] += in_target.sum();
}

void count_bool(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                std::int64_t* counts) {
    // A byte holds 255 ones.
    constexpr std::int64_t kMost = 255 * kBytes / kRound * kRound;
    const std::int64_t whole = n / kBytes * kBytes;
    for (std::int64_t i = 0; i < whole; i += kMost)
        add_bytes(pred + i, target + i, whole - i < kMost ? whole - i : kMost, counts);
    for (std::int64_t i = whole; i < n; ++i) {
        counts[0] += static_cast<std::int64_t>((pred[i] != 0) & (target[i] != 0));
        counts[1] += static_cast<std::int64_t>(pred[i] != 0);
        counts[2] += static_cast<std::int64_t>(target[i] != 0);
    }
}

// --- scores to labels ---
// A score beats the best so far if it is greater, or if it alone of the two is NaN; so the first
// of equals wins, and the first NaN wins over all.

// `label` as wide as the scores makes this loop vector code for every instruction set.
template <class Score, class Label>
void challenge(const Score* scores, std::int64_t channel, std::int64_t n, Score* best,
               Label* label) {
    if (channel == 0) {
        std::memcpy(best, scores, static_cast<std::size_t>(n) * sizeof(Score));
        std::memset(label, 0, static_cast<std::size_t>(n) * sizeof(Label));
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
        const Score score = scores[i];
        const Score old = best[i];
        const bool better = !(score <= old) & (old == old);
        label[i] = better ? static_cast<Label>(channel) : label[i];
        best[i] = better ? score : old;
    }
}

#if defined(__AVX512BW__)

// Challenging the best with several channels at once saves that many loads and stores of it.
constexpr std::int64_t kChannelsAtOnce = 4;

struct FloatVector {
    static constexpr int kLanes = 16;
    __m512 v;
    static FloatVector at(const float* x) { return {_mm512_loadu_ps(x)}; }
    void store(float* x) const { _mm512_storeu_ps(x, v); }
    // Takes over the lanes of `score` that beat this one.
    __mmask16 challenge(FloatVector score) {
        const __mmask16 known = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
        const __mmask16 better = _mm512_mask_cmp_ps_mask(known, score.v, v, _CMP_NLE_UQ);
        v = _mm512_mask_mov_ps(v, better, score.v);
        return better;
    }
};

struct DoubleVector {
    static constexpr int kLanes = 8;
    __m512d v;
    static DoubleVector at(const double* x) { return {_mm512_loadu_pd(x)}; }
    void store(double* x) const { _mm512_storeu_pd(x, v); }
    __mmask8 challenge(DoubleVector score) {
        const __mmask8 known = _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q);
        const __mmask8 better = _mm512_mask_cmp_pd_mask(known, score.v, v, _CMP_NLE_UQ);
        v = _mm512_mask_mov_pd(v, better, score.v);
        return better;
    }
};

template <class Score>
struct VectorOf {
    using Type = FloatVector;
};
template <>
struct VectorOf<double> {
    using Type = DoubleVector;
};

// Labels of 64 pixels in registers: a masked store of bytes costs many times a blend.
struct Labels8 {
    __m512i v = _mm512_setzero_si512();
    void load_from(const std::uint8_t* label) { v = load(label); }
    void store(std::uint8_t* label) const { _mm512_storeu_si512(label, v); }
    void set(__mmask64 where, std::int64_t channel) {
        v = _mm512_mask_mov_epi8(v, where, _mm512_set1_epi8(static_cast<char>(channel)));
    }
};

struct Labels16 {
    __m512i low = _mm512_setzero_si512();
    __m512i high = _mm512_setzero_si512();
    void load_from(const std::uint16_t* label) {
        low = load(label);
        high = load(label + 32);
    }
    void store(std::uint16_t* label) const {
        _mm512_storeu_si512(label, low);
        _mm512_storeu_si512(label + 32, high);
    }
    void set(__mmask64 where, std::int64_t channel) {
        const __m512i value = _mm512_set1_epi16(static_cast<short>(channel));
        low = _mm512_mask_mov_epi16(low, static_cast<__mmask32>(where), value);
        high = _mm512_mask_mov_epi16(high, static_cast<__mmask32>(where >> 32), value);
    }
};

template <class Label>
struct LabelsOf {
    using Type = Labels8;
};
template <>
struct LabelsOf<std::uint16_t> {
    using Type = Labels16;
};

// 64 pixels against up to kChannelsAtOnce channels; channel 0 challenges nobody.
template <class Score, class Label>
inline void challenge_block(const Score* scores, std::int64_t channel_stride, std::int64_t first,
                            std::int64_t channels, Score* best, Label* label) {
    using Vector = typename VectorOf<Score>::Type;
    constexpr int kVectors = 64 / Vector::kLanes;
    Vector top[kVectors];
    typename LabelsOf<Label>::Type labels;
    std::int64_t c = 0;
    if (first == 0) {
        for (int k = 0; k < kVectors; ++k) top[k] = Vector::at(scores + k * Vector::kLanes);
        scores += channel_stride;
        c = 1;
    } else {
        labels.load_from(label);
        for (int k = 0; k < kVectors; ++k) top[k] = Vector::at(best + k * Vector::kLanes);
    }
    for (; c < channels; ++c, scores += channel_stride) {
        const auto better = [&](int k) {
            return top[k].challenge(Vector::at(scores + k * Vector::kLanes));
        };
        __mmask64 mask = 0;
        if constexpr (kVectors == 4)
            mask = join(better(0), better(1), better(2), better(3));
        else
            mask = join(join(better(0), better(1), better(2), better(3)),
                        join(better(4), better(5), better(6), better(7)));
        labels.set(mask, first + c);
    }
    labels.store(label);
    for (int k = 0; k < kVectors; ++k) top[k].store(best + k * Vector::kLanes);
}

// Asks for 64 scores of each of a few channels.
template <class Score>
inline void prefetch_block(const Score* scores, std::int64_t channel_stride,
                           std::int64_t channels) {
    for (std::int64_t c = 0; c < channels; ++c, scores += channel_stride)
        for (std::size_t byte = 0; byte < 64 * sizeof(Score); byte += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(scores) + byte);
}

// Every tile jumps from channel to channel, which hardware prefetch does not foresee: the channels
// of the next round are asked for in this one, and in the last round the next tile's first ones.
template <class Score, class Label>
void argmax(const Score* scores, std::int64_t channel_stride, std::int64_t first,
            std::int64_t channels, std::int64_t n, Score* best, Label* label) {
    for (std::int64_t c = 0; c < channels; c += kChannelsAtOnce) {
        const std::int64_t left = channels - c - kChannelsAtOnce;
        const std::int64_t group = left < 0 ? left + kChannelsAtOnce : kChannelsAtOnce;
        const Score* from = scores + c * channel_stride;
        const Score* next = left > 0 ? from + kChannelsAtOnce * channel_stride : scores + n;
        const std::int64_t next_group = left > 0 && left < kChannelsAtOnce ? left : kChannelsAtOnce;
        std::int64_t i = 0;
        for (; i + 64 <= n; i += 64) {
            prefetch_block(next + i, channel_stride, next_group);
            challenge_block(from + i, channel_stride, first + c, group, best + i, label + i);
        }
        for (std::int64_t k = 0; k < group; ++k)
            challenge(from + k * channel_stride + i, first + c + k, n - i, best + i, label + i);
    }
}

#else

template <class Score>
struct WideLabel {
    using Type = std::uint32_t;
};
template <>
struct WideLabel<double> {
    using Type = std::uint64_t;
};

template <class Score, class Label>
void argmax(const Score* scores, std::int64_t channel_stride, std::int64_t first,
            std::int64_t channels, std::int64_t n, Score* best, Label* label) {
    constexpr std::int64_t kBlock = 2048;
    typename WideLabel<Score>::Type wide[kBlock];
    for (std::int64_t i = 0; i < n; i += kBlock) {
        const std::int64_t size = n - i < kBlock ? n - i : kBlock;
        if (first > 0)
            for (std::int64_t k = 0; k < size; ++k) wide[k] = label[i + k];
        for (std::int64_t c = 0; c < channels; ++c)
            challenge(scores + c * channel_stride + i, first + c, size, best + i, wide);
        for (std::int64_t k = 0; k < size; ++k) label[i + k] = static_cast<Label>(wide[k]);
    }
}

#endif

}  // namespace

extern const PixelKernels kPixelKernels;
const PixelKernels kPixelKernels = {
    {count_tile<std::uint8_t>, count_tile<std::uint16_t>, count_tile<std::uint32_t>,
     count_tile<std::uint64_t>},
#if defined(SEGMETER_SIMD_PAIRS)
    count_queued,
#else
    nullptr,
#endif
    add_counts<std::uint8_t, std::uint32_t>,
    add_counts<std::uint32_t, std::int64_t>,
    {resolve_tile<std::uint8_t>, resolve_tile<std::uint16_t>, resolve_tile<std::uint32_t>,
     resolve_tile<std::uint64_t>},
    count_bool,
    argmax<float, std::uint8_t>,
    argmax<float, std::uint16_t>,
    argmax<double, std::uint8_t>,
    argmax<double, std::uint16_t>,
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

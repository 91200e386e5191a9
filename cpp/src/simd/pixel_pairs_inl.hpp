// Pixels without runs, of few classes: pairs of classes counted by bit planes. Part of
// pixel_inl.hpp, for machines with AVX-512 VBMI2 and VPOPCNTDQ.
//
// One increment a pixel costs one store, and a core has one store a cycle to spare. So nothing is
// stored for a pixel here but a byte:
//
//   1. Slots (classes, void, invalid) are cut into two halves of at most 16. A pixel's code is its
//      place in target's half and in pred's half, four bits each; the two halves name one of four
//      queues. Compressed vectors of codes are appended to the queues.
//   2. 4096 codes of a queue become eight bit planes (8 x 8 bits transposed by three rounds of
//      swaps; the order of the pixels does not matter), and four planes a mask for each slot.
//   3. pairs[t][p] += popcount(target_mask[t] & pred_mask[p]), 512 pixels at a time, up to 4 x 4
//      sums in registers. A queue has only a quarter of the pairs of slots, which is what the
//      queues are for.
//
// Work: (slots / 2)^2 * 3 vector instructions for 512 pixels, all in all half a cycle a pixel with
// 19 classes. Overflow: as for cells, 2^32 pixels between two flushes.
#pragma once

#include "simd/edges_inl.hpp"
#include "simd/pixel_kernels.hpp"

#if defined(__AVX512VBMI2__) && defined(__AVX512VPOPCNTDQ__)
#define SEGMETER_SIMD_PAIRS

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kPlanePixels = 512;
// Most vectors of masks that are counted at once: 16 + 16 masks of so many stay in L1.
constexpr std::int64_t kMaskVectors = kQueuedPixels / kPlanePixels;

// --- codes to queues ---

// The ends of the queues and what is in them, in registers as long as a tile lasts.
class CodeWriter {
   public:
    explicit CodeWriter(PairQueues& queues)
        : half_(_mm512_set1_epi8(static_cast<char>(queues.half))), queues_(queues) {
        for (int k = 0; k < 4; ++k) end_[k] = queues.codes[k] + queues.filled[k];
    }

    // Slots of up to 64 pixels, those of `valid`.
    void append(__m512i target, __m512i pred, __mmask64 valid) {
        const __mmask64 high_target = _mm512_mask_cmpge_epu8_mask(valid, target, half_);
        const __mmask64 high_pred = _mm512_mask_cmpge_epu8_mask(valid, pred, half_);
        target = _mm512_mask_sub_epi8(target, high_target, target, half_);
        pred = _mm512_mask_sub_epi8(pred, high_pred, pred, half_);
        const __m512i codes = _mm512_or_si512(_mm512_slli_epi16(target, 4), pred);
        append_to<0>(valid & ~(high_target | high_pred), codes);
        append_to<1>(high_pred & ~high_target, codes);
        append_to<2>(high_target & ~high_pred, codes);
        append_to<3>(high_target & high_pred, codes);
    }

    void finish() {
        for (int k = 0; k < 4; ++k) queues_.filled[k] = end_[k] - queues_.codes[k];
    }

   private:
    template <int kQueue>
    void append_to(__mmask64 where, __m512i codes) {
        // Whole vectors: a compressing store is slow on some machines.
        _mm512_storeu_si512(end_[kQueue], _mm512_maskz_compress_epi8(where, codes));
        end_[kQueue] += __builtin_popcountll(where);
    }

    __m512i half_;
    PairQueues& queues_;
    std::uint8_t* end_[4];
};

// --- codes to masks ---

// Bits where `mask` is set from a, the others from b.
inline __m512i select(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi64(mask, a, b, 0xCA);
}

// Swaps the upper bits of every 2 * kShift in a with the lower ones in b.
template <int kShift>
inline void swap_bits(__m512i& a, __m512i& b, __m512i lower) {
    const __m512i low = select(lower, a, _mm512_slli_epi16(b, kShift));
    b = select(lower, _mm512_srli_epi16(a, kShift), b);
    a = low;
}

// Masks of the 16 values of four bit planes, as far as they are below `count`, to mask[value *
// kMaskVectors]; up to the next multiple of four.
inline void store_masks(__m512i bit0, __m512i bit1, __m512i bit2, __m512i bit3, std::int64_t count,
                        __m512i* mask) {
    const __m512i low[4] = {_mm512_ternarylogic_epi64(bit0, bit1, bit1, 0x03),
                            _mm512_andnot_si512(bit1, bit0), _mm512_andnot_si512(bit0, bit1),
                            _mm512_and_si512(bit0, bit1)};
    const __m512i high[4] = {_mm512_ternarylogic_epi64(bit2, bit3, bit3, 0x03),
                             _mm512_andnot_si512(bit3, bit2), _mm512_andnot_si512(bit2, bit3),
                             _mm512_and_si512(bit2, bit3)};
    for (int i = 0; i < 4; ++i) {
        if (4 * i >= count) return;
        for (int k = 0; k < 4; ++k)
            mask[(4 * i + k) * kMaskVectors] = _mm512_and_si512(high[i], low[k]);
    }
}

// 512 codes to masks of `rows` slots of target and `columns` of pred.
inline void store_pair_masks(const std::uint8_t* codes, std::int64_t rows, std::int64_t columns,
                             __m512i* target_mask, __m512i* pred_mask) {
    __m512i v[8];
    for (int i = 0; i < 8; ++i) v[i] = load(codes + 64 * i);
    const __m512i nibbles = _mm512_set1_epi8(0x0F);
    const __m512i couples = _mm512_set1_epi8(0x33);
    const __m512i singles = _mm512_set1_epi8(0x55);
    for (int i = 0; i < 4; ++i) swap_bits<4>(v[i], v[i + 4], nibbles);
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; ++k) swap_bits<2>(v[i + k], v[i + k + 2], couples);
    for (int i = 0; i < 8; i += 2) swap_bits<1>(v[i], v[i + 1], singles);
    store_masks(v[0], v[1], v[2], v[3], columns, pred_mask);
    store_masks(v[4], v[5], v[6], v[7], rows, target_mask);
}

// --- masks to sums ---

// Sums of four vectors of 64-bit counts below 2^32, as 32-bit numbers.
inline __m128i four_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(a, _mm512_slli_epi64(b, 32));
    const __m512i cd = _mm512_add_epi32(c, _mm512_slli_epi64(d, 32));
    const __m512i all =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// sums[t][p] += pixels in target_mask[t] and in pred_mask[p], for kRows x kColumns masks.
template <int kRows, int kColumns>
inline void add_pairs(const __m512i* target_mask, const __m512i* pred_mask, std::int64_t vectors,
                      std::uint32_t* sums) {
    __m512i count[kRows][4];
    for (int t = 0; t < kRows; ++t)
        for (int p = 0; p < 4; ++p) count[t][p] = _mm512_setzero_si512();
    for (std::int64_t v = 0; v < vectors; ++v) {
        __m512i target[kRows];
        for (int t = 0; t < kRows; ++t) target[t] = target_mask[t * kMaskVectors + v];
        for (int p = 0; p < kColumns; ++p) {
            const __m512i pred = pred_mask[p * kMaskVectors + v];
            for (int t = 0; t < kRows; ++t)
                count[t][p] = _mm512_add_epi64(
                    count[t][p], _mm512_popcnt_epi64(_mm512_and_si512(target[t], pred)));
        }
    }
    for (int t = 0; t < kRows; ++t) {
        auto* row = reinterpret_cast<__m128i*>(sums + t * kHalfSlots);
        const __m128i more = four_sums(count[t][0], count[t][1], count[t][2], count[t][3]);
        _mm_storeu_si128(row, _mm_add_epi32(_mm_loadu_si128(row), more));
    }
}

// Begin of block `index` where `slots` are cut into blocks of three or four.
inline std::int64_t block_begin(std::int64_t slots, std::int64_t index) {
    const std::int64_t blocks = (slots + 3) / 4;
    return (slots * index + blocks - 1) / blocks;
}

template <int kRows>
inline void add_row_of_pairs(const __m512i* target_mask, const __m512i* pred_mask,
                             std::int64_t slots, std::int64_t vectors, std::uint32_t* sums) {
    for (std::int64_t k = 0, p = 0; p < slots; ++k) {
        const std::int64_t next = block_begin(slots, k + 1);
        const __m512i* pred = pred_mask + p * kMaskVectors;
        if (next - p == 4)
            add_pairs<kRows, 4>(target_mask, pred, vectors, sums + p);
        else
            add_pairs<kRows, 3>(target_mask, pred, vectors, sums + p);
        p = next;
    }
}

// Slots in a half, as far as they were met.
inline std::int64_t slots_of(const PairQueues& queues, bool high) {
    const std::int64_t slots = high ? queues.slots - queues.half : queues.slots;
    return slots < 0 ? 0 : slots < queues.half ? slots : queues.half;
}

// Counts `pixels` <= kQueuedPixels codes of a queue, a multiple of kPlanePixels.
void count_codes(PairQueues& queues, int quarter, std::int64_t pixels) {
    alignas(64) __m512i target_mask[kHalfSlots * kMaskVectors];
    alignas(64) __m512i pred_mask[kHalfSlots * kMaskVectors];
    const std::uint8_t* codes = queues.codes[quarter];
    const std::int64_t rows = slots_of(queues, (quarter & 2) != 0);
    const std::int64_t columns = slots_of(queues, (quarter & 1) != 0);
    const std::int64_t vectors = pixels / kPlanePixels;
    for (std::int64_t v = 0; v < vectors; ++v)
        store_pair_masks(codes + v * kPlanePixels, rows, columns, target_mask + v, pred_mask + v);
    for (std::int64_t k = 0, t = 0; t < rows; ++k) {
        const std::int64_t next = block_begin(rows, k + 1);
        const __m512i* target = target_mask + t * kMaskVectors;
        std::uint32_t* sums = queues.sums[quarter] + t * kHalfSlots;
        if (next - t == 4)
            add_row_of_pairs<4>(target, pred_mask, columns, vectors, sums);
        else
            add_row_of_pairs<3>(target, pred_mask, columns, vectors, sums);
        t = next;
    }
}

// Counts what fills a queue; the rest moves to its front.
inline void count_full(PairQueues& queues, int quarter) {
    std::int64_t& filled = queues.filled[quarter];
    if (filled < kQueuedPixels) return;
    count_codes(queues, quarter, kQueuedPixels);
    filled -= kQueuedPixels;
    std::uint8_t* codes = queues.codes[quarter];
    for (std::int64_t i = 0; i < filled; i += 64)
        _mm512_storeu_si512(codes + i, load(codes + kQueuedPixels + i));
}

// Counts all of a queue that is not full, filled up with code 0, which is taken back afterwards.
void count_rest(PairQueues& queues, int quarter) {
    std::int64_t& filled = queues.filled[quarter];
    std::uint8_t* codes = queues.codes[quarter];
    std::int64_t pixels = filled;
    for (; pixels % kPlanePixels != 0; ++pixels) codes[pixels] = 0;
    count_codes(queues, quarter, pixels);
    queues.sums[quarter][0] -= static_cast<std::uint32_t>(pixels - filled);
    filled = 0;
}

// Sums of the four queues to the cells of a table of `stride` slots a row.
void add_queue_sums(PairQueues& queues, std::int64_t stride, std::uint32_t* table) {
    for (std::int64_t t = 0; t < stride; ++t)
        for (std::int64_t p = 0; p < stride; ++p) {
            const bool high_target = t >= queues.half;
            const bool high_pred = p >= queues.half;
            const std::int64_t row = t - (high_target ? queues.half : 0);
            const std::int64_t column = p - (high_pred ? queues.half : 0);
            std::uint32_t& sum =
                queues.sums[2 * high_target + high_pred][row * kHalfSlots + column];
            table[t * stride + p] += sum;
            sum = 0;
        }
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

#endif

/* The machine's own limits, compiled when a benchmark starts (see _native.py):
 *
 *   read_buffers   adds up every byte of some buffers, 64 bits at a time, and writes nothing:
 *                  no routine that looks at every label can be faster than the fastest of the
 *                  variants below.
 *   evict_buffers  throws the buffers out of the caches, so that the next reader starts cold.
 *   count_pairs    the plain loop everybody writes first: one byte of each map, one increment.
 *
 * Formula: sum of floor(size / 64) vectors of 8 x uint64, wrapping; tails are added bytewise.
 * Bytes touched: each byte once. Threads: an OpenMP team, each thread one stretch of each buffer.
 */
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef uint64_t lanes __attribute__((vector_size(64)));
typedef uint64_t loose_lanes __attribute__((vector_size(64), aligned(1), may_alias));

enum { LANE_BYTES = 64, STEP_BYTES = 8 * LANE_BYTES };
enum variant { PLAIN = 0, PREFETCH = 1, TOGETHER = 2, TOGETHER_PREFETCH = 3, TOGETHER_FAR = 4 };

static lanes step_sum(const uint8_t* bytes, lanes total)
{
    const loose_lanes* v = (const loose_lanes*)bytes;
    return total + (((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])));
}

static void step_prefetch(const uint8_t* bytes, int64_t distance)
{
    for (int line = 0; line < STEP_BYTES; line += LANE_BYTES)
        __builtin_prefetch(bytes + distance + line, 0, 3);
}

static uint64_t tail_sum(const uint8_t* bytes, int64_t count)
{
    uint64_t total = 0;
    for (int64_t i = 0; i < count; ++i) total += bytes[i];
    return total;
}

static uint64_t lane_sum(lanes total)
{
    uint64_t sum = 0;
    for (int lane = 0; lane < 8; ++lane) sum += total[lane];
    return sum;
}

static uint64_t read_one(const uint8_t* bytes, int64_t count, int64_t distance)
{
    lanes total = {0};
    int64_t at = 0;
    if (distance)
        for (; at + STEP_BYTES <= count; at += STEP_BYTES) {
            step_prefetch(bytes + at, distance);
            total = step_sum(bytes + at, total);
        }
    else
        for (; at + STEP_BYTES <= count; at += STEP_BYTES) total = step_sum(bytes + at, total);
    return lane_sum(total) + tail_sum(bytes + at, count - at);
}

/* Two streams side by side, as a counting kernel reads them. */
static uint64_t read_two(const uint8_t* a, const uint8_t* b, int64_t count, int64_t distance)
{
    lanes total = {0}, other = {0};
    int64_t at = 0;
    for (; at + STEP_BYTES <= count; at += STEP_BYTES) {
        if (distance) {
            step_prefetch(a + at, distance);
            step_prefetch(b + at, distance);
        }
        total = step_sum(a + at, total);
        other = step_sum(b + at, other);
    }
    return lane_sum(total) + lane_sum(other) + tail_sum(a + at, count - at) +
           tail_sum(b + at, count - at);
}

/* Precondition: TOGETHER variants need buffers 0 and 1 of one size. */
uint64_t read_buffers(const uint8_t* const* buffers, const int64_t* sizes, int32_t buffer_count,
                      int32_t threads, int32_t variant)
{
    uint64_t sum = 0;
    const int64_t distances[] = {0, 2048, 0, 2048, 8192};
    const int64_t distance = distances[variant];
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : sum)
    for (int32_t thread = 0; thread < threads; ++thread) {
        int32_t first = 0;
        if (variant >= TOGETHER && buffer_count >= 2) {
            const int64_t begin = sizes[0] * thread / threads;
            const int64_t end = sizes[0] * (thread + 1) / threads;
            sum += read_two(buffers[0] + begin, buffers[1] + begin, end - begin, distance);
            first = 2;
        }
        for (int32_t index = first; index < buffer_count; ++index) {
            const int64_t begin = sizes[index] * thread / threads;
            const int64_t end = sizes[index] * (thread + 1) / threads;
            sum += read_one(buffers[index] + begin, end - begin, distance);
        }
    }
    return sum;
}

/* Returns 1 where the processor can be told to evict, else 0 (nothing done). */
int32_t evict_buffers(const uint8_t* const* buffers, const int64_t* sizes, int32_t buffer_count)
{
#if defined(__x86_64__)
    for (int32_t index = 0; index < buffer_count; ++index)
        for (int64_t at = 0; at < sizes[index]; at += LANE_BYTES) _mm_clflush(buffers[index] + at);
    _mm_mfence();
    return 1;
#else
    (void)buffers, (void)sizes, (void)buffer_count;
    return 0;
#endif
}

/* Precondition: every label is below num_classes. */
void count_pairs(const uint8_t* pred, const uint8_t* target, int64_t count, int64_t num_classes,
                 uint64_t* matrix)
{
    memset(matrix, 0, (size_t)(num_classes * num_classes) * sizeof *matrix);
    for (int64_t i = 0; i < count; ++i) matrix[target[i] * num_classes + pred[i]] += 1;
}

/* dst = src past the caches (or through them with `through` set): what a kernel that reads its input
 * once and writes an output of its size cannot beat. Precondition: both are 64-byte aligned. */
void copy_buffer(uint8_t* dst, const uint8_t* src, int64_t size, int32_t threads, int32_t through)
{
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int32_t thread = 0; thread < threads; ++thread) {
        const int64_t begin = size / LANE_BYTES * thread / threads * LANE_BYTES;
        const int64_t end =
            thread + 1 == threads ? size : size / LANE_BYTES * (thread + 1) / threads * LANE_BYTES;
        int64_t at = begin;
#if defined(__AVX512F__)
        if (!through)
            for (; at + LANE_BYTES <= end; at += LANE_BYTES)
                _mm512_stream_si512((void*)(dst + at), _mm512_loadu_si512(src + at));
#elif defined(__AVX__)
        if (!through)
            for (; at + 32 <= end; at += 32)
                _mm256_stream_si256((__m256i*)(dst + at),
                                    _mm256_loadu_si256((const __m256i*)(src + at)));
#endif
        memcpy(dst + at, src + at, (size_t)(end - at));
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

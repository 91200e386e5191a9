// Where 2x2x2 blocks of a label map hold unequal labels, 64 blocks at a time.
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
    // Nothing may be read before the first pixel: its word is that of the next pixels, moved.
    const std::uint64_t first =
        n > 64 ? unequal(x + 1, x) << 1 : changes_at_edge(x, std::int64_t{64}, false);
    Comparison found = {first | std::uint64_t{row.closed && x[0] != static_cast<T>(row.outside)},
                        unequal(x, y), unequal(x, z)};
    any |= keep(row, 0, found);
    std::int64_t i = 64;
    for (; i + 64 <= n; i += 64) {
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

}  // namespace

extern const SurfaceKernels kSurfaceKernels;
const SurfaceKernels kSurfaceKernels = {{find_mixed<std::uint8_t>, find_mixed<std::uint16_t>,
                                         find_mixed<std::uint32_t>, find_mixed<std::uint64_t>}};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

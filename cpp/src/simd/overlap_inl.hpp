// The inner loops of the overlap table; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage.

#include "simd/edges_inl.hpp"
#include "simd/overlap_kernels.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

template <class T>
std::int64_t list_masked_runs(const T* pred, const T* target, const std::uint8_t* mask,
                              std::int64_t n, bool has_previous, std::uint16_t* starts) {
    std::int64_t count = 0;
    for_each_mask(pred, target, n, has_previous, [&](std::uint64_t edges, std::int64_t i) {
        const bool previous = has_previous || i > 0;
        edges |= previous && i + 64 <= n
                     ? changes(mask + i)
                     : changes_at_edge(mask + i, n - i < 64 ? n - i : 64, previous);
        count += append_positions(edges, i, starts + count);
    });
    starts[count] = static_cast<std::uint16_t>(n);
    return count;
}

template <class T>
std::int64_t list_segments(const void* pred_data, const void* target_data, const std::uint8_t* mask,
                           std::int64_t n, bool has_previous, std::uint16_t* starts) {
    const auto* pred = static_cast<const T*>(pred_data);
    const auto* target = static_cast<const T*>(target_data);
    if (mask != nullptr) return list_masked_runs(pred, target, mask, n, has_previous, starts);
    return list_runs(pred, target, n, has_previous, starts);
}

}  // namespace

extern const OverlapKernels kOverlapKernels;
const OverlapKernels kOverlapKernels = {
    {list_segments<std::uint8_t>, list_segments<std::uint16_t>, list_segments<std::uint32_t>,
     list_segments<std::uint64_t>},
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

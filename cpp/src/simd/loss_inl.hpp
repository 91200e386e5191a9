// The inner loops of the losses; included once per instruction set, with SEGMETER_SIMD_NAMESPACE
// naming the level. Everything but the function tables has internal linkage.
//
// Notation: x logit, m largest logit of the pixel, e = exp(x - m), s their sum, p = e / s, t the
// labelled class. 1 - p[t] is the sum of the other e over s and log p[t] comes from log1p of sums
// without the largest, so that neither cancels where a network is sure of itself.
//
// A sum runs over lanes first; its order depends on the tile alone, or, for logarithms that are
// taken of products, on the run. Tiles are float32 sums of four pixels per lane; the driver turns
// lanes into float64 after a few tiles.

#include "simd/loss_channels_inl.hpp"
#include "simd/loss_dense_inl.hpp"
#include "simd/loss_errors_inl.hpp"
#include "simd/loss_kernels.hpp"
#include "simd/loss_labels_inl.hpp"
#if !defined(SEGMETER_LOSS_DOUBLE)
#include "simd/loss_reading_inl.hpp"
#endif

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

void count_labels(const Tile& run, Real* target) {
    const LabelRow weights{run.weight, target};
    if (run.plain)
        book(run.label, run.tiles, target, 0, nullptr);
    else
        book(run.label, run.tiles, nullptr, 1, &weights);
}

void flush(Real* lanes, std::int64_t n, double* sums) {
    for (std::int64_t i = 0; i < n; ++i) {
        add_to_doubles(sums + 8 * i, load(lanes + kLossLanes * i));
        store(lanes + kLossLanes * i, zero());
    }
}

}  // namespace

extern const LossKernels<Real> kLossKernels;
const LossKernels<Real> kLossKernels = {softmax_labels, softmax_dense, channelwise, chances,
                                        errors,         pull_back,     levels,      count_levels,
                                        look_up_levels, count_labels,  flush};

#if !defined(SEGMETER_LOSS_DOUBLE)
extern const HalfKernels kHalfKernels;
const HalfKernels kHalfKernels = {from_half, to_half, from_bfloat, to_bfloat};
extern const LabelKernels kLabelKernels;
const LabelKernels kLabelKernels = {{read_labels<std::uint8_t>, read_labels<std::uint16_t>,
                                     read_labels<std::uint32_t>, read_labels<std::uint64_t>}};
#endif

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE

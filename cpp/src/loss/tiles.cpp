#include "loss/tiles.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <type_traits>

namespace segmeter::loss {
namespace {

using simd::kLossTile;

constexpr std::align_val_t kAlignment{64};
// Tiles of one channel between the logits that are read and those that are asked for.
constexpr std::int64_t kTilesAhead = 32;

// Axes of a view that are pixels.
std::span<const std::int64_t> spatial(std::span<const std::int64_t> axes, bool channels) {
    return axes.subspan(channels ? 2 : 1);
}

Pixels pixels_of(const LossInput& input, std::span<const std::int64_t> gradient_strides) {
    const auto logits = spatial(input.logits.strides, true);
    const auto strides = [&](const ArrayView* view) {
        return view == nullptr ? logits : spatial(view->strides, false);
    };
    const std::array<std::span<const std::int64_t>, 5> all{
        logits, spatial(input.target.strides, input.dense), strides(input.mask),
        strides(input.pixel_weight),
        gradient_strides.empty() ? logits : spatial(gradient_strides, true)};
    return {spatial(input.logits.shape, true), all};
}

// Labels are 0 and 1 where one channel scores 1.
bool one_channel_of_two(const LossInput& input) {
    return input.logits.shape[1] == 1 && input.activation != Activation::kSoftmax;
}

template <class Real>
bool is_native(const LossInput& input) {
    const DType native = std::is_same_v<Real, double> ? DType::kFloat64 : DType::kFloat32;
    return input.logits.dtype == native && !input.logits.byte_swapped && !input.bfloat16;
}

bool is_multiple(std::span<const std::int64_t> strides, std::int64_t of) {
    return std::all_of(strides.begin(), strides.end(),
                       [of](std::int64_t stride) { return stride % of == 0; });
}

bool is_aligned(const void* data, std::size_t to) {
    return reinterpret_cast<std::uintptr_t>(data) % to == 0;
}

}  // namespace

template <class Real>
TileMemory<Real>::TileMemory(std::int64_t elements)
    : memory_(static_cast<Real*>(
          ::operator new(static_cast<std::size_t>(elements) * sizeof(Real), kAlignment))),
      next_(memory_.get()) {}

template <class Real>
void TileMemory<Real>::Free::operator()(Real* p) const {
    ::operator delete(p, kAlignment);
}

template <class Real>
std::int64_t TileBuffers<Real>::size(std::int64_t channels, bool dense) {
    return kLossTile * (channels * (dense ? 2 : 1) + 1);
}

template <class Real>
TileBuffers<Real>::TileBuffers(TileMemory<Real>& memory, std::int64_t channels, bool dense)
    : x(memory.take(kLossTile * channels)),
      y(dense ? memory.take(kLossTile * channels) : nullptr),
      weight(memory.take(kLossTile)) {}

template <class Real>
TileReader<Real>::TileReader(const LossInput& input, std::span<const std::int64_t> gradient_strides,
                             bool dense_tiles)
    : input_(input),
      dense_tiles_(dense_tiles),
      first_label_(one_channel_of_two(input) ? 1 : 0),
      pixels_(pixels_of(input, gradient_strides)),
      gradient_strides_(gradient_strides),
      logits_(elements_of<Real>(input.logits.dtype, input.logits.byte_swapped, input.bfloat16)),
      shares_(elements_of<Real>(input.target.dtype, input.target.byte_swapped, false)),
      contiguous_logits_(is_native<Real>(input) && pixels_.one_row() &&
                         pixels_.stride(kLogits) == sizeof(Real) &&
                         is_aligned(input.logits.data, sizeof(Real)) &&
                         is_multiple(input.logits.strides, sizeof(Real))),
      contiguous_gradient_(!gradient_strides.empty() && is_native<Real>(input) &&
                           pixels_.one_row() && pixels_.stride(kGradient) == sizeof(Real) &&
                           is_multiple(gradient_strides, sizeof(Real))) {
    if (contiguous_gradient_)
        direct_stride_ = gradient_strides[1] / static_cast<std::int64_t>(sizeof(Real));
    if (input.pixel_weight != nullptr)
        weights_ =
            elements_of<Real>(input.pixel_weight->dtype, input.pixel_weight->byte_swapped, false);
    if (input.dense) return;
    const std::int32_t classes = static_cast<std::int32_t>(channels()) + first_label_;
    labels_.emplace(input.target.dtype, input.target.byte_swapped, classes, first_label_);
    for (const std::int64_t label : input.ignored) {
        if (label < 0 || label >= classes) continue;
        ignored_inside_.resize(static_cast<std::size_t>(classes));
        ignored_inside_[static_cast<std::size_t>(label)] = true;
    }
}

template <class Real>
void TileReader<Real>::read_logits(std::int64_t sample, std::int64_t first, std::int64_t n,
                                   Real* x) const {
    const simd::HalfKernels& halves = half_kernels();
    pixels_.for_each_part(first, n, [&](std::int64_t pixel, std::int64_t to, std::int64_t count) {
        const std::byte* from = at(input_.logits, kLogits, sample, pixel);
        for (std::int64_t c = 0; c < channels(); ++c)
            logits_.read(from + c * input_.logits.strides[1], pixels_.stride(kLogits), count,
                         halves, x + c * kLossTile + to);
    });
    if (n == kLossTile) return;
    for (std::int64_t c = 0; c < channels(); ++c)
        std::fill(x + c * kLossTile + n, x + (c + 1) * kLossTile, Real{0});
}

template <class Real>
bool TileReader<Real>::read_mask(std::int64_t sample, std::int64_t first, std::int64_t n,
                                 TileBuffers<Real>& buffers) const {
    Real* weight = buffers.weight;
    if (!buffers.ones) std::fill_n(weight, kLossTile, Real{1});
    buffers.ones = n == kLossTile && input_.mask == nullptr && input_.pixel_weight == nullptr;
    std::fill(weight + n, weight + kLossTile, Real{0});
    if (input_.mask == nullptr) return true;
    bool whole = true;
    pixels_.for_each_part(first, n, [&](std::int64_t pixel, std::int64_t to, std::int64_t count) {
        const std::byte* from = at(*input_.mask, kMask, sample, pixel);
        for (std::int64_t i = 0; i < count; ++i) {
            if (from[i * pixels_.stride(kMask)] == std::byte{0}) continue;
            weight[to + i] = Real{0};
            whole = false;
        }
    });
    return whole;
}

template <class Real>
bool TileReader<Real>::read_labels(std::int64_t sample, std::int64_t first, std::int64_t n,
                                   TileBuffers<Real>& buffers, TileTally& tally) const {
    bool odd = false;
    const std::int64_t stride = pixels_.stride(kTarget);
    pixels_.for_each_part(first, n, [&](std::int64_t pixel, std::int64_t to, std::int64_t count) {
        odd |= (*labels_)(at(input_.target, kTarget, sample, pixel), stride, count,
                          buffers.label + to);
    });
    if (n < kLossTile) std::fill(buffers.label + n, buffers.label + kLossTile, -1);
    const bool whole = read_mask(sample, first, n, buffers);
    const bool plain = whole && !odd && ignored_inside_.empty();
    for (std::int64_t i = 0; i < n && !plain; ++i) {
        std::int32_t& label = buffers.label[i];
        bool out = buffers.weight[i] == Real{0};
        if (!out && label == kOddLabel) {
            const std::int64_t value = label_at(at(input_.target, kTarget, sample, first + i),
                                                input_.target.dtype, input_.target.byte_swapped);
            out = true;
            if (std::find(input_.ignored.begin(), input_.ignored.end(), value) ==
                    input_.ignored.end() &&
                tally.fault.kind == LossFault::Kind::kNone)
                tally.fault = {LossFault::Kind::kLabel, sample, 0, first + i};
        } else if (!out && !ignored_inside_.empty()) {
            const std::int64_t place = std::int64_t{label} + first_label_;
            out = ignored_inside_[static_cast<std::size_t>(place)];
        }
        if (!out) continue;
        buffers.weight[i] = Real{0};
        buffers.ones = false;
        label = -1;
    }
    return plain;
}

template <class Real>
void TileReader<Real>::spread_labels(TileBuffers<Real>& buffers) const {
    std::fill_n(buffers.y, channels() * kLossTile, Real{0});
    for (std::int64_t i = 0; i < kLossTile; ++i)
        if (buffers.label[i] >= 0) buffers.y[buffers.label[i] * kLossTile + i] = Real{1};
}

template <class Real>
void TileReader<Real>::read_dense(std::int64_t sample, std::int64_t first, std::int64_t n,
                                  TileBuffers<Real>& buffers, TileTally& tally) const {
    const simd::HalfKernels& halves = half_kernels();
    const ArrayView& target = input_.target;
    for (std::int64_t c = 0; c < channels(); ++c) {
        Real* row = buffers.y + c * kLossTile;
        pixels_.for_each_part(
            first, n, [&](std::int64_t pixel, std::int64_t to, std::int64_t count) {
                shares_.read(at(target, kTarget, sample, pixel) + c * target.strides[1],
                             pixels_.stride(kTarget), count, halves, row + to);
            });
        std::fill(row + n, row + kLossTile, Real{0});
        for (std::int64_t i = 0; i < n; ++i) {
            const bool fits = row[i] >= Real{0} && row[i] <= Real{1};
            if (fits) continue;
            row[i] = Real{0};
            if (buffers.weight[i] != Real{0} && tally.fault.kind == LossFault::Kind::kNone)
                tally.fault = {LossFault::Kind::kShare, sample, c, first + i};
        }
    }
}

template <class Real>
void TileReader<Real>::read_weights(std::int64_t sample, std::int64_t first, std::int64_t n,
                                    Real* weight, TileTally& tally) const {
    std::array<Real, kLossTile> factor;
    pixels_.for_each_part(first, n, [&](std::int64_t pixel, std::int64_t to, std::int64_t count) {
        weights_.read(at(*input_.pixel_weight, kWeight, sample, pixel), pixels_.stride(kWeight),
                      count, half_kernels(), factor.data() + to);
    });
    for (std::int64_t i = 0; i < n; ++i) {
        if (weight[i] == Real{0}) continue;
        weight[i] = factor[static_cast<std::size_t>(i)];
        tally.weight += static_cast<double>(weight[i]);
        const bool fits = weight[i] >= Real{0} && std::isfinite(weight[i]);
        if (fits) continue;
        weight[i] = Real{0};
        if (tally.fault.kind == LossFault::Kind::kNone)
            tally.fault = {LossFault::Kind::kWeight, sample, 0, first + i};
    }
}

template <class Real>
simd::LossTile<Real> TileReader<Real>::read(std::int64_t sample, std::int64_t first, std::int64_t n,
                                            bool with_logits, TileBuffers<Real>& buffers,
                                            TileTally& tally) const {
    simd::LossTile<Real> tile{buffers.x, kLossTile,      nullptr, nullptr,
                              nullptr,   buffers.weight, false,   1};
    bool whole = false;
    if (input_.dense) {
        whole = read_mask(sample, first, n, buffers);
        read_dense(sample, first, n, buffers, tally);
    } else {
        whole = read_labels(sample, first, n, buffers, tally);
        if (dense_tiles_) spread_labels(buffers);
    }
    if (dense_tiles_)
        tile.y = buffers.y;
    else
        tile.label = buffers.label;
    const auto counted = whole ? n : n - std::count(buffers.weight, buffers.weight + n, Real{0});
    tally.valid += counted;
    if (input_.pixel_weight != nullptr)
        read_weights(sample, first, n, buffers.weight, tally);
    else
        tally.weight += static_cast<double>(counted);
    tile.plain = whole && n == kLossTile && input_.pixel_weight == nullptr;
    if (!with_logits) return tile;
    if (contiguous_logits_ && n == kLossTile) {
        point_to_logits(sample, first, tile);
    } else {
        read_logits(sample, first, n, buffers.x);
    }
    return tile;
}

template <class Real>
void TileReader<Real>::point_to_logits(std::int64_t sample, std::int64_t first,
                                       simd::LossTile<Real>& tile) const {
    // Far enough ahead for memory to answer: as many pixels as a run has, or a few kibibytes of all
    // channels.
    const std::int64_t tiles =
        tile.tiles > 1 ? tile.tiles : std::max<std::int64_t>(2, kTilesAhead / channels());
    const std::int64_t ahead = kLossTile * tiles;
    tile.x = reinterpret_cast<const Real*>(at(input_.logits, kLogits, sample, first));
    tile.stride = input_.logits.strides[1] / static_cast<std::int64_t>(sizeof(Real));
    if (first + tile.tiles * kLossTile + ahead <= pixels_.count()) tile.next = tile.x + ahead;
}

template <class Real>
simd::LossTile<Real> TileReader<Real>::read_run(std::int64_t sample, std::int64_t first,
                                                std::int64_t n, TileBuffers<Real>& buffers,
                                                TileTally& tally) const {
    const std::int64_t tiles = std::min(n / kLossTile, longest_run());
    simd::LossTile<Real> run{nullptr, 0, nullptr, buffers.label, nullptr, buffers.weight, true, 0};
    if (tiles == 0 || !labels_ || dense_tiles_ || input_.mask != nullptr ||
        input_.pixel_weight != nullptr || !ignored_inside_.empty() || !contiguous_logits_)
        return run;
    if ((*labels_)(at(input_.target, kTarget, sample, first), pixels_.stride(kTarget),
                   tiles * kLossTile, buffers.label))
        return run;
    if (!buffers.ones) std::fill_n(buffers.weight, kLossTile, Real{1});
    buffers.ones = true;
    tally.valid += tiles * kLossTile;
    tally.weight += static_cast<double>(tiles * kLossTile);
    run.tiles = static_cast<int>(tiles);
    point_to_logits(sample, first, run);
    return run;
}

template <class Real>
Real* TileReader<Real>::direct(std::byte* gradient, std::int64_t sample, std::int64_t first,
                               std::int64_t n) const {
    if (n < kLossTile || !in_rows(gradient)) return nullptr;
    return reinterpret_cast<Real*>(gradient + sample * gradient_strides_[0] +
                                   pixels_.offset(kGradient, first));
}

template <class Real>
bool TileReader<Real>::in_rows(const std::byte* gradient) const {
    return contiguous_gradient_ && is_aligned(gradient, sizeof(Real));
}

template <class Real>
bool TileReader<Real>::streamable(const std::byte* gradient) const {
    return is_aligned(gradient, 64) && gradient_strides_[0] % 64 == 0 &&
           gradient_strides_[1] % 64 == 0;
}

template <class Real>
void TileReader<Real>::write(const Real* values, std::byte* gradient, std::int64_t sample,
                             std::int64_t first, std::int64_t n) const {
    const simd::HalfKernels& halves = half_kernels();
    pixels_.for_each_part(first, n, [&](std::int64_t pixel, std::int64_t from, std::int64_t count) {
        std::byte* to = gradient + sample * gradient_strides_[0] + pixels_.offset(kGradient, pixel);
        for (std::int64_t c = 0; c < channels(); ++c)
            logits_.write(values + c * kLossTile + from, count, halves,
                          to + c * gradient_strides_[1], pixels_.stride(kGradient));
    });
}

template class TileMemory<float>;
template class TileMemory<double>;
template struct TileBuffers<float>;
template struct TileBuffers<double>;
template class TileReader<float>;
template class TileReader<double>;

}  // namespace segmeter::loss

// Tiles of pixels out of arrays of any type and stride, as the kernels take them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "segmeter/loss.hpp"

#include "loss/elements.hpp"
#include "loss/pixels.hpp"
#include "simd/loss_kernels.hpp"

namespace segmeter::loss {

// Memory of one block's tiles, aligned to 64 bytes.
template <class Real>
class TileMemory {
   public:
    explicit TileMemory(std::int64_t elements);
    // The next n elements, a multiple of 16.
    Real* take(std::int64_t n) {
        Real* mine = next_;
        next_ += n;
        return mine;
    }

   private:
    struct Free {
        void operator()(Real* p) const;
    };
    std::unique_ptr<Real, Free> memory_;
    Real* next_;
};

// What the tiles of a block are read into.
template <class Real>
struct TileBuffers {
    TileBuffers(TileMemory<Real>& memory, std::int64_t channels, bool dense);
    static std::int64_t size(std::int64_t channels, bool dense);

    Real* x;
    Real* y;  // null for labels
    Real* weight;
    bool ones = false;  // all weights are 1, and stay so unless somebody writes there
    alignas(64) std::int32_t label[simd::kLossRun * simd::kLossTile];
};

// Counted pixels of the tiles read so far.
struct TileTally {
    std::int64_t valid = 0;
    double weight = 0.0;
    LossFault fault;
};

template <class Real>
class TileReader {
   public:
    // `gradient_strides`: of the gradient where one is written, else empty.
    TileReader(const LossInput& input, std::span<const std::int64_t> gradient_strides,
               bool dense_tiles);

    [[nodiscard]] std::int64_t samples() const { return input_.logits.shape[0]; }
    [[nodiscard]] std::int64_t channels() const { return input_.logits.shape[1]; }
    [[nodiscard]] std::int64_t pixels() const { return pixels_.count(); }
    [[nodiscard]] bool dense_tiles() const { return dense_tiles_; }

    // Pixels [first, first + n) of a sample, n <= kLossTile. Without `with_logits`, x stays unset.
    simd::LossTile<Real> read(std::int64_t sample, std::int64_t first, std::int64_t n,
                              bool with_logits, TileBuffers<Real>& buffers, TileTally& tally) const;

    // Tiles of a run.
    [[nodiscard]] std::int64_t longest_run() const {
        return input_.activation == Activation::kSoftmax ? simd::kSoftmaxRun : simd::kLossRun;
    }

    // As `read`, for as many whole tiles of [first, first + n) as fit a run, if there is a label
    // for each of their pixels and nothing else to heed; else no tile, and nothing is tallied.
    simd::LossTile<Real> read_run(std::int64_t sample, std::int64_t first, std::int64_t n,
                                  TileBuffers<Real>& buffers, TileTally& tally) const;

    // Where a tile's gradient may be written without a copy, else null.
    [[nodiscard]] Real* direct(std::byte* gradient, std::int64_t sample, std::int64_t first,
                               std::int64_t n) const;
    [[nodiscard]] std::int64_t direct_stride() const { return direct_stride_; }
    // Whether the gradient is of the sweep's type, with the pixels of a channel in one row.
    [[nodiscard]] bool in_rows(const std::byte* gradient) const;
    // Whether every tile can be written past the caches.
    [[nodiscard]] bool streamable(const std::byte* gradient) const;

    // Writes a tile of gradient (channel c at values + c * kLossTile).
    void write(const Real* values, std::byte* gradient, std::int64_t sample, std::int64_t first,
               std::int64_t n) const;

   private:
    enum Array : std::size_t { kLogits, kTarget, kMask, kWeight, kGradient, kArrays };

    [[nodiscard]] const std::byte* at(const ArrayView& view, Array array, std::int64_t sample,
                                      std::int64_t pixel) const {
        return view.data + sample * view.strides[0] + pixels_.offset(array, pixel);
    }
    void read_logits(std::int64_t sample, std::int64_t first, std::int64_t n, Real* x) const;
    // Both return whether all n pixels count.
    bool read_labels(std::int64_t sample, std::int64_t first, std::int64_t n,
                     TileBuffers<Real>& buffers, TileTally& tally) const;
    bool read_mask(std::int64_t sample, std::int64_t first, std::int64_t n,
                   TileBuffers<Real>& buffers) const;
    void read_dense(std::int64_t sample, std::int64_t first, std::int64_t n,
                    TileBuffers<Real>& buffers, TileTally& tally) const;
    void read_weights(std::int64_t sample, std::int64_t first, std::int64_t n, Real* weight,
                      TileTally& tally) const;
    void spread_labels(TileBuffers<Real>& buffers) const;
    // Lets a tile or run have its logits where they lie.
    void point_to_logits(std::int64_t sample, std::int64_t first, simd::LossTile<Real>& tile) const;

    LossInput input_;
    bool dense_tiles_;
    std::int32_t first_label_;  // that has a channel
    Pixels pixels_;
    std::span<const std::int64_t> gradient_strides_;
    Elements<Real> logits_;
    Elements<Real> shares_;
    Elements<Real> weights_{};
    std::optional<LabelReader> labels_;
    std::vector<bool> ignored_inside_;  // by class, where a class is ignored; else empty
    bool contiguous_logits_;
    bool contiguous_gradient_;
    std::int64_t direct_stride_ = 0;
};

}  // namespace segmeter::loss

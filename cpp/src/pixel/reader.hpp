// The arrays of one call, and the tiles of labels that the kernels get to see.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "segmeter/pixel.hpp"

#include "pixel/tiles.hpp"
#include "simd/pixel_kernels.hpp"

namespace segmeter {

// The inner loops of the SIMD level in use.
const simd::PixelKernels& kernels();

struct Job;

// One image, or all images as one: its arrays in walking order.
struct Pair {
    Pair(const Job& job, std::int64_t image);

    Walk walk;
    std::int64_t channel_stride;  // bytes between two channels of scores
};

constexpr std::size_t kTarget = 0;
constexpr std::size_t kPred = 1;  // labels, or channel 0 of scores

// The arrays and rules of one call, shared by its workers.
struct Job {
    const ArrayView& target;
    const ArrayView& pred;  // labels like target, or scores with a leading channel axis
    const ArrayView* mask;
    const ArrayView* weights;
    const LabelTable& pred_labels;
    const LabelTable& target_labels;
    const ConfusionOptions& options;
    std::optional<double> threshold = std::nullopt;

    [[nodiscard]] std::int64_t num_classes() const { return target_labels.num_classes(); }
    [[nodiscard]] bool from_scores() const { return is_float(pred.dtype); }
    [[nodiscard]] std::int64_t channels() const { return from_scores() ? pred.shape[0] : 0; }
    [[nodiscard]] bool by_threshold() const { return channels() == 1 && num_classes() == 2; }
    [[nodiscard]] std::int64_t images() const { return options.per_image ? target.shape[0] : 1; }
    [[nodiscard]] bool is_binary() const {
        return pred.dtype == DType::kBool && target.dtype == DType::kBool && mask == nullptr &&
               weights == nullptr;
    }
    // Type of pred's labels where they reach the kernel.
    [[nodiscard]] DType pred_label_type() const {
        if (!from_scores()) return pred.dtype;
        return channels() <= 256 ? DType::kUInt8 : DType::kUInt16;
    }
    // Bytes of a label in the kernel: the wider map's, and twice that to make room for "masked".
    [[nodiscard]] std::int64_t width() const {
        const std::int64_t widest = std::max(item_size(pred_label_type()), item_size(target.dtype));
        return mask == nullptr ? widest : std::min<std::int64_t>(8, 2 * widest);
    }
    [[nodiscard]] std::size_t mask_lane() const { return 2; }
    [[nodiscard]] std::size_t weights_lane() const { return mask == nullptr ? 2 : 3; }
};

struct Tile {
    const std::byte* pred;
    const std::byte* target;
    bool has_previous;
};

// Hands out tiles of labels of the kernel's width: the caller's own memory where it is contiguous
// and of that type, else copies in scratch.
class TileReader {
   public:
    explicit TileReader(const Job& job) : job_(job), width_(job.width()) {}

    // Pixels of a tile; at most simd::kTilePixels.
    [[nodiscard]] std::int64_t tile_pixels() const noexcept {
        if (job_.from_scores()) return simd::kScoreTilePixels;
        return simd::tile_bytes(job_.target.size() * width_) / width_;
    }
    // Whether both maps are read where they are, so that a tile may be as long as one likes.
    [[nodiscard]] bool reads_in_place(const Pair& pair) const {
        return !job_.from_scores() && is_in_place(pair, kPred) && is_in_place(pair, kTarget);
    }
    Tile read(const Pair& pair, std::int64_t begin, std::int64_t n);
    // Whether a score outside 0..1 was met where probabilities were promised.
    [[nodiscard]] bool met_improbable() const noexcept { return improbable_; }
    const double* weights(const Pair& pair, std::int64_t begin, std::int64_t n);

   private:
    [[nodiscard]] bool is_in_place(const Pair& pair, std::size_t lane) const;
    const std::byte* labels(const Pair& pair, std::size_t lane, std::int64_t begin, std::int64_t n,
                            std::vector<std::byte>& scratch);
    void apply_mask(const Pair& pair, std::int64_t begin, std::int64_t n);
    template <class Label>
    void mark_masked(const std::byte* flags, std::int64_t n);

    // Labels of a tile from its scores.
    const std::byte* decide(const Pair& pair, std::int64_t begin, std::int64_t n);
    template <class Score>
    std::byte* decide_as(const Pair& pair, std::int64_t begin, std::int64_t n);
    template <class Score>
    void over_threshold(const Score* scores, std::int64_t n, std::byte* out);
    template <class Score, class Label>
    void best_channel(const Pair& pair, std::int64_t begin, std::int64_t n, std::byte* out);
    template <class Score>
    const Score* channel(const Pair& pair, std::int64_t c, std::int64_t begin, std::int64_t n);
    template <class Score>
    [[nodiscard]] bool is_direct(const Pair& pair) const;

    const Job& job_;
    std::int64_t width_;
    bool improbable_ = false;
    std::vector<std::byte> pred_scratch_;
    std::vector<std::byte> target_scratch_;
    std::vector<std::byte> wide_scratch_;
    std::vector<std::byte> mask_scratch_;
    std::vector<std::byte> weights_scratch_;
    std::vector<std::byte> score_scratch_;
    std::vector<std::byte> best_scratch_;
};

}  // namespace segmeter

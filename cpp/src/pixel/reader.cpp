#include "pixel/reader.hpp"

#include <array>
#include <span>
#include <type_traits>

#include "segmeter/cpu.hpp"

#include "pixel/offsets.hpp"

namespace segmeter {

using simd::kSlack;

const simd::PixelKernels& kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kPixelKernels;
        case SimdLevel::kAvx2: return simd::avx2::kPixelKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kPixelKernels;
#endif
        default: return simd::baseline::kPixelKernels;
    }
}

// --- Pair ---

namespace {

ArrayView without_axis(const ArrayView& view, std::int64_t index, bool drop) {
    if (!drop) return view;
    ArrayView inner = view;
    inner.data += index * view.strides[0];
    inner.shape = view.shape.subspan(1);
    inner.strides = view.strides.subspan(1);
    return inner;
}

Walk walk_of(const Job& job, std::int64_t image) {
    const bool drop = job.options.per_image;
    const ArrayView pred = without_axis(job.pred, 0, job.from_scores());
    std::array<ArrayView, kMaxLanes> views{without_axis(job.target, image, drop),
                                           without_axis(pred, image, drop)};
    std::size_t count = 2;
    if (job.mask != nullptr) views[count++] = without_axis(*job.mask, image, drop);
    if (job.weights != nullptr) views[count++] = without_axis(*job.weights, image, drop);
    std::array<const ArrayView*, kMaxLanes> pointers{};
    for (std::size_t i = 0; i < count; ++i) pointers[i] = &views[i];
    return Walk(std::span(pointers).first(count));
}

}  // namespace

Pair::Pair(const Job& job, std::int64_t image)
    : walk(walk_of(job, image)), channel_stride(job.from_scores() ? job.pred.strides[0] : 0) {}

// --- TileReader ---

namespace {

// Room for n elements and what a vector load or store touches behind them.
std::byte* reserve(std::vector<std::byte>& scratch, std::int64_t n, std::int64_t width) {
    const auto size = static_cast<std::size_t>((n + kSlack) * width);
    if (scratch.size() < size) scratch.resize(size);
    return scratch.data();
}

template <class Score>
constexpr auto kItem = static_cast<std::int64_t>(sizeof(Score));

template <class Score, class Label>
simd::Argmax<Score, Label> choose_argmax() {
    const simd::PixelKernels& table = kernels();
    if constexpr (std::is_same_v<Score, float> && sizeof(Label) == 1)
        return table.argmax_float_8;
    else if constexpr (std::is_same_v<Score, float>)
        return table.argmax_float_16;
    else if constexpr (sizeof(Label) == 1)
        return table.argmax_double_8;
    else
        return table.argmax_double_16;
}

}  // namespace

Tile TileReader::read(const Pair& pair, std::int64_t begin, std::int64_t n) {
    const std::byte* pred =
        job_.from_scores() ? decide(pair, begin, n) : labels(pair, kPred, begin, n, pred_scratch_);
    const std::byte* target = labels(pair, kTarget, begin, n, target_scratch_);
    if (job_.mask != nullptr) apply_mask(pair, begin, n);
    return {pred, target, reads_in_place(pair) && begin > 0};
}

const double* TileReader::weights(const Pair& pair, std::int64_t begin, std::int64_t n) {
    auto* out = reserve(weights_scratch_, n, 8);
    gather(pair.walk, job_.weights_lane(), 0, begin, n,
           score_copier(job_.weights->dtype, job_.weights->byte_swapped, 8), 8, out);
    return reinterpret_cast<const double*>(out);
}

bool TileReader::is_in_place(const Pair& pair, std::size_t lane) const {
    const bool is_marked = lane == kTarget && job_.mask != nullptr;
    return item_size(pair.walk.lane(lane).dtype) == width_ && pair.walk.is_contiguous(lane) &&
           !is_marked;
}

const std::byte* TileReader::labels(const Pair& pair, std::size_t lane, std::int64_t begin,
                                    std::int64_t n, std::vector<std::byte>& scratch) {
    const Lane& source = pair.walk.lane(lane);
    if (is_in_place(pair, lane)) return source.data + begin * width_;
    std::byte* out = reserve(scratch, n, width_);
    gather(pair.walk, lane, 0, begin, n, label_copier(source.dtype, source.byte_swapped, width_),
           width_, out);
    return out;
}

template <class Label>
void TileReader::mark_masked(const std::byte* flags, std::int64_t n) {
    constexpr auto kMasked = static_cast<Label>(masked_label(sizeof(Label)));
    auto* target = reinterpret_cast<Label*>(target_scratch_.data());
    for (std::int64_t i = 0; i < n; ++i) {
        // Only a 64-bit label can equal the mark by itself; its neighbour is as invalid.
        const Label label = target[i] == kMasked ? static_cast<Label>(kMasked + 1) : target[i];
        target[i] = flags[i] != std::byte{0} ? kMasked : label;
    }
}

void TileReader::apply_mask(const Pair& pair, std::int64_t begin, std::int64_t n) {
    std::byte* flags = reserve(mask_scratch_, n, 1);
    gather(pair.walk, job_.mask_lane(), 0, begin, n, label_copier(DType::kBool, false, 1), 1,
           flags);
    switch (width_) {
        case 2: mark_masked<std::int16_t>(flags, n); break;
        case 4: mark_masked<std::int32_t>(flags, n); break;
        default: mark_masked<std::int64_t>(flags, n); break;
    }
}

template <class Score>
bool TileReader::is_direct(const Pair& pair) const {
    return item_size(job_.pred.dtype) == kItem<Score> && pair.walk.is_contiguous(kPred) &&
           pair.channel_stride % kItem<Score> == 0;
}

template <class Score>
const Score* TileReader::channel(const Pair& pair, std::int64_t c, std::int64_t begin,
                                 std::int64_t n) {
    const Lane& lane = pair.walk.lane(kPred);
    const std::int64_t offset = c * pair.channel_stride;
    if (is_direct<Score>(pair))
        return reinterpret_cast<const Score*>(lane.data + offset + begin * kItem<Score>);
    std::byte* out = reserve(score_scratch_, n, kItem<Score>);
    gather(pair.walk, kPred, offset, begin, n,
           score_copier(lane.dtype, lane.byte_swapped, kItem<Score>), kItem<Score>, out);
    return reinterpret_cast<const Score*>(out);
}

template <class Score>
void TileReader::over_threshold(const Score* scores, std::int64_t n, std::byte* out) {
    const auto edge = static_cast<Score>(job_.threshold.value_or(0.5));
    for (std::int64_t i = 0; i < n; ++i) out[i] = scores[i] > edge ? std::byte{1} : std::byte{0};
    if (job_.threshold) return;
    bool outside = false;
    for (std::int64_t i = 0; i < n; ++i) outside |= (scores[i] < Score{0}) | (scores[i] > Score{1});
    improbable_ |= outside;
}

template <class Score, class Label>
void TileReader::best_channel(const Pair& pair, std::int64_t begin, std::int64_t n,
                              std::byte* out) {
    auto* best = reinterpret_cast<Score*>(reserve(best_scratch_, n, sizeof(Score)));
    auto* label = reinterpret_cast<Label*>(out);
    const auto argmax = choose_argmax<Score, Label>();
    const std::int64_t channels = job_.channels();
    if (is_direct<Score>(pair)) {
        argmax(channel<Score>(pair, 0, begin, n), pair.channel_stride / kItem<Score>, 0, channels,
               n, best, label);
        return;
    }
    for (std::int64_t c = 0; c < channels; ++c)
        argmax(channel<Score>(pair, c, begin, n), 0, c, 1, n, best, label);
}

template <class Score>
std::byte* TileReader::decide_as(const Pair& pair, std::int64_t begin, std::int64_t n) {
    std::byte* out = reserve(pred_scratch_, n, 2);
    const std::int64_t channels = job_.channels();
    if (job_.by_threshold())
        over_threshold(channel<Score>(pair, 0, begin, n), n, out);
    else if (channels <= 256)
        best_channel<Score, std::uint8_t>(pair, begin, n, out);
    else
        best_channel<Score, std::uint16_t>(pair, begin, n, out);
    return out;
}

const std::byte* TileReader::decide(const Pair& pair, std::int64_t begin, std::int64_t n) {
    std::byte* out = job_.pred.dtype == DType::kFloat64 ? decide_as<double>(pair, begin, n)
                                                        : decide_as<float>(pair, begin, n);
    const DType type = job_.pred_label_type();
    if (item_size(type) == width_) return out;
    std::byte* wide = reserve(wide_scratch_, n, width_);
    label_copier(type, false, width_)(out, item_size(type), n, wide);
    return wide;
}

}  // namespace segmeter

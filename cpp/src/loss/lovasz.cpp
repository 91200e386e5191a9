// The Lovasz losses: per class, errors from the largest down, each weighed by what the Jaccard loss
// gains when its pixel goes wrong too.
//
// Either by sorting (three passes of a radix sort over float32 errors; those of the background
// below the smallest one of the foreground gain nothing and are left out), or by counting errors
// of 65,536 levels. Sums of the walk are float64.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "segmeter/loss.hpp"
#include "segmeter/parallel.hpp"

#include "loss/rules.hpp"
#include "loss/tiles.hpp"

namespace segmeter {
namespace {

using loss::TileBuffers;
using loss::TileMemory;
using loss::TileReader;
using loss::TileTally;
using simd::kErrorLevels;
using simd::kLossTile;

// Groups of fewer pixels are sorted: their levels would take longer.
constexpr std::int64_t kFewPixels = 32768;
constexpr std::int64_t kTilesPerBlock = 128;
// Bytes of the counts of levels, of all threads.
constexpr std::int64_t kMostCountBytes = std::int64_t{256} << 20;
constexpr std::int64_t kCodes = std::int64_t{2} * kErrorLevels;

// The walk down the errors of a class with `total` pixels of foreground.
class Jaccard {
   public:
    explicit Jaccard(std::int64_t total) : total_(static_cast<double>(total)) {}

    struct Slopes {
        double gain;        // of the whole step
        double foreground;  // of one of its pixels
        double background;
    };
    // Takes in pixels of equal errors.
    Slopes step(std::int64_t foreground, std::int64_t background) {
        const auto f = static_cast<double>(foreground);
        const auto b = static_cast<double>(background);
        const double before = loss(foreground_, background_);
        const double after = loss(foreground_ + f, background_ + b);
        const double foreground_first = loss(foreground_ + f, background_);
        const double background_first = loss(foreground_, background_ + b);
        foreground_ += f;
        background_ += b;
        // Each order gives slopes that are valid; so does their mean.
        const double of_foreground =
            0.5 * ((foreground_first - before) + (after - background_first));
        const double of_background =
            0.5 * ((background_first - before) + (after - foreground_first));
        return {after - before, foreground == 0 ? 0.0 : of_foreground / f,
                background == 0 ? 0.0 : of_background / b};
    }

   private:
    // One minus intersection over union when so many pixels are wrong.
    [[nodiscard]] double loss(double foreground, double background) const {
        const double united = total_ + background;
        return united == 0.0 ? 0.0 : 1.0 - (total_ - foreground) / united;
    }

    double total_;
    double foreground_ = 0.0;
    double background_ = 0.0;
};

// --- sorting ---

template <class Real>
struct Item {
    std::conditional_t<std::is_same_v<Real, double>, std::uint64_t, std::uint32_t> error;
    std::uint32_t pixel;  // twice its number, plus one for the foreground
};

// From the largest error down, in place; `spare` is as long.
void sort_down(std::vector<Item<double>>& items, std::vector<Item<double>>&) {
    std::sort(items.begin(), items.end(), [](const Item<double>& a, const Item<double>& b) {
        return a.error != b.error ? a.error > b.error : a.pixel < b.pixel;
    });
}

void sort_down(std::vector<Item<float>>& items, std::vector<Item<float>>& spare) {
    constexpr int kBits = 11;
    constexpr std::size_t kSlots = std::size_t{1} << kBits;
    constexpr std::uint32_t kMask = kSlots - 1;
    std::array<std::array<std::uint32_t, kSlots>, 3> first{};
    for (const Item<float>& item : items)
        for (std::size_t pass = 0; pass < 3; ++pass)
            ++first[pass][kMask - ((item.error >> (kBits * pass)) & kMask)];
    spare.resize(items.size());
    for (std::size_t pass = 0; pass < 3; ++pass) {
        std::uint32_t sum = 0;
        for (std::uint32_t& slot : first[pass]) sum += std::exchange(slot, sum);
        for (const Item<float>& item : items)
            spare[first[pass][kMask - ((item.error >> (kBits * pass)) & kMask)]++] = item;
        items.swap(spare);
    }
}

// --- one call ---

template <class Real>
class Lovasz {
   public:
    Lovasz(const LossInput& input, const LovaszOptions& options, const double* weights,
           double* values, std::byte* gradient, std::span<const std::int64_t> strides)
        : input_(input),
          options_(options),
          weights_(weights),
          values_(values),
          gradient_(gradient),
          rule_(loss::rule_of<Real>(input)),
          reader_(input, gradient == nullptr ? std::span<const std::int64_t>{} : strides,
                  input.dense),
          group_samples_(options.per_sample ? 1 : reader_.samples()),
          tiles_per_sample_((reader_.pixels() + kLossTile - 1) / kLossTile),
          threads_(thread_count(input.threads, 4 * input.logits.size())) {
        rule_.hinge = options.hinge;
        if (options.hinge) rule_.softmax = false;
    }

    LossFault run() {
        const std::int64_t groups = group_samples_ == 0 ? 0 : reader_.samples() / group_samples_;
        const std::int64_t group_pixels = group_samples_ * reader_.pixels();
        if (group_pixels > std::numeric_limits<std::int32_t>::max())
            throw std::length_error("a group of a Lovasz loss has at most 2^31 - 1 pixels");
        for (std::int64_t group = 0; group < groups; ++group) {
            const bool sorted = std::is_same_v<Real, double> || options_.exact || options_.hinge ||
                                group_pixels < kFewPixels;
            if (sorted)
                sort_group(group);
            else
                count_group(group);
        }
        return fault_;
    }

   private:
    // Memory of a thread's tile; what points into it comes after it.
    // NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
    struct Workplace {
        explicit Workplace(std::int64_t channels, bool dense)
            : memory(TileBuffers<Real>::size(channels, dense) + 3 * channels * kLossTile),
              buffers(memory, channels, dense),
              p(memory.take(channels * kLossTile)),
              by_p(memory.take(channels * kLossTile)),
              indirect(memory.take(channels * kLossTile)) {}
        TileMemory<Real> memory;
        TileBuffers<Real> buffers;
        Real* p;
        Real* by_p;
        Real* indirect;
        TileTally tally;
    };

    [[nodiscard]] std::int64_t channels() const { return reader_.channels(); }
    [[nodiscard]] double weight(std::int64_t group, std::int64_t channel) const {
        return weights_[group * channels() + channel];
    }

    // Calls visit(part, tile, sample, first, n, workplace) for every tile of a group, in `parts`
    // parts.
    template <class Visit>
    void for_each_tile(std::int64_t group, std::int64_t parts, Visit&& visit) {
        const std::int64_t tiles = group_samples_ * tiles_per_sample_;
        std::vector<LossFault> faults(static_cast<std::size_t>(parts));
        run_blocks(parts, threads_, [&](std::int64_t part) {
            [[maybe_unused]] const loss::FlushDenormals flush_denormals;
            Workplace place(channels(), reader_.dense_tiles());
            for (std::int64_t t = tiles * part / parts; t < tiles * (part + 1) / parts; ++t) {
                const std::int64_t sample = group * group_samples_ + t / tiles_per_sample_;
                const std::int64_t first = t % tiles_per_sample_ * kLossTile;
                const std::int64_t n = std::min<std::int64_t>(kLossTile, reader_.pixels() - first);
                const simd::LossTile<Real> tile =
                    reader_.read(sample, first, n, true, place.buffers, place.tally);
                loss::kernels_of<Real>().chances(tile, rule_, place.p);
                visit(part, tile, sample, first, n, place);
            }
            faults[static_cast<std::size_t>(part)] = place.tally.fault;
        });
        for (const LossFault& fault : faults)
            if (fault_.kind == LossFault::Kind::kNone) fault_ = fault;
    }

    [[nodiscard]] std::int64_t parts() const {
        const std::int64_t tiles = group_samples_ * tiles_per_sample_;
        return std::max<std::int64_t>(1, (tiles + kTilesPerBlock - 1) / kTilesPerBlock);
    }

    // Writes the gradient of a tile from that by the probabilities, in place.by_p.
    void write_gradient(const simd::LossTile<Real>& tile, std::int64_t sample, std::int64_t first,
                        std::int64_t n, const Workplace& place) const {
        const auto pull_back = loss::kernels_of<Real>().pull_back;
        if (Real* direct = reader_.direct(gradient_, sample, first, n); direct != nullptr) {
            pull_back(tile, rule_, place.p, place.by_p, {direct, reader_.direct_stride(), false});
            return;
        }
        pull_back(tile, rule_, place.p, place.by_p, {place.indirect, kLossTile, false});
        reader_.write(place.indirect, gradient_, sample, first, n);
    }

    // --- by sorting ---

    // Where the errors of a class in one sample are kept.
    [[nodiscard]] Real* errors_of(std::int64_t sample_in_group, std::int64_t channel) const {
        return errors_.get() + (sample_in_group * channels() + channel) * reader_.pixels();
    }

    void sort_group(std::int64_t group) {
        if (errors_ == nullptr)
            errors_ = std::make_unique_for_overwrite<Real[]>(
                static_cast<std::size_t>(group_samples_ * channels() * reader_.pixels()));
        const std::int64_t begin = group * group_samples_;
        for_each_tile(group, parts(),
                      [&](std::int64_t, const simd::LossTile<Real>& tile, std::int64_t sample,
                          std::int64_t first, std::int64_t n, Workplace& place) {
                          loss::kernels_of<Real>().errors(tile, rule_, place.p, place.by_p);
                          for (std::int64_t c = 0; c < channels(); ++c)
                              std::copy_n(place.by_p + c * kLossTile, n,
                                          errors_of(sample - begin, c) + first);
                      });
        run_blocks(channels(), threads_, [&](std::int64_t channel) { sort_class(group, channel); });
        if (gradient_ == nullptr) return;
        for_each_tile(group, parts(),
                      [&](std::int64_t, const simd::LossTile<Real>& tile, std::int64_t sample,
                          std::int64_t first, std::int64_t n, Workplace& place) {
                          for (std::int64_t c = 0; c < channels(); ++c)
                              std::copy_n(errors_of(sample - begin, c) + first, n,
                                          place.by_p + c * kLossTile);
                          write_gradient(tile, sample, first, n, place);
                      });
    }

    // Calls visit(error, pixel) for the counted pixels of a class; pixels are numbered through
    // the group.
    template <class Visit>
    void for_each_error(std::int64_t channel, Visit&& visit) const {
        for (std::int64_t s = 0; s < group_samples_; ++s) {
            const Real* errors = errors_of(s, channel);
            for (std::int64_t i = 0; i < reader_.pixels(); ++i)
                if (errors[i] != std::numeric_limits<Real>::infinity())
                    visit(errors[i], s * reader_.pixels() + i);
        }
    }

    // The value of a class; its errors become derivatives by the probabilities.
    void sort_class(std::int64_t group, std::int64_t channel) {
        double& value = values_[group * channels() + channel];
        value = 0.0;
        const double factor = weight(group, channel);
        std::int64_t foreground = 0;
        bool known = true;
        Real least = std::numeric_limits<Real>::infinity();
        if (factor != 0.0)
            for_each_error(channel, [&](Real error, std::int64_t) {
                known &= !std::isnan(error);
                if (!std::signbit(error)) return;
                ++foreground;
                least = std::min(least, -error);
            });
        // Without foreground the largest error is all that counts, but it takes a sort to share.
        if (foreground == 0) least = Real{0};
        std::vector<Item<Real>> items;
        if (factor != 0.0 && known) items = list_errors(channel, least);
        for (std::int64_t s = 0; s < group_samples_; ++s)
            clear_errors(errors_of(s, channel), factor != 0.0);
        if (!known) {
            value = std::numeric_limits<double>::quiet_NaN();
            return;
        }
        std::vector<Item<Real>> spare;
        sort_down(items, spare);
        value = walk(items, channel, foreground, factor);
    }

    // Errors become slopes of 0, but what is not known stays unknown where the class counts.
    void clear_errors(Real* errors, bool keep_unknown) const {
        for (std::int64_t i = 0; i < reader_.pixels(); ++i)
            if (!keep_unknown || !std::isnan(errors[i])) errors[i] = Real{0};
    }

    std::vector<Item<Real>> list_errors(std::int64_t channel, Real least) const {
        std::vector<Item<Real>> items;
        items.reserve(static_cast<std::size_t>(group_samples_ * reader_.pixels()) / 4);
        for_each_error(channel, [&](Real error, std::int64_t pixel) {
            const bool is = std::signbit(error);
            const Real size = std::abs(error);
            if (size < least) return;
            items.push_back({std::bit_cast<decltype(Item<Real>::error)>(size),
                             static_cast<std::uint32_t>(2 * pixel + (is ? 1 : 0))});
        });
        return items;
    }

    double walk(const std::vector<Item<Real>>& items, std::int64_t channel, std::int64_t foreground,
                double factor) const {
        Jaccard jaccard(foreground);
        double value = 0.0;
        for (std::size_t i = 0; i < items.size();) {
            std::size_t end = i;
            std::int64_t kind[2] = {0, 0};
            for (; end < items.size() && items[end].error == items[i].error; ++end)
                ++kind[items[end].pixel & 1];
            const auto slopes = jaccard.step(kind[1], kind[0]);
            const auto error = static_cast<double>(std::bit_cast<Real>(items[i].error));
            value += error * slopes.gain;
            // The hinge has no slope where it is met.
            const bool flat = options_.hinge && error == 0.0;
            const auto down = static_cast<Real>(flat ? 0.0 : -factor * slopes.foreground);
            const auto up = static_cast<Real>(flat ? 0.0 : factor * slopes.background);
            for (; i < end; ++i) {
                const std::int64_t pixel = items[i].pixel / 2;
                errors_of(pixel / reader_.pixels(), channel)[pixel % reader_.pixels()] =
                    (items[i].pixel & 1) != 0 ? down : up;
            }
        }
        return value;
    }

    // --- by levels ---

    void count_group(std::int64_t group) {
        if constexpr (std::is_same_v<Real, float>) {
            const std::int64_t bytes = channels() * kCodes * std::int64_t{4};
            const std::int64_t parts_at_once =
                std::clamp<std::int64_t>(kMostCountBytes / bytes, 1, threads_);
            counts_.assign(static_cast<std::size_t>(parts_at_once * channels() * kCodes), 0U);
            std::vector<TileTally> tallies(static_cast<std::size_t>(parts_at_once));
            std::vector<char> unknown(static_cast<std::size_t>(parts_at_once));
            for_each_tile(
                group, parts_at_once,
                [&](std::int64_t part, const simd::LossTile<float>& tile, std::int64_t,
                    std::int64_t, std::int64_t, Workplace& place) {
                    const auto at = static_cast<std::size_t>(part);
                    unknown[at] |= static_cast<char>(loss::kernels_of<float>().count_levels(
                        tile, rule_, place.p, counts_.data() + part * channels() * kCodes));
                    tallies[at].valid = place.tally.valid;
                });
            std::int64_t valid = 0;
            bool known = true;
            for (std::size_t part = 0; part < tallies.size(); ++part) {
                valid += tallies[part].valid;
                known &= unknown[part] == 0;
            }
            run_blocks(channels(), threads_, [&](std::int64_t channel) {
                double& value = values_[group * channels() + channel];
                value = walk_levels(channel, valid, parts_at_once, weight(group, channel));
                if (!known && weight(group, channel) != 0.0)
                    value = std::numeric_limits<double>::quiet_NaN();
            });
            if (gradient_ == nullptr) return;
            for_each_tile(group, parts(),
                          [&](std::int64_t, const simd::LossTile<float>& tile, std::int64_t sample,
                              std::int64_t first, std::int64_t n, Workplace& place) {
                              loss::kernels_of<float>().look_up_levels(tile, rule_, place.p,
                                                                       counts_.data(), place.by_p);
                              write_gradient(tile, sample, first, n, place);
                          });
        } else {
            (void)group;
        }
    }

    // The value of a class from the counts of its levels. Its first counts become the derivatives
    // by the probability of such errors: what a table of their own would take is saved.
    double walk_levels(std::int64_t channel, std::int64_t valid, std::int64_t parts,
                       double factor) {
        std::uint32_t* counts = counts_.data() + channel * kCodes;
        if (factor == 0.0) {
            std::fill_n(counts, kCodes, 0U);
            return 0.0;
        }
        for (std::int64_t part = 1; part < parts; ++part) {
            const std::uint32_t* more = counts + part * channels() * kCodes;
            for (std::int64_t i = 0; i < kCodes; ++i) counts[i] += more[i];
        }
        std::int64_t counted = 0;
        std::int64_t foreground = 0;
        for (std::int64_t level = 0; level < kErrorLevels; ++level) {
            counted += counts[2 * level];
            foreground += counts[2 * level + 1];
        }
        // Level 0 of the background is what was not counted.
        counts[0] = static_cast<std::uint32_t>(valid - counted - foreground);
        Jaccard jaccard(foreground);
        double value = 0.0;
        for (std::int64_t level = kErrorLevels - 1; level >= 0; --level) {
            std::uint32_t* both = counts + 2 * level;
            if (both[0] == 0 && both[1] == 0) continue;
            const auto slopes = jaccard.step(both[1], both[0]);
            value += static_cast<double>(level) / (kErrorLevels - 1) * slopes.gain;
            both[0] = std::bit_cast<std::uint32_t>(static_cast<float>(factor * slopes.background));
            both[1] = std::bit_cast<std::uint32_t>(static_cast<float>(-factor * slopes.foreground));
        }
        return value;
    }

    const LossInput& input_;
    const LovaszOptions& options_;
    const double* weights_;
    double* values_;
    std::byte* gradient_;
    simd::LossRule<Real> rule_;
    TileReader<Real> reader_;
    std::int64_t group_samples_;
    std::int64_t tiles_per_sample_;
    int threads_;
    LossFault fault_;
    std::unique_ptr<Real[]> errors_;
    std::vector<std::uint32_t> counts_;
};

}  // namespace

LossFault lovasz(const LossInput& input, const LovaszOptions& options, const double* weights,
                 double* values, std::byte* gradient, std::span<const std::int64_t> strides) {
    if (loss::in_float64(input) && !(options.hinge && input.logits.dtype != DType::kFloat64))
        return Lovasz<double>(input, options, weights, values, gradient, strides).run();
    return Lovasz<float>(input, options, weights, values, gradient, strides).run();
}

}  // namespace segmeter

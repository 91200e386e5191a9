// The Lovasz losses: per class, errors from the largest down, each weighed by what the Jaccard loss
// gains when its pixel goes wrong too.
//
// One sweep writes the errors of all pixels, class by class, to where the gradient will be; each
// class is ranked there on its own, and its errors replaced by the derivative by the probability;
// a second sweep makes the gradient of these, in place. Ranked is either by sorting (the errors are
// dealt into 2,048 ranges by their leading bits, and each range is sorted; those of the background
// below the smallest one of the foreground gain nothing and are left out), or by counting errors of
// 65,536 levels. Sums of the walk are float64, range by range.
//
// Memory beside the gradient: counts of levels, 1/2 MiB a thread; sorted, 8 bytes per error of a
// class, and as much for the range that a thread sorts. Without a gradient, or where it is no
// contiguous memory of the sweep's type, the errors take an array of the logits' size.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
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
// So few are sorted as one range.
constexpr std::int64_t kOneRange = 4096;
constexpr std::int64_t kTilesPerBlock = 128;
constexpr std::int64_t kCodes = std::int64_t{2} * kErrorLevels;
// Pixels that a thread deals at a time, and blocks of them that there are at most.
constexpr std::int64_t kDealtPixels = 65536;
constexpr std::int64_t kMostDealt = 64;
constexpr std::int64_t kRanges = 2048;

// The walk down the errors of a class with `total` pixels of foreground, from where so many of both
// kinds are wrong already.
class Jaccard {
   public:
    Jaccard(std::int64_t total, std::int64_t foreground, std::int64_t background)
        : total_(static_cast<double>(total)),
          foreground_(static_cast<double>(foreground)),
          background_(static_cast<double>(background)),
          now_(loss(foreground_, background_)) {}

    struct Slopes {
        double gain;        // of the whole step
        double foreground;  // of one of its pixels
        double background;
    };
    // Takes in pixels of equal errors.
    Slopes step(std::int64_t foreground, std::int64_t background) {
        const auto f = static_cast<double>(foreground);
        const auto b = static_cast<double>(background);
        const double before = now_;
        now_ = loss(foreground_ + f, background_ + b);
        const double gain = now_ - before;
        Slopes slopes{gain, 0.0, 0.0};
        if (background == 0) {
            slopes.foreground = gain / f;
        } else if (foreground == 0) {
            slopes.background = gain / b;
        } else {
            const double foreground_first = loss(foreground_ + f, background_);
            const double background_first = loss(foreground_, background_ + b);
            // Each order gives slopes that are valid; so does their mean.
            slopes.foreground = 0.5 * ((foreground_first - before) + (now_ - background_first)) / f;
            slopes.background = 0.5 * ((background_first - before) + (now_ - foreground_first)) / b;
        }
        foreground_ += f;
        background_ += b;
        return slopes;
    }

   private:
    // One minus intersection over union when so many pixels are wrong.
    [[nodiscard]] double loss(double foreground, double background) const {
        const double united = total_ + background;
        return united == 0.0 ? 0.0 : 1.0 - (total_ - foreground) / united;
    }

    double total_;
    double foreground_;
    double background_;
    double now_;
};

// --- sorting ---

template <class Real>
struct Item {
    using Bits = std::conditional_t<std::is_same_v<Real, double>, std::uint64_t, std::uint32_t>;
    Bits error;
    std::uint32_t pixel;  // twice its number in the group, plus one for the foreground
};

// Leading bits by which errors are dealt into ranges, the largest first.
template <class Real>
std::size_t range_of(typename Item<Real>::Bits error) {
    return static_cast<std::size_t>(kRanges - 1) -
           static_cast<std::size_t>(error >> (sizeof(Real) == 8 ? 52 : 20));
}

// One range from the largest error down, in place. Equal errors may come in any order.
template <class Real>
void sort_down(std::span<Item<Real>> items) {
    const auto larger = [](const Item<Real>& a, const Item<Real>& b) { return a.error > b.error; };
    constexpr std::size_t kFew = 128;
    if (sizeof(Real) == 8 || items.size() <= kFew) {
        std::sort(items.begin(), items.end(), larger);
        return;
    }
    // The leading bits are the same: two passes over the other twenty.
    constexpr int kBits = 10;
    constexpr std::size_t kSlots = std::size_t{1} << kBits;
    constexpr std::uint32_t kMask = kSlots - 1;
    const auto slot_of = [](const Item<Real>& item, int pass) {
        return kMask - (static_cast<std::uint32_t>(item.error >> (kBits * pass)) & kMask);
    };
    std::array<std::array<std::uint32_t, kSlots>, 2> first{};
    for (const Item<Real>& item : items)
        for (int pass = 0; pass < 2; ++pass)
            ++first[static_cast<std::size_t>(pass)][slot_of(item, pass)];
    for (auto& slots : first) {
        std::uint32_t sum = 0;
        for (std::uint32_t& slot : slots) sum += std::exchange(slot, sum);
    }
    const auto spare = std::make_unique_for_overwrite<Item<Real>[]>(items.size());
    for (const Item<Real>& item : items) spare[first[0][slot_of(item, 0)]++] = item;
    for (std::size_t i = 0; i < items.size(); ++i)
        items[first[1][slot_of(spare[i], 1)]++] = spare[i];
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
        if (gradient != nullptr && reader_.in_rows(gradient)) {
            constexpr auto kSize = static_cast<std::int64_t>(sizeof(Real));
            errors_ = reinterpret_cast<Real*>(gradient);
            of_channel_ = strides[1] / kSize;
            of_sample_ = strides[0] / kSize;
            of_group_ = group_samples_ * of_sample_;
        } else {
            of_channel_ = reader_.pixels();
            of_sample_ = channels() * of_channel_;
            own_ = std::make_unique_for_overwrite<Real[]>(
                static_cast<std::size_t>(group_samples_ * of_sample_));
            errors_ = own_.get();
        }
    }

    LossFault run() {
        const std::int64_t groups = group_samples_ == 0 ? 0 : reader_.samples() / group_samples_;
        if (group_pixels() > std::numeric_limits<std::int32_t>::max())
            throw std::length_error("a group of a Lovasz loss has at most 2^31 - 1 pixels");
        for (std::int64_t group = 0; group < groups; ++group) run_group(group);
        return fault_;
    }

   private:
    using Bits = typename Item<Real>::Bits;

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
    [[nodiscard]] std::int64_t group_pixels() const { return group_samples_ * reader_.pixels(); }
    [[nodiscard]] double weight(std::int64_t group, std::int64_t channel) const {
        return weights_[group * channels() + channel];
    }

    // Calls visit(part, tile, sample, first, n, workplace) for every tile of a group, the sample
    // counted from its first.
    template <class Visit>
    void for_each_tile(std::int64_t group, Visit&& visit) {
        const std::int64_t tiles = group_samples_ * tiles_per_sample_;
        const std::int64_t parts = this->parts();
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
                visit(part, tile, sample - group * group_samples_, first, n, place);
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

    // Where the errors of a class in one sample of a group are kept.
    [[nodiscard]] Real* errors_of(std::int64_t group, std::int64_t sample,
                                  std::int64_t channel) const {
        return errors_ + group * of_group_ + sample * of_sample_ + channel * of_channel_;
    }

    void run_group(std::int64_t group) {
        const bool sorted = std::is_same_v<Real, double> || options_.exact || options_.hinge ||
                            group_pixels() < kFewPixels;
        const std::int64_t valid = write_errors(group, sorted);
        // Classes side by side, or the pixels of a class, where there are not enough of them.
        const bool apart = !sorted || channels() >= threads_;
        run_blocks(channels(), apart ? threads_ : 1, [&](std::int64_t channel) {
            const ClassOf of{group, channel, weight(group, channel)};
            values_[group * channels() + channel] =
                sorted ? rank(of, apart ? 1 : threads_) : rank_levels(of, valid);
        });
        if (gradient_ == nullptr) return;
        for_each_tile(
            group, [&](std::int64_t, const simd::LossTile<Real>& tile, std::int64_t sample,
                       std::int64_t first, std::int64_t n, Workplace& place) {
                for (std::int64_t c = 0; c < channels(); ++c)
                    std::copy_n(errors_of(group, sample, c) + first, n, place.by_p + c * kLossTile);
                write_gradient(tile, group * group_samples_ + sample, first, n, place);
            });
    }

    // The errors of all classes, or codes of their levels. Returns how many pixels count.
    std::int64_t write_errors(std::int64_t group, bool sorted) {
        std::vector<std::int64_t> valid(static_cast<std::size_t>(parts()));
        std::vector<char> unknown(valid.size());
        for_each_tile(
            group, [&](std::int64_t part, const simd::LossTile<Real>& tile, std::int64_t sample,
                       std::int64_t first, std::int64_t n, Workplace& place) {
                const auto at = static_cast<std::size_t>(part);
                if (sorted)
                    loss::kernels_of<Real>().errors(tile, rule_, place.p, place.by_p);
                else
                    unknown[at] |= static_cast<char>(
                        !loss::kernels_of<Real>().levels(tile, rule_, place.p, place.by_p));
                valid[at] = place.tally.valid;
                for (std::int64_t c = 0; c < channels(); ++c)
                    std::copy_n(place.by_p + c * kLossTile, n, errors_of(group, sample, c) + first);
            });
        known_ = std::find(unknown.begin(), unknown.end(), 1) == unknown.end();
        return std::reduce(valid.begin(), valid.end());
    }

    // A class in a group, and the factor of its gradient.
    struct ClassOf {
        std::int64_t group;
        std::int64_t channel;
        double factor;
    };

    // --- by sorting ---

    // Pixels [begin, end) of a sample in the group.
    struct Stretch {
        std::int64_t sample;
        std::int64_t begin;
        std::int64_t end;
    };
    // What is known of the errors of a class, or of a stretch of them.
    struct Summary {
        std::int64_t foreground = 0;
        bool known = true;
        // Of the foreground, by its bits: they are ordered as sizes are, also where the processor
        // takes denormal numbers for 0.
        Bits least = std::bit_cast<Bits>(std::numeric_limits<Real>::infinity());
    };
    using Ranges = std::array<std::array<std::uint32_t, kRanges>, 2>;  // of background, foreground

    [[nodiscard]] std::vector<Stretch> stretches() const {
        const std::int64_t length = std::max(kDealtPixels, group_pixels() / kMostDealt);
        std::vector<Stretch> all;
        for (std::int64_t s = 0; s < group_samples_; ++s)
            for (std::int64_t begin = 0; begin < reader_.pixels(); begin += length)
                all.push_back({s, begin, std::min(begin + length, reader_.pixels())});
        return all;
    }

    // The value of a class; its errors become derivatives by the probabilities.
    double rank(const ClassOf& of, int threads) const {
        const std::vector<Stretch> all = stretches();
        const auto blocks = static_cast<std::int64_t>(all.size());
        std::vector<Summary> parts(all.size());
        if (of.factor != 0.0)
            run_blocks(blocks, threads, [&](std::int64_t b) {
                const auto at = static_cast<std::size_t>(b);
                parts[at] = summary_of(of, all[at]);
            });
        Summary whole;
        for (const Summary& part : parts) {
            whole.foreground += part.foreground;
            whole.known &= part.known;
            whole.least = std::min(whole.least, part.least);
        }
        if (of.factor == 0.0 || !whole.known) {
            for (const Stretch& part : all) clear(of, part);
            return whole.known ? 0.0 : std::numeric_limits<double>::quiet_NaN();
        }
        // Without foreground the largest error is all that counts, but it takes a sort to share.
        if (whole.foreground == 0) whole.least = 0;
        // The hinge has no slope where it is met.
        if (options_.hinge) whole.least = std::max(whole.least, Bits{1});
        return group_pixels() <= kOneRange ? rank_few(of, all, whole)
                                           : rank_ranges(of, all, whole, threads);
    }

    // Of the errors as whole numbers: sign and size as the bits of a number have them. Those of the
    // foreground, as signed numbers, are the negative ones and grow with the error.
    Summary summary_of(const ClassOf& of, const Stretch& part) const {
        using Signed = std::make_signed_t<Bits>;
        constexpr auto kSign = static_cast<Bits>(std::numeric_limits<Signed>::min());
        const Real* errors = errors_of(of.group, part.sample, of.channel);
        Bits foreground = 0;
        Signed first = std::numeric_limits<Signed>::max();
        Signed largest = 0;
        for (std::int64_t i = part.begin; i < part.end; ++i) {
            const auto bits = std::bit_cast<Bits>(errors[i]);
            foreground += bits >> (8 * sizeof(Bits) - 1);
            first = std::min(first, static_cast<Signed>(bits));
            largest = std::max(largest, static_cast<Signed>(bits & ~kSign));
        }
        Summary summary;
        summary.foreground = static_cast<std::int64_t>(foreground);
        summary.known = !std::isnan(std::bit_cast<Real>(largest));
        if (first < 0) summary.least = static_cast<Bits>(first) ^ kSign;
        return summary;
    }

    // Errors become slopes of 0, but what is not known stays unknown where the class counts.
    void clear(const ClassOf& of, const Stretch& part) const {
        Real* errors = errors_of(of.group, part.sample, of.channel);
        for (std::int64_t i = part.begin; i < part.end; ++i)
            if (of.factor == 0.0 || !std::isnan(errors[i])) errors[i] = Real{0};
    }

    // Calls visit(index, size, whether it is of the foreground) for the errors of a stretch that
    // gain anything: of pixels that count, and not below the least. None may be NaN.
    template <class Visit>
    void for_each_gain(const ClassOf& of, const Stretch& part, Bits least, Visit&& visit) const {
        constexpr int kSign = 8 * sizeof(Bits) - 1;
        const Bits span = std::bit_cast<Bits>(std::numeric_limits<Real>::infinity()) - least;
        const Real* errors = errors_of(of.group, part.sample, of.channel);
        for (std::int64_t i = part.begin; i < part.end; ++i) {
            const auto bits = std::bit_cast<Bits>(errors[i]);
            const Bits size = bits & ~(Bits{1} << kSign);
            if (size - least < span) visit(i, size, static_cast<std::uint32_t>(bits >> kSign));
        }
    }

    // The same as items.
    template <class Visit>
    void for_each_item(const ClassOf& of, const Stretch& part, Bits least, Visit&& visit) const {
        const std::int64_t before = part.sample * reader_.pixels();
        for_each_gain(of, part, least, [&](std::int64_t i, Bits size, std::uint32_t is) {
            visit({size, static_cast<std::uint32_t>(2 * (before + i)) + is});
        });
    }

    double rank_few(const ClassOf& of, const std::vector<Stretch>& all,
                    const Summary& whole) const {
        std::vector<Item<Real>> items;
        items.reserve(static_cast<std::size_t>(group_pixels()));
        for (const Stretch& part : all) {
            for_each_item(of, part, whole.least, [&](const Item<Real>& x) { items.push_back(x); });
            clear(of, part);
        }
        std::sort(items.begin(), items.end(),
                  [](const Item<Real>& a, const Item<Real>& b) { return a.error > b.error; });
        return walk(items, Jaccard(whole.foreground, 0, 0), of);
    }

    double rank_ranges(const ClassOf& of, const std::vector<Stretch>& all, const Summary& whole,
                       int threads) const {
        // Samples of few pixels are stretches of their own; a table is for several of these.
        const auto blocks =
            static_cast<std::int64_t>(std::min<std::size_t>(all.size(), kMostDealt));
        const auto stretches_of = [&](std::int64_t b) {
            const auto size = static_cast<std::int64_t>(all.size());
            const auto begin = static_cast<std::size_t>(size * b / blocks);
            return std::span(all).subspan(
                begin, static_cast<std::size_t>(size * (b + 1) / blocks) - begin);
        };
        std::vector<Ranges> dealt(static_cast<std::size_t>(blocks));
        run_blocks(blocks, threads, [&](std::int64_t b) {
            Ranges& counts = dealt[static_cast<std::size_t>(b)];
            for (const Stretch& part : stretches_of(b))
                for_each_gain(of, part, whole.least,
                              [&](std::int64_t, Bits size, std::uint32_t is) {
                                  ++counts[is][range_of<Real>(size)];
                              });
        });
        // What is in a range, and in all before it; from here on dealt[b][0][r] is where the
        // items of a block go.
        std::array<std::array<std::int64_t, kRanges + 1>, 2> before{};
        for (std::size_t r = 0; r < kRanges; ++r) {
            auto place = static_cast<std::uint32_t>(before[0][r] + before[1][r]);
            for (std::size_t kind = 0; kind < 2; ++kind) {
                before[kind][r + 1] = before[kind][r];
                for (const Ranges& block : dealt) before[kind][r + 1] += block[kind][r];
            }
            for (Ranges& block : dealt) {
                const std::uint32_t both = block[0][r] + block[1][r];
                block[0][r] = std::exchange(place, place + both);
            }
        }
        const auto number = static_cast<std::size_t>(before[0][kRanges] + before[1][kRanges]);
        const auto items = std::make_unique_for_overwrite<Item<Real>[]>(number);
        run_blocks(blocks, threads, [&](std::int64_t b) {
            auto& place = dealt[static_cast<std::size_t>(b)][0];
            for (const Stretch& part : stretches_of(b)) {
                for_each_item(of, part, whole.least, [&](const Item<Real>& item) {
                    items[place[range_of<Real>(item.error)]++] = item;
                });
                clear(of, part);
            }
        });
        std::vector<double> parts(kRanges);
        run_blocks(kRanges, threads, [&](std::int64_t range) {
            const auto r = static_cast<std::size_t>(range);
            const auto begin = static_cast<std::size_t>(before[0][r] + before[1][r]);
            const auto end = static_cast<std::size_t>(before[0][r + 1] + before[1][r + 1]);
            if (begin == end) return;
            const std::span<Item<Real>> mine(items.get() + begin, end - begin);
            sort_down(mine);
            parts[r] = walk(mine, Jaccard(whole.foreground, before[1][r], before[0][r]), of);
        });
        return std::accumulate(parts.begin(), parts.end(), 0.0);
    }

    double walk(std::span<const Item<Real>> items, Jaccard jaccard, const ClassOf& of) const {
        const auto pixels = static_cast<std::uint32_t>(reader_.pixels());
        double value = 0.0;
        for (std::size_t i = 0; i < items.size();) {
            std::size_t end = i;
            std::int64_t kind[2] = {0, 0};
            for (; end < items.size() && items[end].error == items[i].error; ++end)
                ++kind[items[end].pixel & 1];
            const auto slopes = jaccard.step(kind[1], kind[0]);
            const auto error = static_cast<double>(std::bit_cast<Real>(items[i].error));
            value += error * slopes.gain;
            const auto down = static_cast<Real>(-of.factor * slopes.foreground);
            const auto up = static_cast<Real>(of.factor * slopes.background);
            for (; i < end; ++i) {
                const std::uint32_t pixel = items[i].pixel / 2;
                const std::uint32_t sample = group_samples_ == 1 ? 0 : pixel / pixels;
                errors_of(of.group, sample, of.channel)[pixel - sample * pixels] =
                    (items[i].pixel & 1) != 0 ? down : up;
            }
        }
        return value;
    }

    // --- by levels ---

    // As `rank`, of codes.
    double rank_levels(const ClassOf& of, std::int64_t valid) const {
        if constexpr (std::is_same_v<Real, float>) {
            const simd::LossKernels<float>& kernels = loss::kernels_of<float>();
            std::vector<std::uint32_t> table(static_cast<std::size_t>(kCodes));
            double value = 0.0;
            if (of.factor != 0.0) {
                for (std::int64_t s = 0; s < group_samples_; ++s)
                    kernels.count_levels(errors_of(of.group, s, of.channel), reader_.pixels(),
                                         table.data());
                value = walk_levels(table.data(), valid, of.factor);
                if (!known_) value = std::numeric_limits<double>::quiet_NaN();
            }
            if (gradient_ != nullptr)
                for (std::int64_t s = 0; s < group_samples_; ++s)
                    kernels.look_up_levels(errors_of(of.group, s, of.channel), reader_.pixels(),
                                           table.data());
            return value;
        } else {
            return 0.0;
        }
    }

    // The value of a class from the counts of its levels, which become the derivatives by the
    // probability of such errors.
    static double walk_levels(std::uint32_t* counts, std::int64_t valid, double factor) {
        std::int64_t counted = 0;
        std::int64_t foreground = 0;
        for (std::int64_t level = 0; level < kErrorLevels; ++level) {
            counted += counts[2 * level];
            foreground += counts[2 * level + 1];
        }
        // Level 0 of the background is what was not counted.
        counts[0] = static_cast<std::uint32_t>(valid - counted - foreground);
        Jaccard jaccard(foreground, 0, 0);
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
    bool known_ = true;  // no counted pixel of this group has a NaN
    // The errors, and how far apart those of channels, samples and groups are.
    Real* errors_ = nullptr;
    std::int64_t of_channel_ = 0;
    std::int64_t of_sample_ = 0;
    std::int64_t of_group_ = 0;
    std::unique_ptr<Real[]> own_;
};

}  // namespace

LossFault lovasz(const LossInput& input, const LovaszOptions& options, const double* weights,
                 double* values, std::byte* gradient, std::span<const std::int64_t> strides) {
    if (loss::in_float64(input) && !(options.hinge && input.logits.dtype != DType::kFloat64))
        return Lovasz<double>(input, options, weights, values, gradient, strides).run();
    return Lovasz<float>(input, options, weights, values, gradient, strides).run();
}

}  // namespace segmeter

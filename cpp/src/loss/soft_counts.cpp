// The sweeps over all tiles. Blocks of tiles are the unit of threads: each fills its own table of
// float64 sums, and tables are added in the order of the blocks.
#include <algorithm>
#include <array>
#include <functional>
#include <stdexcept>
#include <type_traits>
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
using simd::kLossLanes;
using simd::kLossTile;

// Pixels of a block: enough to be worth a thread's while, and so many that there are not more
// tables than kMostBlocks.
constexpr std::int64_t kBlockPixels = 8192;
constexpr std::int64_t kMostBlocks = 256;
// From so many tiles on float32 sums become float64; a run may bring a few more.
constexpr int kTilesPerFlush = 16;
// A gradient of more bytes goes past the caches.
constexpr std::int64_t kStreamBytes = std::int64_t{16} << 20;
// Doubles that a row of float32 lanes becomes.
constexpr std::int64_t kFlushed = 8;

// Which sums a sweep makes.
enum class Wanted : std::uint8_t { kNothing, kTarget, kTerms, kAll };

// Where a sweep's table has which sums, in rows of one number a class; -1 for those that it does
// not make.
struct Rows {
    Rows(const LossInput& input, Wanted wanted) {
        const auto number_of_terms = static_cast<std::int64_t>(input.terms.size());
        const auto take = [this](bool made, std::int64_t rows = 1) {
            if (!made) return std::int64_t{-1};
            count += rows;
            return count - rows;
        };
        const bool all = wanted == Wanted::kAll;
        const bool with_terms = all || wanted == Wanted::kTerms;
        intersection = take(all);
        pred = take(all);
        pred_squared = take(all && input.squares);
        target = take(wanted != Wanted::kNothing);
        target_squared = take(wanted != Wanted::kNothing && input.dense);
        terms = take(with_terms, number_of_terms);
        terms_negative =
            take(with_terms && input.activation != Activation::kSoftmax, number_of_terms);
    }

    std::int64_t count = 0;
    std::int64_t intersection;
    std::int64_t pred;
    std::int64_t pred_squared;
    std::int64_t target;
    std::int64_t target_squared;
    std::int64_t terms;
    std::int64_t terms_negative;
};

// Derivatives of one sample's sums in the kernels' type.
template <class Real>
class SampleSlopes {
   public:
    SampleSlopes(const LossInput& input, const SoftCountsGradientView& all, bool regions,
                 std::int64_t sample) {
        const auto channels = static_cast<std::size_t>(input.logits.shape[1]);
        const auto samples = static_cast<std::size_t>(input.logits.shape[0]);
        const std::size_t terms = input.terms.size();
        values_.resize(channels * (4 + 2 * terms));
        const auto place = [&](std::size_t row) { return values_.data() + row * channels; };
        const auto take = [&](const double* from, std::size_t table, std::size_t row) {
            const double* first =
                from + (table * samples + static_cast<std::size_t>(sample)) * channels;
            std::transform(first, first + channels, place(row),
                           [](double x) { return static_cast<Real>(x); });
        };
        for (std::size_t t = 0; t < terms; ++t) {
            take(all.terms, t, 4 + t);
            take(all.terms_negative, t, 4 + terms + t);
        }
        view_.terms = place(4);
        view_.terms_negative = place(4 + terms);
        view_.uniform_terms = true;
        for (std::size_t t = 0; t < terms; ++t)
            for (std::size_t c = 1; c < channels; ++c)
                view_.uniform_terms &= place(4 + t)[c] == place(4 + t)[0];
        if (!regions) return;
        take(all.intersection, 0, 0);
        take(all.pred, 0, 1);
        std::transform(place(0), place(1), place(1), place(3), std::plus<>());
        view_.intersection = place(0);
        view_.pred = place(1);
        view_.own = place(3);
        if (!input.squares) return;
        take(all.pred_squared, 0, 2);
        view_.pred_squared = place(2);
    }
    [[nodiscard]] const simd::LossSlopes<Real>& view() const { return view_; }

   private:
    std::vector<Real> values_;
    simd::LossSlopes<Real> view_{};
};

// The sums of a block: lanes of the kernels' type, that become float64 after a few tiles.
template <class Real>
class BlockSums {
   public:
    BlockSums(Real* lanes, std::int64_t rows)
        : lanes_(lanes), rows_(rows), doubles_(static_cast<std::size_t>(rows * kFlushed)) {
        std::fill_n(lanes, rows * kLossLanes, Real{0});
    }
    [[nodiscard]] Real* lanes() const { return lanes_; }
    // After that many tiles more.
    void count(int tiles) {
        tiles_ += tiles;
        if (tiles_ >= kTilesPerFlush) flush();
    }
    // One number for each row.
    void write(double* sums) {
        flush();
        for (std::int64_t i = 0; i < rows_; ++i) {
            const double* eight = doubles_.data() + kFlushed * i;
            sums[i] = ((eight[0] + eight[1]) + (eight[2] + eight[3])) +
                      ((eight[4] + eight[5]) + (eight[6] + eight[7]));
        }
    }

   private:
    void flush() {
        if (rows_ != 0) loss::kernels_of<Real>().flush(lanes_, rows_, doubles_.data());
        tiles_ = 0;
    }

    Real* lanes_;
    std::int64_t rows_;
    std::vector<double> doubles_;
    int tiles_ = 0;
};

// One sweep: sums into blocks' tables, gradient into the caller's memory, or both.
template <class Real>
class Sweep {
   public:
    Sweep(const LossInput& input, Wanted wanted, const SoftCountsGradientView* slopes,
          std::byte* gradient, std::span<const std::int64_t> strides)
        : input_(input),
          wanted_(wanted),
          gradient_(gradient),
          rule_(loss::rule_of<Real>(input)),
          reader_(input, gradient == nullptr ? std::span<const std::int64_t>{} : strides,
                  loss::dense_tiles(input)),
          kernel_(kernel(input)),
          rows_(input, wanted) {
        const std::int64_t samples = reader_.samples();
        const std::int64_t pixels = reader_.pixels();
        const std::int64_t share = (samples * pixels + kMostBlocks - 1) / kMostBlocks;
        block_pixels_ = std::max(kBlockPixels, (share + kLossTile - 1) / kLossTile * kLossTile);
        blocks_per_sample_ = (pixels + block_pixels_ - 1) / block_pixels_;
        if (gradient != nullptr) {
            const bool regions = wanted == Wanted::kNothing && has_regions(input, *slopes);
            slopes_.reserve(static_cast<std::size_t>(samples));
            for (std::int64_t n = 0; n < samples; ++n)
                slopes_.emplace_back(input, *slopes, regions, n);
            const std::int64_t bytes =
                samples * reader_.channels() * pixels * static_cast<std::int64_t>(sizeof(Real));
            stream_ = bytes > kStreamBytes && reader_.streamable(gradient);
            can_run_ = pixels > 0 && reader_.direct(gradient, 0, 0, kLossTile) != nullptr;
        }
        const auto blocks = static_cast<std::size_t>(samples * blocks_per_sample_);
        tallies_.resize(blocks);
        tables_.resize(blocks * static_cast<std::size_t>(rows_.count * reader_.channels()));
    }

    // Has the first term of every pixel written down too.
    void keep_costs(Real* costs) { costs_ = costs; }

    void run() {
        const std::int64_t blocks = reader_.samples() * blocks_per_sample_;
        const std::int64_t work = wanted_ == Wanted::kTarget ? reader_.samples() * reader_.pixels()
                                                             : 4 * input_.logits.size();
        run_blocks(blocks, thread_count(input_.threads, work),
                   [this](std::int64_t block) { sweep_block(block); });
    }

    [[nodiscard]] LossFault fault() const {
        for (const TileTally& tally : tallies_)
            if (tally.fault.kind != LossFault::Kind::kNone) return tally.fault;
        return {};
    }

    // Adds the tables of the blocks up.
    void collect(const SoftCountsView& counts) const {
        const std::int64_t channels = reader_.channels();
        for (std::int64_t n = 0; n < reader_.samples(); ++n) {
            std::vector<double> sum(static_cast<std::size_t>(rows_.count * channels));
            counts.valid[n] = 0;
            counts.weight[n] = 0.0;
            for (std::int64_t b = n * blocks_per_sample_; b < (n + 1) * blocks_per_sample_; ++b) {
                const TileTally& tally = tallies_[static_cast<std::size_t>(b)];
                counts.valid[n] += tally.valid;
                counts.weight[n] += tally.weight;
                const double* table =
                    tables_.data() + static_cast<std::size_t>(b * rows_.count * channels);
                for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += table[i];
            }
            const auto give = [&](std::int64_t row, std::int64_t part, double* to) {
                if (row < 0)
                    std::fill_n(to, channels, 0.0);
                else
                    std::copy_n(sum.begin() + (row + part) * channels, channels, to);
            };
            give(rows_.intersection, 0, counts.intersection + n * channels);
            give(rows_.pred, 0, counts.pred + n * channels);
            give(rows_.pred_squared, 0, counts.pred_squared + n * channels);
            give(rows_.target, 0, counts.target + n * channels);
            give(input_.dense ? rows_.target_squared : rows_.target, 0,
                 counts.target_squared + n * channels);
            const auto terms = static_cast<std::int64_t>(input_.terms.size());
            for (std::int64_t t = 0; t < terms; ++t) {
                const std::int64_t to = (t * reader_.samples() + n) * channels;
                give(rows_.terms, t, counts.terms + to);
                give(rows_.terms_negative, t, counts.terms_negative + to);
            }
        }
    }

   private:
    // Pixels [first, first + n) of a sample.
    struct Stretch {
        std::int64_t sample;
        std::int64_t first;
        std::int64_t n;
    };
    // What a block's tiles share.
    struct Workspace {
        Real* scratch;   // the kernel's
        Real* gradient;  // of a tile that cannot be written where it belongs
    };

    static simd::SweepLossTile<Real> kernel(const LossInput& input) {
        const simd::LossKernels<Real>& kernels = loss::kernels_of<Real>();
        if (input.activation != Activation::kSoftmax) return kernels.channelwise;
        return loss::dense_tiles(input) ? kernels.softmax_dense : kernels.softmax_labels;
    }

    static bool has_regions(const LossInput& input, const SoftCountsGradientView& slopes) {
        const std::int64_t n = input.logits.shape[0] * input.logits.shape[1];
        const auto any = [n](const double* table) {
            return std::any_of(table, table + n, [](double x) { return x != 0.0; });
        };
        return any(slopes.intersection) || any(slopes.pred) ||
               (input.squares && any(slopes.pred_squared));
    }

    // Rows of lanes, null where there is none.
    simd::LossSums<Real> sums_of(Real* lanes) const {
        const auto row = [&](std::int64_t r) {
            return r < 0 ? nullptr : lanes + r * reader_.channels() * kLossLanes;
        };
        return {.intersection = row(rows_.intersection),
                .pred = row(rows_.pred),
                .pred_squared = row(rows_.pred_squared),
                .target = row(rows_.target),
                .target_squared = row(rows_.target_squared),
                .terms = row(rows_.terms),
                .terms_negative = row(rows_.terms_negative),
                .costs = nullptr};
    }

    void sweep_block(std::int64_t block) {
        [[maybe_unused]] const loss::FlushDenormals flush_denormals;
        const std::int64_t channels = reader_.channels();
        const bool dense = reader_.dense_tiles();
        const std::int64_t rows = rows_.count * channels;
        TileMemory<Real> memory(TileBuffers<Real>::size(channels, dense) +
                                3 * channels * kLossTile + rows * kLossLanes);
        TileBuffers<Real> buffers(memory, channels, dense);
        Workspace space{memory.take(2 * channels * kLossTile), memory.take(channels * kLossTile)};
        BlockSums<Real> sums(memory.take(rows * kLossLanes), rows);
        const std::int64_t sample = block / blocks_per_sample_;
        const std::int64_t begin = block % blocks_per_sample_ * block_pixels_;
        const std::int64_t end = std::min(begin + block_pixels_, reader_.pixels());
        TileTally& tally = tallies_[static_cast<std::size_t>(block)];
        const std::int64_t run_pixels = reader_.longest_run() * kLossTile;
        for (std::int64_t first = begin; first < end; first += run_pixels)
            sweep_pixels({sample, first, std::min(run_pixels, end - first)}, buffers, space, sums,
                         tally);
#if defined(__x86_64__)
        if (stream_) _mm_sfence();
#endif
        if (rows != 0) sums.write(tables_.data() + static_cast<std::size_t>(block * rows));
    }

    // As a run, as far as it is one; what is left tile by tile.
    void sweep_pixels(Stretch all, TileBuffers<Real>& buffers, const Workspace& space,
                      BlockSums<Real>& sums, TileTally& tally) {
        std::int64_t done = 0;
        if (costs_ == nullptr && can_run_) {
            const simd::LossTile<Real> run =
                reader_.read_run(all.sample, all.first, all.n, buffers, tally);
            done = run.tiles * kLossTile;
            if (run.tiles > 0) sweep_tile(run, {all.sample, all.first, done}, space, sums);
        }
        for (; done < all.n; done += kLossTile) {
            const Stretch part{all.sample, all.first + done,
                               std::min<std::int64_t>(kLossTile, all.n - done)};
            const simd::LossTile<Real> tile = reader_.read(
                part.sample, part.first, part.n, wanted_ != Wanted::kTarget, buffers, tally);
            sweep_tile(tile, part, space, sums);
        }
    }

    void sweep_tile(const simd::LossTile<Real>& tile, Stretch part, const Workspace& space,
                    BlockSums<Real>& block) {
        alignas(64) std::array<Real, kLossTile> costs;
        simd::LossSums<Real> sums = sums_of(block.lanes());
        if (costs_ != nullptr) sums.costs = costs.data();
        if (wanted_ == Wanted::kTarget)
            count_targets(tile, sums);
        else
            call_kernel(tile, part, wanted_ == Wanted::kNothing ? nullptr : &sums, space);
        block.count(tile.tiles);
        if (costs_ == nullptr) return;
        Real* to = costs_ + part.sample * reader_.pixels() + part.first;
        for (std::int64_t i = 0; i < part.n; ++i)
            to[i] = tile.weight[i] == Real{0} ? Real{0} : costs[static_cast<std::size_t>(i)];
    }

    void call_kernel(const simd::LossTile<Real>& tile, Stretch part,
                     const simd::LossSums<Real>* sums, const Workspace& space) const {
        if (gradient_ == nullptr) {
            kernel_(tile, rule_, sums, nullptr, nullptr, space.scratch);
            return;
        }
        const simd::LossSlopes<Real>* slopes =
            &slopes_[static_cast<std::size_t>(part.sample)].view();
        Real* direct = reader_.direct(gradient_, part.sample, part.first, part.n);
        const simd::LossGradient<Real> to =
            direct != nullptr ? simd::LossGradient<Real>{direct, reader_.direct_stride(), stream_}
                              : simd::LossGradient<Real>{space.gradient, kLossTile, false};
        kernel_(tile, rule_, sums, slopes, &to, space.scratch);
        if (direct == nullptr)
            reader_.write(space.gradient, gradient_, part.sample, part.first, part.n);
    }

    // Sums of w y and w y^2 alone.
    void count_targets(const simd::LossTile<Real>& tile, const simd::LossSums<Real>& sums) const {
        if (tile.label != nullptr) {
            loss::kernels_of<Real>().count_labels(tile, sums.target);
            return;
        }
        for (std::int64_t c = 0; c < reader_.channels(); ++c)
            for (int i = 0; i < kLossTile; ++i) {
                const Real y = tile.y[c * kLossTile + i];
                const std::int64_t to = c * kLossLanes + i % kLossLanes;
                sums.target[to] += tile.weight[i] * y;
                if (sums.target_squared != nullptr)
                    sums.target_squared[to] += tile.weight[i] * y * y;
            }
    }

    const LossInput& input_;
    Wanted wanted_;
    std::byte* gradient_;
    simd::LossRule<Real> rule_;
    TileReader<Real> reader_;
    simd::SweepLossTile<Real> kernel_;
    Rows rows_;
    std::int64_t block_pixels_ = kBlockPixels;
    std::int64_t blocks_per_sample_ = 0;
    bool stream_ = false;
    bool can_run_ = true;  // the gradient of a run can be written where it belongs
    Real* costs_ = nullptr;
    std::vector<SampleSlopes<Real>> slopes_;
    std::vector<TileTally> tallies_;
    std::vector<double> tables_;
};

template <class Real>
LossFault sweep_as(const LossInput& input, Wanted wanted, const SoftCountsView* counts,
                   const SoftCountsGradientView* slopes, std::byte* gradient,
                   std::span<const std::int64_t> strides) {
    Sweep<Real> sweep(input, wanted, slopes, gradient, strides);
    sweep.run();
    if (counts != nullptr) sweep.collect(*counts);
    return sweep.fault();
}

LossFault sweep(const LossInput& input, Wanted wanted, const SoftCountsView* counts,
                const SoftCountsGradientView* slopes, std::byte* gradient,
                std::span<const std::int64_t> strides) {
    return (loss::in_float64(input) ? sweep_as<double> : sweep_as<float>)(input, wanted, counts,
                                                                          slopes, gradient,
                                                                          strides);
}

template <class Real>
LossFault costs_as(const LossInput& input, Real* costs) {
    if (loss::dense_tiles(input) || input.terms.empty() ||
        loss::in_float64(input) != std::is_same_v<Real, double>)
        throw std::invalid_argument("costs are of labels, of a term, and in the sweep's type");
    Sweep<Real> sweep(input, Wanted::kTerms, nullptr, nullptr, {});
    sweep.keep_costs(costs);
    sweep.run();
    return sweep.fault();
}

}  // namespace

LossFault pixel_costs(const LossInput& input, float* costs) { return costs_as(input, costs); }
LossFault pixel_costs(const LossInput& input, double* costs) { return costs_as(input, costs); }

LossFault soft_counts(const LossInput& input, const SoftCountsView& counts) {
    return sweep(input, Wanted::kAll, &counts, nullptr, nullptr, {});
}

LossFault soft_counts_backward(const LossInput& input, const SoftCountsGradientView& slopes,
                               std::byte* gradient, std::span<const std::int64_t> strides) {
    return sweep(input, Wanted::kNothing, nullptr, &slopes, gradient, strides);
}

LossFault target_counts(const LossInput& input, const SoftCountsView& counts) {
    return sweep(input, Wanted::kTarget, &counts, nullptr, nullptr, {});
}

LossFault pixel_terms(const LossInput& input, const SoftCountsView& counts,
                      const SoftCountsGradientView* slopes, std::byte* gradient,
                      std::span<const std::int64_t> strides) {
    return sweep(input, Wanted::kTerms, &counts, slopes, gradient, strides);
}

}  // namespace segmeter

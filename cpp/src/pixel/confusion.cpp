#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "segmeter/parallel.hpp"
#include "segmeter/pixel.hpp"

#include "pixel/offsets.hpp"
#include "pixel/reader.hpp"
#include "simd/pixel_kernels.hpp"

namespace segmeter {
namespace {

using simd::kSlack;
using simd::kTilePixels;

// Pixels that a worker may count between two flushes of its 32-bit cells.
constexpr std::int64_t kFlushAfter = std::numeric_limits<std::uint32_t>::max();
// Largest piece of work handed out at once, so that pieces cannot overflow the cells.
constexpr std::int64_t kLargestPiece = std::int64_t{1} << 30;
// Weighted sums are added up piece by piece in order; the pieces must not depend on the threads.
constexpr std::int64_t kWeightedPiece = std::int64_t{1} << 18;
constexpr std::uintptr_t kCacheLine = 64;
// All workers' tables together may take this much, or as much as the matrix.
constexpr std::int64_t kTableBytes = std::int64_t{1} << 24;

// --- where counts go ---

// A worker's table has cells for the classes, void and invalid on both axes, row-major.
std::int64_t table_stride(std::int64_t num_classes) { return num_classes + 2; }
std::int64_t table_cells(std::int64_t num_classes) {
    return table_stride(num_classes) * table_stride(num_classes);
}

void add_to_tally(const std::uint32_t* row, std::int64_t target, std::int64_t num_classes,
                  PixelTally* tally) {
    if (target < num_classes) {
        tally->void_pred += row[num_classes];
        tally->invalid_pred += row[num_classes + 1];
        return;
    }
    std::int64_t& sum = target == num_classes ? tally->ignored : tally->invalid_target;
    for (std::int64_t p = 0; p < table_stride(num_classes); ++p) sum += row[p];
}

template <class Cell>
bool any_nonzero(const Cell* cells, std::int64_t n) {
    if constexpr (std::is_integral_v<Cell>) {  // without a comparison a loop is vector code
        constexpr std::int64_t kAtOnce = 64;
        std::int64_t i = 0;
        for (; i + kAtOnce <= n; i += kAtOnce) {
            Cell any = 0;
            for (std::int64_t k = 0; k < kAtOnce; ++k) any |= cells[i + k];
            if (any != 0) return true;
        }
        Cell any = 0;
        for (; i < n; ++i) any |= cells[i];
        return any != 0;
    } else {
        bool any = false;
        for (std::int64_t i = 0; i < n; ++i) any |= cells[i] != 0;
        return any;
    }
}

void add_row(const std::uint32_t* cells, std::int64_t columns, std::int64_t* row) {
    kernels().add_cells(cells, columns, row);
}
void add_row(const double* cells, std::int64_t columns, double* row) {
    for (std::int64_t p = 0; p < columns; ++p) row[p] += cells[p];
}

// Adds a table to the output and clears it. Rows in which nothing was counted are not written, so
// that the untouched pages of a huge table stay untouched. Weights (double) have no tally.
template <class Cell, class Sum>
void flush_table(Cell* cells, std::int64_t num_classes, const ConfusionOptions& options,
                 Sum* matrix, PixelTally* tally) {
    const std::int64_t stride = table_stride(num_classes);
    const std::int64_t columns = num_classes + (options.void_column ? 1 : 0);
    for (std::int64_t t = 0; t < stride; ++t, cells += stride, matrix += columns) {
        if (!any_nonzero(cells, stride)) continue;
        if (t < num_classes) {
            add_row(cells, columns, matrix);
            if (options.void_column && options.invalid_is_void)
                matrix[num_classes] += static_cast<Sum>(cells[num_classes + 1]);
        }
        if constexpr (std::is_integral_v<Cell>) add_to_tally(cells, t, num_classes, tally);
        std::fill(cells, cells + stride, Cell{0});
    }
}

// --- one worker ---

struct FreeMemory {
    void operator()(void* p) const noexcept { std::free(p); }
};

// Memory for n cells, the first `zeroed` of them zero.
template <class Cell>
struct ZeroedTable {
    ZeroedTable(std::int64_t n, std::int64_t zeroed)
        : cells(static_cast<Cell*>(n == zeroed
                                       ? std::calloc(static_cast<std::size_t>(n), sizeof(Cell))
                                       : std::malloc(static_cast<std::size_t>(n) * sizeof(Cell)))) {
        if (!cells) throw std::bad_alloc();
        if (n != zeroed) std::fill_n(cells.get(), zeroed, Cell{0});
    }
    std::unique_ptr<Cell[], FreeMemory> cells;
};

// Room for n run starts that begins with a page: tiles have few, and vectors of them that are
// stored across the border of two pages cost many times the others.
std::unique_ptr<std::uint16_t[], FreeMemory> page_of_runs(std::int64_t n) {
    if (n == 0) return nullptr;
    constexpr std::size_t kPage = 4096;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(std::uint16_t);
    void* memory = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (memory == nullptr) throw std::bad_alloc();
    return std::unique_ptr<std::uint16_t[], FreeMemory>(static_cast<std::uint16_t*>(memory));
}

// Tiles without runs are counted in pairs of slots where these are few and the instruction set
// allows it, else into copies of the table while these stay near L1. Larger tables have the low
// bytes of their cells apart, up to 2^16 cells; beyond that no cache helps.
bool has_queues(const Job& job) {
    return kernels().count_queued != nullptr && job.width() == 1 &&
           table_stride(job.num_classes()) <= 2 * simd::kHalfSlots;
}
std::int64_t table_copies(std::int64_t num_classes) {
    return table_cells(num_classes) <= 3600 ? 4 : 1;
}
bool has_low_bytes(std::int64_t num_classes) {
    const std::int64_t cells = table_cells(num_classes);
    return cells > 3600 && cells <= 65536;
}

int width_index(std::int64_t width) { return width == 8 ? 3 : static_cast<int>(width / 2); }

class Counter {
   public:
    Counter(const Job& job, const OffsetTable& pred_offsets, const OffsetTable& target_offsets)
        : job_(job),
          reader_(job),
          is_binary_(job.is_binary()),
          kernel_(kernels().count[width_index(job.width())]),
          count_queued_(has_queues(job) ? kernels().count_queued : nullptr),
          pred_lookup_(pred_offsets.lookup()),
          target_lookup_(target_offsets.lookup()),
          table_(table_cells(job.num_classes()) * table_copies(job.num_classes()),
                 table_cells(job.num_classes())),
          cells_{table_.cells.get(),
                 table_cells(job.num_classes()),
                 table_stride(job.num_classes()),
                 1,
                 nullptr,
                 nullptr},
          scratch_(page_of_runs(is_binary_ ? 0 : kTilePixels + kSlack)) {}

    void count(const Pair& pair, std::int64_t begin, std::int64_t end) {
        busy_ = false;
        if (!reader_.reads_in_place(pair)) {
            const std::int64_t step = reader_.tile_pixels();
            for (; begin < end; begin += step) {
                const std::int64_t n = std::min(step, end - begin);
                count_tile(reader_.read(pair, begin, n), n);
            }
            return;
        }
        const std::int64_t width = job_.width();
        const std::byte* pred = pair.walk.lane(kPred).data;
        const std::byte* target = pair.walk.lane(kTarget).data;
        if (is_binary_) {
            count_binary({pred + begin * width, target + begin * width, begin > 0}, end - begin);
            return;
        }
        // All tiles but the first begin with a cache line: a vector across two of them costs two.
        // Behind a busy tile they are as long as can be, as such are not read twice.
        const std::int64_t step = reader_.tile_pixels();
        const auto address = reinterpret_cast<std::uintptr_t>(pred + begin * width);
        std::int64_t n = step - static_cast<std::int64_t>(address % kCacheLine) / width;
        for (; begin < end; begin += n, n = busy_ ? kTilePixels : step) {
            n = std::min(n, end - begin);
            count_tile({pred + begin * width, target + begin * width, begin > 0}, n);
        }
    }

    [[nodiscard]] bool met_improbable() const noexcept { return reader_.met_improbable(); }

    void flush(std::int64_t* matrix, PixelTally* tally) {
        if (queues_) count_queued_(cells_);
        add_low_bytes();
        std::uint32_t* cells = cells_.table;
        for (std::int64_t i = 0; i < cells_.copies; ++i, cells += cells_.cells)
            flush_table(cells, job_.num_classes(), job_.options, matrix, tally);
    }

   private:
    void count_tile(const Tile& tile, std::int64_t n) {
        if (is_binary_) {
            count_binary(tile, n);
            return;
        }
        busy_ = kernel_(tile.pred, tile.target, n, tile.has_previous, busy_, pred_lookup_,
                        target_lookup_, cells_, scratch_.get());
        if (busy_ && !expects_noise_) expect_noise();
    }
    // Queues, copies and low bytes are for noise only; other maps need not pay for clearing them.
    void expect_noise() {
        expects_noise_ = true;
        if (count_queued_ != nullptr) {
            queues_ = std::make_unique<simd::PairQueues>();
            queues_->half = (cells_.stride + 1) / 2;
            cells_.queues = queues_.get();
            return;
        }
        if (has_low_bytes(job_.num_classes())) {
            low_bytes_.assign(static_cast<std::size_t>(cells_.cells), std::uint8_t{0});
            cells_.low = low_bytes_.data();
        }
        cells_.copies = table_copies(job_.num_classes());
        std::fill(cells_.table + cells_.cells, cells_.table + cells_.copies * cells_.cells, 0U);
    }
    void add_low_bytes() {
        kernels().add_low_bytes(low_bytes_.data(), static_cast<std::int64_t>(low_bytes_.size()),
                                cells_.table);
        std::fill(low_bytes_.begin(), low_bytes_.end(), std::uint8_t{0});
    }
    void count_binary(const Tile& tile, std::int64_t n) {
        std::array<std::int64_t, 3> sums{};
        kernels().count_bool(reinterpret_cast<const std::uint8_t*>(tile.pred),
                             reinterpret_cast<const std::uint8_t*>(tile.target), n, sums.data());
        const auto [both, in_pred, in_target] = sums;
        add(1, 1, both);
        add(1, 0, in_target - both);
        add(0, 1, in_pred - both);
        add(0, 0, n - in_pred - in_target + both);
    }
    void add(std::size_t target, std::size_t pred, std::int64_t pixels) {
        cells_.table[target_lookup_.near_offset[target] + pred_lookup_.near_offset[pred]] +=
            static_cast<std::uint32_t>(pixels);
    }

    const Job& job_;
    TileReader reader_;
    bool is_binary_;
    simd::CountTile kernel_;
    simd::CountQueued count_queued_;  // null where pixels are never queued
    simd::Lookup pred_lookup_;
    simd::Lookup target_lookup_;
    ZeroedTable<std::uint32_t> table_;
    simd::Cells cells_;
    std::vector<std::uint8_t> low_bytes_;
    std::unique_ptr<simd::PairQueues> queues_;
    bool busy_ = false;
    bool expects_noise_ = false;
    std::unique_ptr<std::uint16_t[], FreeMemory> scratch_;
};

// Offsets of both maps into a table of (num_classes + 2)^2 cells.
struct Offsets {
    explicit Offsets(const Job& job)
        : pred(job.pred_labels, job.pred_label_type(), job.width(), 1, false),
          target(job.target_labels, job.target.dtype, job.width(),
                 static_cast<std::uint64_t>(table_stride(job.num_classes())), job.mask != nullptr) {
    }
    OffsetTable pred;
    OffsetTable target;
};

// --- sharing the work ---

std::int64_t matrix_size(const Job& job) {
    return job.num_classes() * (job.num_classes() + (job.options.void_column ? 1 : 0));
}

// Images cut into pieces that workers take one after another.
struct Pieces {
    std::int64_t image_pixels;
    std::int64_t piece_pixels;
    std::int64_t per_image;
    std::int64_t total;

    Pieces(std::int64_t images, std::int64_t pixels, std::int64_t pixels_of_piece)
        : image_pixels(pixels),
          piece_pixels(pixels_of_piece),
          per_image((pixels + pixels_of_piece - 1) / pixels_of_piece),
          total(images * per_image) {}
    [[nodiscard]] std::int64_t image(std::int64_t piece) const { return piece / per_image; }
    [[nodiscard]] std::int64_t begin(std::int64_t piece) const {
        return piece % per_image * piece_pixels;
    }
    [[nodiscard]] std::int64_t end(std::int64_t piece) const {
        return std::min(image_pixels, begin(piece) + piece_pixels);
    }
};

// A few pieces for every thread, of whole tiles, and none too large for the cells.
std::int64_t piece_size(std::int64_t pixels, int threads) {
    const std::int64_t wanted = threads == 1 ? pixels : pixels / (std::int64_t{4} * threads) + 1;
    const std::int64_t tiles = (wanted + kTilePixels - 1) / kTilePixels;
    return std::clamp(tiles * kTilePixels, kTilePixels, kLargestPiece);
}

int worker_count(const Job& job, std::int64_t work) {
    const std::int64_t cells = table_cells(job.num_classes());
    const std::int64_t table = job.weights != nullptr ? cells * std::int64_t{sizeof(double)}
                                                      : cells * table_copies(job.num_classes()) *
                                                            std::int64_t{sizeof(std::uint32_t)};
    const std::int64_t matrix = cells * std::int64_t{sizeof(std::int64_t)};
    const std::int64_t most = std::max<std::int64_t>(1, std::max(kTableBytes, matrix) / table);
    return static_cast<int>(std::min<std::int64_t>(most, thread_count(job.options.threads, work)));
}

void require_image_axis(const Job& job) {
    if (job.options.per_image && job.target.shape.empty())
        throw std::invalid_argument("per_image needs an image axis");
}

// False if scores that were to be probabilities are none.
bool count_all(const Job& job, std::int64_t* matrix, PixelTally* tally) {
    require_image_axis(job);
    const std::int64_t images = job.images();
    const std::int64_t pixels = job.target.size();
    if (pixels == 0) return true;
    const int workers = worker_count(job, pixels * std::max<std::int64_t>(1, job.channels()));
    const Pieces pieces(images, pixels / images, piece_size(pixels, workers));
    const Offsets offsets(job);
    std::mutex output;
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> improbable{false};
    run_blocks(workers, workers, [&](std::int64_t) {
        Counter counter(job, offsets.pred, offsets.target);
        std::int64_t image = -1;
        std::int64_t unflushed = 0;
        const auto flush = [&] {
            if (unflushed == 0) return;
            // An image of one piece has its output to itself.
            std::unique_lock lock(output, std::defer_lock);
            if (pieces.per_image > 1) lock.lock();
            counter.flush(matrix + image * matrix_size(job), tally + image);
            unflushed = 0;
        };
        std::optional<Pair> pair;
        for (std::int64_t piece = next++; piece < pieces.total; piece = next++) {
            const std::int64_t size = pieces.end(piece) - pieces.begin(piece);
            if (pieces.image(piece) != image || unflushed + size > kFlushAfter) flush();
            if (pieces.image(piece) != image) pair.emplace(job, image = pieces.image(piece));
            counter.count(*pair, pieces.begin(piece), pieces.end(piece));
            unflushed += size;
        }
        flush();
        if (counter.met_improbable()) improbable = true;
    });
    return !improbable;
}

// --- weighted sums ---

// Lets workers through in the order of their tickets. A worker that fails opens it for good, or
// the others would wait for its turn for ever.
class Turnstile {
   public:
    template <class Function>
    void pass(std::int64_t ticket, Function&& function) {
        std::unique_lock lock(mutex_);
        turn_.wait(lock, [&] { return next_ == ticket || open_; });
        if (!open_) function();
        ++next_;
        turn_.notify_all();
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        turn_.notify_all();
    }

   private:
    std::mutex mutex_;
    std::condition_variable turn_;
    std::int64_t next_ = 0;
    bool open_ = false;
};

class WeightedCounter {
   public:
    WeightedCounter(const Job& job, const Offsets& offsets)
        : job_(job),
          reader_(job),
          pred_lookup_(offsets.pred.lookup()),
          target_lookup_(offsets.target.lookup()),
          sums_(table_cells(job.num_classes()), table_cells(job.num_classes())),
          resolved_(static_cast<std::size_t>(kTilePixels)) {}

    void count(const Pair& pair, std::int64_t begin, std::int64_t end) {
        const auto resolve = kernels().resolve[width_index(job_.width())];
        for (std::int64_t n = 0; begin < end; begin += n) {
            n = std::min(reader_.tile_pixels(), end - begin);
            const Tile tile = reader_.read(pair, begin, n);
            const double* weights = reader_.weights(pair, begin, n);
            resolve(tile.pred, tile.target, n, pred_lookup_, target_lookup_, resolved_.data());
            for (std::int64_t i = 0; i < n; ++i) {
                sums_.cells[resolved_[static_cast<std::size_t>(i)]] += weights[i];
                // The difference is not 0 for NaN and infinity.
                valid_ &= (weights[i] >= 0.0) & (weights[i] - weights[i] == 0.0);
            }
        }
    }

    void flush(double* matrix) {
        flush_table(sums_.cells.get(), job_.num_classes(), job_.options, matrix, nullptr);
    }

    [[nodiscard]] bool all_valid() const noexcept { return valid_; }

   private:
    const Job& job_;
    bool valid_ = true;
    TileReader reader_;
    simd::Lookup pred_lookup_;
    simd::Lookup target_lookup_;
    ZeroedTable<double> sums_;
    std::vector<std::uint64_t> resolved_;
};

bool add_all_weights(const Job& job, double* matrix) {
    require_image_axis(job);
    const std::int64_t images = job.images();
    const std::int64_t pixels = job.target.size();
    if (pixels == 0) return true;
    const Pieces pieces(images, pixels / images, kWeightedPiece);
    const int workers = worker_count(job, pixels);
    const Offsets offsets(job);
    Turnstile output;
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> valid{true};
    const auto work = [&] {
        WeightedCounter counter(job, offsets);
        for (std::int64_t piece = next++; piece < pieces.total; piece = next++) {
            const std::int64_t image = pieces.image(piece);
            counter.count(Pair(job, image), pieces.begin(piece), pieces.end(piece));
            output.pass(piece, [&] { counter.flush(matrix + image * matrix_size(job)); });
        }
        if (!counter.all_valid()) valid = false;
    };
    run_blocks(workers, workers, [&](std::int64_t) {
        try {
            work();
        } catch (...) {
            output.open();
            throw;
        }
    });
    return valid;
}

}  // namespace

void confusion_matrix(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                      const LabelTable& pred_labels, const LabelTable& target_labels,
                      const ConfusionOptions& options, std::int64_t* matrix, PixelTally* tally) {
    count_all({target, pred, mask, nullptr, pred_labels, target_labels, options}, matrix, tally);
}

bool weighted_confusion_matrix(const ArrayView& pred, const ArrayView& target,
                               const ArrayView* mask, const ArrayView& weights,
                               const LabelTable& pred_labels, const LabelTable& target_labels,
                               const ConfusionOptions& options, double* matrix) {
    return add_all_weights({target, pred, mask, &weights, pred_labels, target_labels, options},
                           matrix);
}

bool confusion_matrix_from_scores(const ArrayView& scores, std::optional<double> threshold,
                                  const ArrayView& target, const ArrayView* mask,
                                  const LabelTable& channels, const LabelTable& target_labels,
                                  const ConfusionOptions& options, std::int64_t* matrix,
                                  PixelTally* tally) {
    return count_all({target, scores, mask, nullptr, channels, target_labels, options, threshold},
                     matrix, tally);
}

}  // namespace segmeter

#include "segmeter/boundary/edt.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/lines.hpp"

namespace segmeter {

const simd::DistanceKernels& distance_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kDistanceKernels;
        case SimdLevel::kAvx2: return simd::avx2::kDistanceKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kDistanceKernels;
#endif
        default: return simd::baseline::kDistanceKernels;
    }
}

namespace {

using simd::kLanes;
using simd::kNoStep;

// Columns that one block of the first axis' scan takes: their steps stay in the second cache.
constexpr std::int64_t kScanColumns = 512;
// Rows of a 2-D image that are finished together.
constexpr std::int64_t kSlabRows = 64;
// What a pixel costs in the quarter nanoseconds of thread_count().
constexpr std::int64_t kWorkPerPixel = 4;

// Bytes that are 0 before the first one that is not; and behind the last one.
std::int64_t zeros_before(const std::byte* row, std::int64_t n) {
    std::int64_t i = 0;
    for (std::uint64_t word = 0; i + 8 <= n; i += 8) {
        std::memcpy(&word, row + i, sizeof(word));
        if (word != 0) break;
    }
    while (i < n && row[i] == std::byte{0}) ++i;
    return i;
}
std::int64_t zeros_behind(const std::byte* row, std::int64_t n) {
    std::int64_t i = 0;
    for (std::uint64_t word = 0; i + 8 <= n; i += 8) {
        std::memcpy(&word, row + n - i - 8, sizeof(word));
        if (word != 0) break;
    }
    while (i < n && row[n - 1 - i] == std::byte{0}) ++i;
    return i;
}

// The image as planes along the first axis; a 2-D one has planes of one row.
class Transform {
   public:
    Transform(const DistanceTransform& job, double* distance, std::int32_t* nearest)
        : job_(job),
          kernels_(distance_kernels()),
          planes_(job.shape[0]),
          rows_(job.ndim == 3 ? job.shape[1] : 1),
          width_(job.shape[static_cast<std::size_t>(job.ndim - 1)]),
          row_spacing_(job.spacing[1]),
          spacing_(job.spacing[static_cast<std::size_t>(job.ndim - 1)]),
          slab_planes_(job.ndim == 3 ? 1 : kSlabRows),
          distance_(distance),
          nearest_(nearest),
          needs_steps_(!job.is_mask || job.border_is_background) {
        int width_index = 0;
        while ((1 << width_index) < job.label_size) ++width_index;
        scan_ = job.is_mask              ? kernels_.scan_mask
                : job.zero_is_background ? kernels_.scan_background[width_index]
                                         : kernels_.scan_labels[width_index];
        double extent = 0;
        double finest = std::numeric_limits<double>::infinity();
        for (std::size_t axis = 0; axis < static_cast<std::size_t>(job.ndim); ++axis) {
            const double length = static_cast<double>(job.shape[axis]) * job.spacing[axis];
            extent += length * length;
            finest = std::min(finest, job.spacing[axis] * job.spacing[axis]);
        }
        is_monotone_ = extent < 0x1p48 * finest;
    }

    void run(int threads) {
        const std::int64_t pixels = planes_ * rows_ * width_;
        if (pixels == 0) return;
        const int team = thread_count(threads, pixels * kWorkPerPixel, Team::kFresh);
        const std::int64_t plane = rows_ * width_;
        run_blocks((plane + kScanColumns - 1) / kScanColumns, team,
                   [&](std::int64_t block) {
                       const std::int64_t first = block * kScanColumns;
                       scan_planes(first, std::min(kScanColumns, plane - first));
                   },
                   Team::kFresh);
        // A few groups of slabs for every thread: a group shares its scratch.
        const std::int64_t slabs = (planes_ + slab_planes_ - 1) / slab_planes_;
        const std::int64_t groups = std::min<std::int64_t>(slabs, team == 1 ? 1 : 8 * team);
        run_blocks(
            groups, team,
            [&](std::int64_t group) {
                finish_slabs(slabs * group / groups, slabs * (group + 1) / groups);
            },
            Team::kFresh);
    }

   private:
    [[nodiscard]] const std::byte* labels(std::int64_t pixel) const {
        return static_cast<const std::byte*>(job_.labels) + pixel * job_.label_size;
    }

    // Until its slab is finished, a plane's steps along the first axis lie in the memory of the
    // result, at the beginning of the slab.
    [[nodiscard]] std::int32_t* steps(std::int64_t plane) const {
        const std::int64_t slab = plane / slab_planes_;
        const std::int64_t size = rows_ * width_;
        auto* begin = reinterpret_cast<std::int32_t*>(distance_ + slab * slab_planes_ * size);
        return begin + (plane - slab * slab_planes_) * size;
    }

    // The steps along an axis of n entries: `row(i)` are the labels, `out(i)` the steps of entry
    // i, both of `count` pixels; `ahead` is scratch.
    template <class Row, class Out>
    void scan(std::int64_t n, std::int64_t count, const Row& row, const Out& out,
              std::int32_t* ahead) const {
        const auto start = [&](std::int64_t i) {
            if (job_.border_is_background)
                scan_.beyond(row(i), count, ahead);
            else
                std::fill_n(ahead, count, kNoStep);
        };
        start(0);
        for (std::int64_t j = 0; j < count; ++j) ahead[j] = -ahead[j];
        for (std::int64_t i = 0; i < n; ++i)
            scan_.forward(row(i), row(std::max<std::int64_t>(i - 1, 0)), i > 0 ? out(i - 1) : ahead,
                          count, out(i));
        start(n - 1);
        for (std::int64_t i = n - 1; i >= 0; --i)
            scan_.backward(row(i), row(std::min(i + 1, n - 1)), count, ahead, out(i));
    }

    void scan_planes(std::int64_t first, std::int64_t count) const {
        Scratch<std::int32_t> ahead(count);
        const std::int64_t size = rows_ * width_;
        scan(
            planes_, count, [&](std::int64_t plane) { return labels(plane * size + first); },
            [&](std::int64_t plane) { return steps(plane) + first; }, ahead.data());
    }

    void finish_slabs(std::int64_t begin, std::int64_t end) const;
    struct Worker;
    void finish(Worker& worker, std::int64_t first_plane, std::int64_t planes) const;
    struct Box {
        [[nodiscard]] std::int64_t lines() const noexcept { return line_end - line_begin; }
        [[nodiscard]] std::int64_t columns() const noexcept { return column_end - column_begin; }
        std::int64_t line_begin;
        std::int64_t line_end;
        std::int64_t column_begin;
        std::int64_t column_end;
    };
    [[nodiscard]] Box box_of(std::int64_t first_line, std::int64_t lines) const;
    void search_columns(Worker& worker, std::int64_t plane, const Box& box) const;
    void search_rows(Worker& worker, std::int64_t first_line, const Box& box) const;
    void name_nearest(Worker& worker, std::int64_t first_plane, std::int64_t planes) const;

    const DistanceTransform& job_;
    const simd::DistanceKernels& kernels_;
    simd::ScanKernels scan_{};
    std::int64_t planes_;
    std::int64_t rows_;
    std::int64_t width_;
    double row_spacing_;
    double spacing_;
    std::int64_t slab_planes_;
    double* distance_;
    std::int32_t* nearest_;
    bool needs_steps_;
    bool is_monotone_ = true;
};

// What one thread needs for a slab.
struct Transform::Worker {
    explicit Worker(const Transform& t)
        : columns(t.rows_, t.is_monotone_, t.nearest_ != nullptr),
          column_squares(t.rows_,
                         [&](std::int64_t d) { return static_cast<double>(d) * t.row_spacing_; }),
          rows(t.width_, t.is_monotone_, t.nearest_ != nullptr),
          row_squares(t.width_,
                      [&](std::int64_t d) { return static_cast<double>(d) * t.spacing_; }),
          pixels(std::min(t.slab_planes_, t.planes_) * t.rows_ * t.width_),
          squared(pixels),
          steps(t.needs_steps_ ? pixels : 0),
          ahead(t.width_),
          nearest_plane(t.nearest_ != nullptr ? pixels : 0),
          nearest_row(t.nearest_ != nullptr ? pixels : 0),
          nearest_column(t.nearest_ != nullptr ? pixels : 0) {}

    LineSearch columns;  // along the middle axis
    StepSquares column_squares;
    LineSearch rows;  // along the last one
    StepSquares row_squares;
    std::int64_t pixels;
    Scratch<double> squared;  // within all axes but the last
    Scratch<std::int32_t> steps;
    Scratch<std::int32_t> ahead;
    Scratch<std::int32_t> nearest_plane;  // as steps
    Scratch<std::int32_t> nearest_row;
    Scratch<std::int32_t> nearest_column;
};

void Transform::finish_slabs(std::int64_t begin, std::int64_t end) const {
    Worker worker(*this);
    for (std::int64_t slab = begin; slab < end; ++slab) {
        const std::int64_t first = slab * slab_planes_;
        finish(worker, first, std::min(slab_planes_, planes_ - first));
    }
}

// The part of a slab that has to be searched: lines and columns [begin, end). Where label 0 has
// distance 0, that is the box around all others, with the 0 around them: no pixel is nearer to
// another label beyond that.
Transform::Box Transform::box_of(std::int64_t first_line, std::int64_t lines) const {
    if (!job_.zero_is_background || nearest_ != nullptr) return {0, lines, 0, width_};
    Box box{lines, 0, width_, 0};
    const std::int64_t bytes = width_ * job_.label_size;
    for (std::int64_t line = 0; line < lines; ++line) {
        const std::byte* row = labels((first_line + line) * width_);
        const std::int64_t first = zeros_before(row, bytes);
        if (first == bytes) continue;
        box.line_begin = std::min(box.line_begin, line);
        box.line_end = line + 1;
        box.column_begin = std::min(box.column_begin, first / job_.label_size);
        const std::int64_t last = bytes - 1 - zeros_behind(row, bytes);
        box.column_end = std::max(box.column_end, last / job_.label_size + 1);
    }
    if (box.line_end == 0) return {0, 0, 0, 0};
    return {std::max<std::int64_t>(box.line_begin - 1, 0), std::min(box.line_end + 1, lines),
            std::max<std::int64_t>(box.column_begin - 1, 0), std::min(box.column_end + 1, width_)};
}

void Transform::finish(Worker& worker, std::int64_t first_plane, std::int64_t planes) const {
    const std::int64_t first_line = first_plane * rows_;
    const std::int64_t pixels = planes * rows_ * width_;
    double* distance = distance_ + first_line * width_;
    const Box box = box_of(first_line, planes * rows_);
    if (nearest_ != nullptr) std::copy_n(steps(first_plane), pixels, worker.nearest_plane.data());
    kernels_.square_steps(steps(first_plane) + box.line_begin * width_, box.lines() * width_,
                          job_.spacing[0], worker.squared.data() + box.line_begin * width_);
    if (box.lines() * box.columns() < pixels) std::fill_n(distance, pixels, 0.0);
    if (job_.ndim == 3) search_columns(worker, first_plane, box);
    search_rows(worker, first_line, box);
    if (nearest_ != nullptr) name_nearest(worker, first_plane, planes);
    if (!job_.squared) kernels_.root(distance + box.line_begin * width_, box.lines() * width_);
    if (job_.negate_labels) scan_.negate(labels(first_line * width_), pixels, distance);
}

void Transform::search_columns(Worker& worker, std::int64_t plane, const Box& box) const {
    simd::Tile tile = worker.columns.tile(worker.column_squares.middle());
    tile.n = box.lines();
    const std::int64_t before = box.line_begin * width_;
    double* squared = worker.squared.data() + before;
    std::int32_t* nearest = nearest_ != nullptr ? worker.nearest_row.data() : nullptr;
    for (std::int64_t x = box.column_begin; x < box.column_end; x += kLanes) {
        const std::int64_t lanes = std::min(kLanes, box.column_end - x);
        const simd::Filled filled = kernels_.load_columns(tile, squared + x, width_, lanes);
        if (filled.finite != 0) kernels_.solve(tile, filled.entries);
        kernels_.store_columns(tile, filled.finite, lanes, width_, squared + x,
                               nearest != nullptr ? nearest + x : nullptr);
    }
    if (!needs_steps_) return;
    const std::int64_t first_pixel = plane * rows_ * width_ + before + box.column_begin;
    std::int32_t* steps = worker.steps.data();
    scan(
        box.lines(), box.columns(),
        [&](std::int64_t row) { return labels(first_pixel + row * width_); },
        [&](std::int64_t row) { return steps + row * width_; }, worker.ahead.data());
    for (std::int64_t row = 0; row < box.lines(); ++row)
        kernels_.merge_steps(steps + row * width_, box.columns(), row_spacing_,
                             static_cast<std::int32_t>(row), 0,
                             squared + row * width_ + box.column_begin,
                             nearest != nullptr ? nearest + row * width_ : nullptr);
}

// A few rows of the slab at a time, from the squares within the axes before to the result.
void Transform::search_rows(Worker& worker, std::int64_t first_line, const Box& box) const {
    simd::Tile tile = worker.rows.tile(worker.row_squares.middle());
    tile.n = box.columns();
    const double* squared = worker.squared.data() + box.column_begin;
    double* distance = distance_ + first_line * width_ + box.column_begin;
    std::int32_t* nearest = nearest_ != nullptr ? worker.nearest_column.data() : nullptr;
    for (std::int64_t line = box.line_begin; line < box.line_end; line += kLanes) {
        const std::int64_t lanes = std::min(kLanes, box.line_end - line);
        const simd::Filled filled =
            kernels_.load_rows(tile, squared + line * width_, width_, lanes);
        if (filled.finite != 0) kernels_.solve(tile, filled.entries);
        kernels_.store_rows(tile, filled.finite, lanes, width_, distance + line * width_,
                            nearest != nullptr ? nearest + line * width_ : nullptr);
    }
    if (!needs_steps_) return;
    std::int32_t* steps = worker.steps.data();
    for (std::int64_t line = box.line_begin; line < box.line_end; ++line) {
        const std::int64_t pixel = (first_line + line) * width_ + box.column_begin;
        scan_.along(labels(pixel), box.columns(), job_.border_is_background, steps);
        kernels_.merge_steps(steps, box.columns(), spacing_, 0, 1, distance + line * width_,
                             nearest != nullptr ? nearest + line * width_ : nullptr);
    }
}

// The axes were searched one by one; the way back goes from the last to the first, until it comes
// to a pixel that is itself the nearest one (a complement).
void Transform::name_nearest(Worker& worker, std::int64_t first_plane, std::int64_t planes) const {
    const std::int64_t all = planes_ * rows_ * width_;
    const std::int64_t before = first_plane * rows_ * width_;
    std::int32_t* const plane_out = nearest_ + before;
    std::int32_t* const row_out = plane_out + all;
    std::int32_t* const column_out = plane_out + (job_.ndim - 1) * all;
    const bool is_volume = job_.ndim == 3;
    for (std::int64_t line = 0; line < planes * rows_; ++line) {
        for (std::int64_t x = 0; x < width_; ++x) {
            const std::int64_t pixel = line * width_ + x;
            if (distance_[before + pixel] == std::numeric_limits<double>::infinity()) {
                for (int axis = 0; axis < job_.ndim; ++axis) plane_out[axis * all + pixel] = -1;
                continue;
            }
            auto plane = static_cast<std::int32_t>(first_plane + (is_volume ? 0 : line));
            auto row = static_cast<std::int32_t>(line);
            std::int32_t column = worker.nearest_column.data()[pixel];
            bool is_found = column < 0;
            if (is_found) column = ~column;
            if (is_volume && !is_found) {
                row = worker.nearest_row.data()[line * width_ + column];
                is_found = row < 0;
                if (is_found) row = ~row;
            }
            if (!is_found) plane += worker.nearest_plane.data()[row * width_ + column];
            plane_out[pixel] = plane;
            if (is_volume) row_out[pixel] = row;
            column_out[pixel] = column;
        }
    }
}

}  // namespace

void distance_transform(const DistanceTransform& job, double* distance, std::int32_t* nearest,
                        int threads) {
    Transform(job, distance, nearest).run(threads);
}

}  // namespace segmeter

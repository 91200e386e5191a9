#include "boundary/planes.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <utility>

#include "segmeter/parallel.hpp"

namespace segmeter {
namespace {

using simd::kLanes;

constexpr std::int64_t kNone = -1;
// What a pixel costs in the quarter nanoseconds of thread_count(), for each view and kind.
constexpr std::int64_t kWorkPerPixel = 16;

}  // namespace

PointsByPlane::PointsByPlane(std::span<const std::uint64_t> points, const SurfacePoints& layout,
                             const PlaneOrder& order,
                             std::function<std::int64_t(std::uint64_t)> size)
    : points_(points), order_(order), size_(std::move(size)) {
    // The rows of the box's raster: of its planes and rows, whichever of them come first in a sum.
    const auto extent = [&](std::size_t axis) {
        for (std::size_t i = 0; i < 3; ++i)
            if (order.axis(i) == axis) return order.extents()[i];
        return std::int64_t{0};
    };
    rows_per_plane_ = extent(1);
    rows_.resize(static_cast<std::size_t>(extent(0) * rows_per_plane_) + 1);
    std::size_t row = 0;
    Row here;
    for (const std::uint64_t point : points) {
        const PlaneBox p = order.inside(layout.place(point));
        PlaneBox raster{};
        for (std::size_t i = 0; i < 3; ++i) raster[order.axis(i)] = p[i];
        const auto at = static_cast<std::size_t>(raster[0] * rows_per_plane_ + raster[1]);
        while (row <= at) rows_[row++] = here;
        ++here.first_point;
        here.first_result += size_(point);
    }
    while (row < rows_.size()) rows_[row++] = here;
}

PlaneSearch::PlaneSearch(const PlaneBox& extents, std::vector<std::vector<Squares>> squares,
                         bool is_monotone)
    : extents_(extents),
      squares_(std::move(squares)),
      is_monotone_(is_monotone),
      bits_(squares_.front().size(), std::vector<std::uint64_t>(static_cast<std::size_t>(
                                         (extents[0] + 63) / 64 * extents[1] * extents[2]))) {}

// What one thread needs for a plane.
class PlaneSearch::Worker {
   public:
    Worker(const PlaneSearch& search, double* distances)
        : s_(search),
          distances_(distances),
          planes_(s_.extents_[0]),
          rows_(s_.extents_[1]),
          width_(s_.extents_[2]),
          has_words_around_(planes_ > 64),
          columns_search_(rows_, s_.is_monotone_, false),
          rows_search_(width_, s_.is_monotone_, false),
          around_(has_words_around_ ? s_.bits_.size() : 0),
          lines_(kLanes * width_),
          more_lines_(kLanes * width_) {
        for (Around& around : around_) {
            around.before.resize(static_cast<std::size_t>(rows_ * width_));
            around.behind.resize(static_cast<std::size_t>(rows_ * width_));
        }
    }

    // The places of each view.
    void measure(std::int64_t plane, const Places& places) {
        for (std::size_t view = 0; view < places.size(); ++view) {
            if (places[view].empty()) continue;
            if (has_words_around_ && plane / 64 != word_) look_around(plane / 64);
            list_rows(places[view]);
            search_columns(plane, s_.squares_[view]);
            search_rows(places[view]);
        }
    }

   private:
    // For each pixel of a plane the last point before the planes of its word, and the first one
    // behind them.
    struct Around {
        std::vector<std::int32_t> before;
        std::vector<std::int32_t> behind;
    };

    void look_around(std::int64_t word) {
        word_ = word;
        const std::int64_t size = rows_ * width_;
        const std::int64_t words = (planes_ + 63) / 64;
        for (std::size_t kind = 0; kind < around_.size(); ++kind) {
            const std::uint64_t* bits = s_.bits_[kind].data();
            auto& [before, behind] = around_[kind];
            std::fill(before.begin(), before.end(), kNone);
            std::fill(behind.begin(), behind.end(), kNone);
            for (std::int64_t w = 0; w < word; ++w)
                for (std::int64_t i = 0; i < size; ++i)
                    if (const std::uint64_t set = bits[w * size + i]; set != 0)
                        before[static_cast<std::size_t>(i)] =
                            static_cast<std::int32_t>(64 * w + 63 - std::countl_zero(set));
            for (std::int64_t w = words - 1; w > word; --w)
                for (std::int64_t i = 0; i < size; ++i)
                    if (const std::uint64_t set = bits[w * size + i]; set != 0)
                        behind[static_cast<std::size_t>(i)] =
                            static_cast<std::int32_t>(64 * w + std::countr_zero(set));
        }
    }

    // Where there are places: in which rows, and between which rows and columns.
    void list_rows(const std::vector<Place>& places) {
        in_row_.assign(static_cast<std::size_t>(rows_), kNone);
        next_in_row_.resize(places.size());
        first_row_ = rows_;
        end_row_ = 0;
        first_column_ = width_;
        end_column_ = 0;
        for (std::size_t i = 0; i < places.size(); ++i) {
            const Place& place = places[i];
            next_in_row_[i] = std::exchange(in_row_[static_cast<std::size_t>(place.row)],
                                            static_cast<std::int64_t>(i));
            first_row_ = std::min(first_row_, place.row);
            end_row_ = std::max(end_row_, place.row + 1);
            first_column_ = std::min(first_column_, place.column);
            end_column_ = std::max(end_column_, place.column + 1);
        }
    }

    // Squares along the first axis.
    void square_planes(std::int64_t plane, std::size_t kind, const double* square,
                       double* squared) const {
        const std::int64_t size = rows_ * width_;
        const std::uint64_t* bits = s_.bits_[kind].data() + plane / 64 * size;
        const std::int32_t* before = has_words_around_ ? around_[kind].before.data() : nullptr;
        const std::int32_t* behind = has_words_around_ ? around_[kind].behind.data() : nullptr;
        const auto bit = static_cast<int>(plane % 64);
        for (std::int64_t i = 0; i < size; ++i) {
            const std::uint64_t back = bits[i] << (63 - bit);
            const std::uint64_t ahead = bits[i] >> bit >> 1;
            // From where a point would be that does not exist there are infinitely many.
            std::int64_t last = before != nullptr && before[i] >= 0 ? before[i] : plane - planes_;
            std::int64_t next = behind != nullptr && behind[i] >= 0 ? behind[i] : plane + planes_;
            last = back != 0 ? plane - std::countl_zero(back) : last;
            next = ahead != 0 ? plane + 1 + std::countr_zero(ahead) : next;
            squared[i] = std::min(square[plane - last], square[plane - next]);
        }
    }

    // Of a plane, in the rows where places may be.
    void search_columns(std::int64_t plane, const std::vector<Squares>& squares) {
        std::size_t groups = 0;
        for (std::size_t kind = 0; kind < squares.size(); ++kind) {
            const bool is_joined = kind > 0 && squares[kind][2] == squares[kind - 1][2];
            double* squared = buffer(groups).data();
            square_planes(plane, kind, squares[kind][0], squared);
            search_columns_of(squares[kind][1], squared);
            if (is_joined) {
                double* joined = buffer(groups - 1).data();
                for (std::int64_t i = first_row_ * width_; i < end_row_ * width_; ++i)
                    joined[i] = std::min(joined[i], squared[i]);
            } else {
                last_squares_[groups++] = squares[kind][2];
            }
        }
        num_groups_ = groups;
    }

    void search_columns_of(const double* square, double* squared) {
        const simd::DistanceKernels& kernels = distance_kernels();
        simd::Tile tile = columns_search_.tile(square);
        simd::Tile wanted = columns_search_.tile(square + first_row_);
        wanted.n = end_row_ - first_row_;
        for (std::int64_t x = 0; x < width_; x += kLanes) {
            const std::int64_t lanes = std::min(kLanes, width_ - x);
            const simd::Filled filled = kernels.load_columns(tile, squared + x, width_, lanes);
            if (filled.finite != 0) kernels.solve(wanted, filled.entries);
            kernels.store_columns(wanted, filled.finite, lanes, width_,
                                  squared + first_row_ * width_ + x, nullptr);
        }
    }

    // A few rows at a time, to the result.
    void search_rows(const std::vector<Place>& places) {
        for (std::int64_t row = first_row_; row < end_row_; row += kLanes) {
            const std::int64_t lanes = std::min(kLanes, end_row_ - row);
            const auto has_places = [&](std::int64_t lane) {
                return in_row_[static_cast<std::size_t>(row + lane)] != kNone;
            };
            std::int64_t lane = 0;
            while (lane < lanes && !has_places(lane)) ++lane;
            if (lane == lanes) continue;
            for (std::size_t group = 0; group < num_groups_; ++group)
                search_rows_of(group, row, lanes);
            for (lane = 0; lane < lanes; ++lane)
                for (std::int64_t i = in_row_[static_cast<std::size_t>(row + lane)]; i != kNone;
                     i = next_in_row_[static_cast<std::size_t>(i)]) {
                    const Place& place = places[static_cast<std::size_t>(i)];
                    distances_[place.result] =
                        std::sqrt(lines_.data()[lane * width_ + place.column]);
                }
        }
    }

    void search_rows_of(std::size_t group, std::int64_t row, std::int64_t lanes) {
        const simd::DistanceKernels& kernels = distance_kernels();
        simd::Tile tile = rows_search_.tile(last_squares_[group]);
        simd::Tile wanted = rows_search_.tile(last_squares_[group] + first_column_);
        wanted.n = end_column_ - first_column_;
        const simd::Filled filled =
            kernels.load_rows(tile, buffer(group).data() + row * width_, width_, lanes);
        if (filled.finite != 0) kernels.solve(wanted, filled.entries);
        double* lines = (group == 0 ? lines_ : more_lines_).data();
        kernels.store_rows(wanted, filled.finite, lanes, width_, lines + first_column_, nullptr);
        for (std::int64_t lane = 0; group > 0 && lane < lanes; ++lane)
            for (std::int64_t x = first_column_; x < end_column_; ++x)
                lines_.data()[lane * width_ + x] =
                    std::min(lines_.data()[lane * width_ + x], lines[lane * width_ + x]);
    }

    Scratch<double>& buffer(std::size_t i) {
        while (buffers_.size() <= i) buffers_.emplace_back(rows_ * width_);
        return buffers_[i];
    }

    const PlaneSearch& s_;
    double* distances_;
    std::int64_t planes_;
    std::int64_t rows_;
    std::int64_t width_;
    bool has_words_around_;
    LineSearch columns_search_;
    LineSearch rows_search_;
    std::vector<std::int64_t> in_row_;       // one place of each row
    std::vector<std::int64_t> next_in_row_;  // another one of the same row
    std::int64_t first_row_ = 0;
    std::int64_t end_row_ = 0;
    std::int64_t first_column_ = 0;
    std::int64_t end_column_ = 0;
    std::int64_t word_ = kNone;
    std::vector<Around> around_;
    // Squares within a plane, of kinds that have the same squares along the last axis; the one
    // behind those is for what is to be joined.
    std::vector<Scratch<double>> buffers_;
    std::array<const double*, 3> last_squares_{};
    std::size_t num_groups_ = 0;
    Scratch<double> lines_;
    Scratch<double> more_lines_;
};

void PlaneSearch::run(const CollectPlaces& collect, double* distances, int threads) const {
    const std::int64_t planes = extents_[0];
    const auto layers = static_cast<std::int64_t>(squares_.size() * bits_.size());
    const std::int64_t work = planes * extents_[1] * extents_[2] * layers * kWorkPerPixel;
    const int team = thread_count(threads, work, Team::kFresh);
    const std::int64_t groups = std::min<std::int64_t>(planes, team == 1 ? 1 : 8 * team);
    run_blocks(
        groups, team,
        [&](std::int64_t group) {
            // Most planes may have no places, and a worker takes a plane's memory.
            std::optional<Worker> worker;
            Places places(squares_.size());
            for (std::int64_t plane = planes * group / groups;
                 plane < planes * (group + 1) / groups; ++plane) {
                for (std::vector<Place>& of_view : places) of_view.clear();
                collect(plane, places);
                const auto is_empty = [](const auto& of_view) { return of_view.empty(); };
                if (std::all_of(places.begin(), places.end(), is_empty)) continue;
                if (!worker) worker.emplace(*this, distances);
                worker->measure(plane, places);
            }
        },
        Team::kFresh);
}

}  // namespace segmeter

// Points of the surfaces of every class of a label map.
//
// Slab by slab: bits say where 2x2x2 blocks of pixels are not uniform (a vector loop), and at these
// the labels are looked up and points written, in raster order. A pixel can be a point only if one
// of the blocks around it is not uniform.

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "segmeter/boundary/surface.hpp"
#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/surface_labels.hpp"
#include "simd/surface_kernels.hpp"

namespace segmeter {

const simd::SurfaceKernels& surface_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kSurfaceKernels;
        case SimdLevel::kAvx2: return simd::avx2::kSurfaceKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kSurfaceKernels;
#endif
        default: return simd::baseline::kSurfaceKernels;
    }
}

namespace {

constexpr std::int64_t kSlabPixels = std::int64_t{1} << 19;  // at least
constexpr std::int64_t kSlabsPerThread = 8;
constexpr int kMaxBlock = 8;
constexpr std::size_t kFirstListSize = 512;  // points of a label in a slab

using Place = std::array<std::int64_t, 3>;

// What all slabs share.
struct Task {
    Task(const ArrayView& map_view, const SurfaceLabels& meaning, const ArrayView& other_view,
         const SurfaceLabels& other_meaning, const ArrayView* mask_view,
         const ClassGroups& class_groups, const SurfaceOptions& surface_options)
        : map(map_view),
          other(other_view),
          mask(mask_view == nullptr ? map : LabelVolume(*mask_view)),
          has_mask(mask_view != nullptr),
          slots(meaning, map.dtype),
          other_slots(other_meaning, other.dtype),
          has_ignored(has_mask || slots.ignores() || other_slots.ignores()),
          groups(class_groups),
          options(surface_options) {
        if (map.shape != other.shape || map.shape != mask.shape ||
            map.has_planes != other.has_planes)
            throw std::invalid_argument("maps and mask must have the same shape");
        one_each = options.num_groups + 1 == static_cast<std::int64_t>(groups.begin.size());
        for (std::size_t c = 0; one_each && c + 1 < groups.begin.size(); ++c)
            one_each = groups.begin[c] == static_cast<std::int64_t>(c) &&
                       groups.group[c] == static_cast<std::int32_t>(c);
        const bool corners =
            options.rule == SurfaceRule::kCorner || options.rule == SurfaceRule::kFaceMesh;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const bool is_axis = axis > 0 || map.has_planes;
            lattice[axis] = map.shape[axis] + std::int64_t{corners && is_axis};
            bits[axis] =
                static_cast<int>(std::bit_width(static_cast<std::uint64_t>(lattice[axis])));
        }
        if (bits[0] + bits[1] + bits[2] > 40) throw std::invalid_argument("the map is too large");
        find_outside();
        is_plain = one_each && !has_ignored && slots.one_label_each() &&
                   map.dtype != DType::kBool && options.rule != SurfaceRule::kFaceMesh &&
                   (!options.closed || (has_outside && slots(outside) != kSlotInvalid));
    }

    [[nodiscard]] bool is_ignored(std::int64_t z, std::int64_t y, std::int64_t x) const noexcept {
        return (has_mask && mask.bits_at(z, y, x) != 0) ||
               slots(map.bits_at(z, y, x)) == kSlotIgnored ||
               other_slots(other.bits_at(z, y, x)) == kSlotIgnored;
    }
    // Groups of a slot.
    [[nodiscard]] std::span<const std::int32_t> groups_of(std::uint32_t slot) const noexcept {
        if (slot < kFirstClass) return {};
        const std::size_t c = slot - kFirstClass;
        const auto first = static_cast<std::size_t>(groups.begin[c]);
        return groups.group.subspan(first, static_cast<std::size_t>(groups.begin[c + 1]) - first);
    }
    [[nodiscard]] std::uint64_t packed(std::int64_t z, std::int64_t y, std::int64_t x,
                                       std::uint32_t code) const noexcept {
        return ((static_cast<std::uint64_t>(z) << bits[1] | static_cast<std::uint64_t>(y))
                    << bits[2] |
                static_cast<std::uint64_t>(x))
                   << 8 |
               code;
    }

    LabelVolume map;
    LabelVolume other;
    LabelVolume mask;
    bool has_mask;
    SlotTable slots;
    SlotTable other_slots;
    bool has_ignored;
    ClassGroups groups;
    const SurfaceOptions& options;
    bool one_each;  // class c is group c
    // Whether unequal labels are of different classes, and pixels beyond the image have a label.
    bool is_plain;
    Place lattice{};
    std::array<int, 3> bits{};
    // A label of no group, for pixels beyond the image; where there is none, all blocks there are
    // looked at.
    std::uint64_t outside = 0;
    bool has_outside = false;

   private:
    void find_outside() {
        const std::uint64_t most = map.dtype == DType::kBool ? 1 : map.width == 1 ? 255 : 65535;
        for (std::uint64_t label = 0; label <= most && !has_outside; ++label) {
            outside = label;
            has_outside = groups_of(slots(label)).empty();
        }
    }
};

// Points of one slab, and what else was seen there.
struct Found {
    Buffer<std::uint64_t> points;  // group in the upper 16 bits
    // Or those of one group each, in no order.
    std::vector<Buffer<std::uint64_t>> lists;
    bool met_invalid = false;
    bool met_class = false;
    std::uint64_t lowest = std::numeric_limits<std::uint64_t>::max();  // by bit pattern
    std::uint64_t highest = 0;
};

// Part of the lattice: planes and rows of points.
struct Slab {
    std::int64_t plane_begin;
    std::int64_t plane_end;
    std::int64_t row_begin;
    std::int64_t row_end;
};

template <class T>
class SlabFinder {
   public:
    SlabFinder(const Task& task, const Slab& slab, Found& found)
        : task_(task),
          slab_(slab),
          found_(found),
          n_(task.map.shape[2]),
          words_(n_ / 64 + 1),
          same_bytes_(surface_kernels().same_bytes),
          find_mixed_(surface_kernels().find_mixed[std::countr_zero(sizeof(T))]),
          find_faced_(surface_kernels().find_faced[std::countr_zero(sizeof(T))]) {}

    void run() {
        switch (task_.options.rule) {
            case SurfaceRule::kCorner:
            case SurfaceRule::kFaceMesh: find_corners(); break;
            case SurfaceRule::kForeground: find_foreground(); break;
            case SurfaceRule::kVoxelFace: find_faced_pixels(); break;
            case SurfaceRule::kVoxelFull: find_pixels();
        }
    }

   private:
    using Bits = std::vector<std::uint64_t>;

    // --- where blocks are not uniform ---

    // Row of pixels; beyond the image nobody's, or the one at its edge.
    const T* row(std::int64_t z, std::int64_t y) const {
        const auto& [planes, rows, n] = task_.map.shape;
        if (z >= 0 && z < planes && y >= 0 && y < rows) return task_.map.row<T>(z, y);
        if (task_.options.closed) return nobodys_.data();
        return task_.map.row<T>(std::clamp<std::int64_t>(z, 0, planes - 1),
                                std::clamp<std::int64_t>(y, 0, rows - 1));
    }

    void start(std::int64_t row_begin, std::int64_t row_end) {
        nobodys_.assign(static_cast<std::size_t>(n_), static_cast<T>(task_.outside));
        row_begin_ = row_begin;
        row_end_ = row_end;
        plane_mixed_.assign(static_cast<std::size_t>((row_end - row_begin) * words_), 0);
        was_empty_.assign(static_cast<std::size_t>(row_end - row_begin), 0);
    }

    // Whether all pixels of a row have the label that stands for those beyond the image.
    [[nodiscard]] bool is_empty(const T* pixels) const {
        return same_bytes_(pixels, nobodys_.data(), n_ * static_cast<std::int64_t>(sizeof(T)));
    }

    // Bits of the blocks in rows [row_begin_, row_end_) of a plane of corners; planes in order,
    // the one before the first primed. visit(row, bits) where there are any.
    template <class Visit>
    void scan_plane(std::int64_t z, Visit&& visit) {
        const bool flat = !task_.map.has_planes;
        const bool edge_plane = !flat && (z == 0 || z == task_.map.shape[0]);
        if (flat) std::fill(plane_mixed_.begin(), plane_mixed_.end(), 0);
        row_changes_.assign(static_cast<std::size_t>(words_), 0);
        mixed_.resize(static_cast<std::size_t>(words_));
        Bits unused(static_cast<std::size_t>(words_));
        const auto find = [&](std::int64_t y, const T* before, const T* plane_before,
                              std::uint64_t* plane_mixed) {
            return find_mixed_({row(z, y), before, plane_before, n_, task_.outside,
                                task_.options.closed, row_changes_.data(), plane_mixed,
                                mixed_.data()});
        };
        if (row_begin_ > 0) {
            const T* first = row(z, row_begin_ - 1);
            find(row_begin_ - 1, first, first, unused.data());
        }
        bool above = false;   // whether the row before is empty
        bool corner = false;  // and that one in the plane before
        for (std::int64_t y = row_begin_; y < row_end_; ++y) {
            const bool here = task_.has_outside && is_empty(row(z, y));
            char& in_plane_before = was_empty_[static_cast<std::size_t>(y - row_begin_)];
            const bool before = flat || in_plane_before != 0;
            in_plane_before = static_cast<char>(here);
            const bool all_empty = here && above && before && (flat || corner);
            above = here;
            corner = before;
            // Then nothing is mixed, and what was kept of the rows before says so already.
            if (all_empty) continue;
            bool any = find(y, row(z, y - 1), flat ? row(z, y) : row(z - 1, y),
                            plane_mixed_.data() + (y - row_begin_) * words_);
            if (task_.options.closed && !task_.has_outside) {
                force_edges(edge_plane || y == 0 || y == task_.map.shape[1]);
                any = true;
            }
            if (any) visit(y, mixed_.data());
        }
    }

    void force_edges(bool whole_row) {
        if (whole_row) std::fill(mixed_.begin(), mixed_.end(), ~std::uint64_t{0});
        mixed_[0] |= 1;
        mixed_.back() |= std::uint64_t{1} << (n_ % 64);
        mixed_.back() &= ~std::uint64_t{0} >> (63 - n_ % 64);
    }

    // Learns what the plane before `z` is like.
    void prime(std::int64_t z) {
        if (z > 0 && task_.map.has_planes) {
            scan_plane(z - 1, [](std::int64_t, const std::uint64_t*) {});
        }
    }

    template <class Visit>
    static void for_each_bit(const std::uint64_t* bits, std::int64_t words, Visit&& visit) {
        for (std::int64_t word = 0; word < words; ++word)
            for (std::uint64_t left = bits[word]; left != 0; left &= left - 1)
                visit(64 * word + std::countr_zero(left));
    }

    // --- corners ---

    void find_corners() {
        start(slab_.row_begin, slab_.row_end);
        if (task_.is_plain) list_groups_of_bytes();
        prime(slab_.plane_begin);
        for (std::int64_t z = slab_.plane_begin; z < slab_.plane_end; ++z) {
            scan_plane(z, [&](std::int64_t y, const std::uint64_t* bits) {
                set_block(z, y);
                if (task_.is_plain)
                    add_plain_corners(z, y, bits);
                else
                    for_each_bit(bits, words_, [&](std::int64_t x) { add_corner(z, y, x); });
            });
        }
        end_lists();
        for (std::size_t label = 0; label < bytes_met_.size(); ++label)
            if (bytes_met_[label] != 0)
                found_.met_invalid |= look_up(static_cast<T>(label)) == kSlotInvalid;
    }

    // The rows of pixels around the corners (z, y, ...), null where nobody's.
    void set_block(std::int64_t z, std::int64_t y) {
        num_rows_ = 0;
        for (std::int64_t dz = task_.map.has_planes ? 1 : 0; dz >= 0; --dz) {
            for (std::int64_t dy = 1; dy >= 0; --dy) {
                const T* pixels = row(z - dz, y - dy);
                const bool is_nobodys = pixels == nobodys_.data() && !task_.is_plain;
                block_[num_rows_++] = is_nobodys ? nullptr : pixels;
            }
        }
        // In 2-D the block is there twice, and its code is the lower half.
        if (num_rows_ == 2) std::copy_n(block_.begin(), 2, block_.begin() + 2);
    }

    // --- corners where each class is one label, and nothing is ignored ---

    using Labels = std::array<T, kMaxBlock>;

    void add_plain_corners(std::int64_t z, std::int64_t y, const std::uint64_t* bits) {
        const std::uint64_t base = task_.packed(z, y, 0, 0);
        // Where every label is somebody's there is none that the kernel could pass over.
        if (sizeof(T) == 1 && task_.has_outside && surface_kernels().list_corners != nullptr)
            list_corners(base, bits);
        else
            add_one_by_one(base, bits);
    }

    void list_corners(std::uint64_t base, const std::uint64_t* bits) {
        simd::CornerRow corners{};
        for (std::size_t r = 0; r < 4; ++r)
            corners.rows[r] = reinterpret_cast<const std::uint8_t*>(block_[r]);
        corners.n = n_;
        corners.outside = static_cast<std::uint8_t>(task_.outside);
        corners.closed = task_.options.closed;
        corners.full = num_rows_ == 2 ? 0xF : 0xFF;
        corners.mixed = bits;
        corners.groups = byte_groups_.data();
        corners.base = base;
        corners.labels_met = bytes_met_.data();
        corners.usual = &usual_byte_;
        corners.lists = lists_.data();
        corners.owner = this;
        corners.grow = [](void* finder, std::uint8_t label) {
            static_cast<SlabFinder*>(finder)->grow_list(label);
        };
        surface_kernels().list_corners(corners);
    }

    void grow_list(std::uint8_t label) {
        Buffer<std::uint64_t>& points = found_.lists[label];
        simd::PointList& list = lists_[label];
        const std::ptrdiff_t used = points.empty() ? 0 : list.next - points.data();
        points.resize(std::max(kFirstListSize, 2 * points.size()));
        list = {points.data() + used, points.data() + points.size()};
    }

    void end_lists() {
        for (std::size_t label = 0; label < lists_.size(); ++label) {
            Buffer<std::uint64_t>& points = found_.lists[label];
            if (points.empty()) continue;
            points.resize(static_cast<std::size_t>(lists_[label].next - points.data()));
        }
    }

    // Room for the points of a row, which are written before it is known whether they are any.
    void add_one_by_one(std::uint64_t base, const std::uint64_t* bits) {
        row_points_.resize(static_cast<std::size_t>(kMaxBlock * (n_ + 1)));
        next_point_ = row_points_.data();
        for_each_bit(bits, words_, [&](std::int64_t x) {
            Labels labels;
            if (x > 0 && x < n_) {
                for (std::size_t r = 0; r < 4; ++r)
                    std::memcpy(labels.data() + 2 * r, block_[r] + x - 1, 2 * sizeof(T));
            } else {
                read_edge(x, labels);
            }
            add_plain_corner(base | static_cast<std::uint64_t>(x) << 8, labels);
        });
        found_.points.append(row_points_.data(),
                             static_cast<std::size_t>(next_point_ - row_points_.data()));
    }

    void read_edge(std::int64_t x, Labels& labels) const {
        const std::int64_t left = column(x - 1);
        const std::int64_t right = column(x);
        const auto nobodys = static_cast<T>(task_.outside);
        for (std::size_t r = 0; r < 4; ++r) {
            labels[2 * r] = left < 0 ? nobodys : block_[r][left];
            labels[2 * r + 1] = right < 0 ? nobodys : block_[r][right];
        }
    }

    void add_plain_corner(std::uint64_t place, const Labels& labels) {
        // Two labels mostly, and no branch depends on which they are.
        const T last = labels.back();
        const std::uint32_t code = places_of(last, labels);
        const T other =
            labels[static_cast<std::size_t>(std::countl_zero((~code & 0xFF) << 24)) % 8];
        const std::uint32_t other_code = places_of(other, labels);
        if (code == 0xFF) return;
        add_plain_point(place, last, code);
        add_plain_point(place, other, other_code);
        std::uint32_t open = 0xFF & ~(code | other_code);
        while (open != 0) {
            const T label = labels[static_cast<std::size_t>(std::countl_zero(open << 24))];
            const std::uint32_t label_code = places_of(label, labels);
            open &= ~label_code;
            add_plain_point(place, label, label_code);
        }
    }

    void add_plain_point(std::uint64_t place, T label, std::uint32_t code) {
        const std::int32_t group = group_of(label);
        const std::uint32_t own = num_rows_ == 2 ? 0xF : 0xFF;
        *next_point_ = static_cast<std::uint64_t>(group) << 48 | place | (code & own);
        next_point_ += group >= 0 ? 1 : 0;
    }

    // Negative: none.
    std::int32_t group_of(T label) {
        if constexpr (sizeof(T) == 1) {
            bytes_met_[label] = 1;
            return byte_groups_[label];
        } else {
            const std::uint32_t slot = look_up(label);
            found_.met_invalid |= slot == kSlotInvalid;
            return slot < kFirstClass ? -1 : static_cast<std::int32_t>(slot - kFirstClass);
        }
    }

    void list_groups_of_bytes() {
        if constexpr (sizeof(T) == 1) {
            bytes_met_.assign(256, 0);
            lists_.assign(256, {});
            found_.lists.resize(256);
            byte_groups_.resize(256);
            for (std::uint64_t label = 0; label < 256; ++label) {
                const std::uint32_t slot = task_.slots(label);
                byte_groups_[label] =
                    slot < kFirstClass ? -1 : static_cast<std::int32_t>(slot - kFirstClass);
            }
        }
    }

    // Which of eight labels are equal to one of them: the last one is bit 0.
    static std::uint32_t places_of(T label, const std::array<T, kMaxBlock>& labels) {
        if constexpr (sizeof(T) == 1 && std::endian::native == std::endian::little) {
            constexpr std::uint64_t kOnes = 0x0101010101010101;
            constexpr std::uint64_t kLow = 0x7F * kOnes;
            std::uint64_t all;
            std::memcpy(&all, labels.data(), sizeof(all));
            const std::uint64_t other = all ^ label * kOnes;
            // The highest bit of each byte says whether it is 0; then all of them side by side.
            const std::uint64_t equal = ~(((other & kLow) + kLow) | other | kLow);
            return static_cast<std::uint32_t>(((equal >> 7) * 0x8040201008040201) >> 56);
        } else {
            std::uint32_t code = 0;
            for (const T other : labels) code = 2 * code + std::uint32_t{other == label};
            return code;
        }
    }

    // --- corners of any kind ---

    // Column of a pixel, -1 where nobody's.
    [[nodiscard]] std::int64_t column(std::int64_t x) const {
        if (x >= 0 && x < n_) return x;
        return task_.options.closed ? -1 : std::clamp<std::int64_t>(x, 0, n_ - 1);
    }

    void add_corner(std::int64_t z, std::int64_t y, std::int64_t x) {
        std::array<std::uint32_t, kMaxBlock> slots{};
        std::uint32_t bad = 0;
        const std::int64_t left = column(x - 1);
        const std::int64_t right = column(x);
        for (std::size_t r = 0; r < num_rows_; ++r) {
            if (block_[r] == nullptr) continue;
            if (left >= 0) slots[2 * r] = look_up(block_[r][left]);
            if (right >= 0) slots[2 * r + 1] = look_up(block_[r][right]);
            bad |= std::uint32_t{slots[2 * r] == kSlotInvalid} |
                   std::uint32_t{slots[2 * r + 1] == kSlotInvalid};
        }
        found_.met_invalid |= bad != 0;
        const std::size_t pixels = 2 * num_rows_;
        const std::uint32_t full = (1U << pixels) - 1;
        if (task_.one_each && task_.options.num_groups == 1) {
            std::uint32_t code = 0;
            for (std::size_t p = 0; p < pixels; ++p)
                code = 2 * code + std::uint32_t{slots[p] == kFirstClass};
            if (code != 0 && code != full) add_code(z, y, x, 0, code);
            return;
        }
        std::size_t count = 0;
        for (std::size_t p = 0; p < pixels; ++p) {
            const std::uint32_t bit = 1U << (pixels - 1 - p);
            for (const std::int32_t group : task_.groups_of(slots[p])) {
                std::size_t i = 0;
                while (i < count && codes_[i].first != group) ++i;
                if (i == count) {
                    if (count == codes_.size()) codes_.resize(2 * count + kMaxBlock);
                    codes_[count++] = {group, 0};
                }
                codes_[i].second |= bit;
            }
        }
        for (std::size_t i = 0; i < count; ++i)
            if (codes_[i].second != full) add_code(z, y, x, codes_[i].first, codes_[i].second);
    }

    void add_code(std::int64_t z, std::int64_t y, std::int64_t x, std::int32_t group,
                  std::uint32_t code) {
        if (task_.options.rule == SurfaceRule::kFaceMesh) {
            const std::uint32_t faces = faces_of({z, y, x}, code);
            if (faces != 0) add(z, y, x, group, faces);
            return;
        }
        if (task_.has_ignored && touches_ignored(z, y, x)) return;
        add(z, y, x, group, code);
    }

    // The axes that faces with this low corner are normal to, from the pixels around it. One side
    // of each is the last pixel of the block; where that lies beyond the image, only the face
    // across the axis that it does so along is one.
    [[nodiscard]] std::uint32_t faces_of(const Place& corner, std::uint32_t code) const {
        std::uint32_t faces = 0;
        for (std::size_t normal = task_.map.has_planes ? 0 : 1; normal < 3; ++normal) {
            if (((code >> (4U >> normal) ^ code) & 1) == 0) continue;
            Place before = corner;
            --before[normal];
            bool is_face = true;
            bool is_ignored = false;
            for (const Place& pixel : {corner, before}) {
                bool inside = true;
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    const bool fits = pixel[axis] >= 0 && pixel[axis] < task_.map.shape[axis];
                    inside = inside && fits;
                    is_face = is_face && (fits || axis == normal);
                }
                is_ignored = is_ignored || (inside && task_.has_ignored &&
                                            task_.is_ignored(pixel[0], pixel[1], pixel[2]));
            }
            if (is_face && !is_ignored) faces |= 1U << normal;
        }
        return faces;
    }

    [[nodiscard]] bool touches_ignored(std::int64_t z, std::int64_t y, std::int64_t x) const {
        const auto [planes, rows, n] = task_.map.shape;
        const auto known = [&](std::int64_t& at, std::int64_t extent) {
            if (at >= 0 && at < extent) return true;
            at = std::clamp<std::int64_t>(at, 0, extent - 1);
            return !task_.options.closed;
        };
        for (std::int64_t dz = task_.map.has_planes ? 1 : 0; dz >= 0; --dz)
            for (std::int64_t dy = 1; dy >= 0; --dy)
                for (std::int64_t dx = 1; dx >= 0; --dx) {
                    Place p = {z - dz, y - dy, x - dx};
                    if (known(p[0], planes) && known(p[1], rows) && known(p[2], n) &&
                        task_.is_ignored(p[0], p[1], p[2]))
                        return true;
                }
        return false;
    }

    // --- pixels ---

    void find_foreground() {
        for (std::int64_t z = slab_.plane_begin; z < slab_.plane_end; ++z)
            for (std::int64_t y = slab_.row_begin; y < slab_.row_end; ++y) {
                const T* pixels = row(z, y);
                for (std::int64_t x = 0; x < n_; ++x) {
                    const std::uint32_t slot = look_up(pixels[x]);
                    found_.met_invalid |= slot == kSlotInvalid;
                    const auto groups = task_.groups_of(slot);
                    if (groups.empty() || (task_.has_ignored && task_.is_ignored(z, y, x)))
                        continue;
                    for (const std::int32_t group : groups) add(z, y, x, group, 0);
                }
            }
    }

    void find_faced_pixels() {
        start(slab_.row_begin, slab_.row_end);
        list_neighbours();
        Bits faced(static_cast<std::size_t>(words_));
        const bool flat = !task_.map.has_planes;
        const bool is_known = task_.has_outside && task_.slots(task_.outside) != kSlotInvalid;
        const T* nobodys = is_known ? nobodys_.data() : nullptr;
        for (std::int64_t z = slab_.plane_begin; z < slab_.plane_end; ++z)
            for (std::int64_t y = slab_.row_begin; y < slab_.row_end; ++y) {
                const T* here = row(z, y);
                const bool any =
                    find_faced_({here,
                                 {row(z, y - 1), row(z, y + 1), flat ? here : row(z - 1, y),
                                  flat ? here : row(z + 1, y)},
                                 nobodys,
                                 n_,
                                 task_.outside,
                                 task_.options.closed,
                                 faced.data()});
                if (task_.options.closed && !task_.has_outside) {
                    const bool is_edge = y == 0 || y + 1 == task_.map.shape[1] ||
                                         (!flat && (z == 0 || z + 1 == task_.map.shape[0]));
                    force_pixels(faced, is_edge);
                    add_pixels(z, y, faced.data());
                } else if (any) {
                    add_pixels(z, y, faced.data());
                }
            }
    }

    // Looks at the pixels at the edge of the image, whatever lies beyond it.
    void force_pixels(Bits& faced, bool whole_row) const {
        for (std::int64_t x = 0; x < n_; x += whole_row ? 1 : std::max<std::int64_t>(1, n_ - 1))
            faced[static_cast<std::size_t>(x / 64)] |= std::uint64_t{1} << (x % 64);
    }

    // A plane of pixels lies between two planes of corners.
    void find_pixels() {
        start(slab_.row_begin, slab_.row_end + 1);
        list_neighbours();
        const auto corner_rows = static_cast<std::size_t>(row_end_ - row_begin_);
        const std::size_t plane_words = corner_rows * static_cast<std::size_t>(words_);
        Bits before(plane_words);
        Bits after(plane_words);
        const auto fill = [&](std::int64_t z, Bits& plane) {
            std::fill(plane.begin(), plane.end(), 0);
            scan_plane(z, [&](std::int64_t y, const std::uint64_t* bits) {
                std::copy_n(bits, words_, plane.data() + (y - row_begin_) * words_);
            });
        };
        prime(slab_.plane_begin);
        fill(slab_.plane_begin, before);
        Bits joined(static_cast<std::size_t>(words_));
        for (std::int64_t z = slab_.plane_begin; z < slab_.plane_end; ++z) {
            if (task_.map.has_planes) fill(z + 1, after);
            for (std::int64_t y = slab_.row_begin; y < slab_.row_end; ++y) {
                const std::int64_t at = (y - row_begin_) * words_;
                join(before.data() + at, after.data() + at, joined.data());
                add_pixels(z, y, joined.data());
            }
            std::swap(before, after);
        }
    }

    // Pixels with a block around them that is not uniform: of two rows of corners in two planes.
    void join(const std::uint64_t* before, const std::uint64_t* after,
              std::uint64_t* joined) const {
        std::uint64_t above = 0;  // the word of higher bits, done before
        for (std::int64_t w = words_ - 1; w >= 0; --w) {
            const std::uint64_t word =
                before[w] | before[w + words_] | after[w] | after[w + words_];
            joined[w] = word | word >> 1 | above << 63;
            above = word;
        }
        // No pixel n; the shift by 63 keeps it defined.
        joined[words_ - 1] &= (std::uint64_t{1} << (n_ % 64)) - 1;
    }

    void list_neighbours() {
        const bool full = task_.options.rule == SurfaceRule::kVoxelFull;
        const std::int64_t far = task_.map.has_planes ? 1 : 0;
        for (std::int64_t dz = -far; dz <= far; ++dz)
            for (std::int64_t dy = -1; dy <= 1; ++dy)
                for (std::int64_t dx = -1; dx <= 1; ++dx) {
                    const std::int64_t moved = dz * dz + dy * dy + dx * dx;
                    if (moved == 1 || (full && moved > 1)) steps_.push_back({dz, dy, dx});
                }
        for (const Place& step : steps_)
            offsets_.push_back((step[0] * task_.map.strides[0] + step[1] * task_.map.strides[1]) +
                               step[2] * static_cast<std::int64_t>(sizeof(T)));
    }

    void add_pixels(std::int64_t z, std::int64_t y, const std::uint64_t* bits) {
        const bool is_faced = task_.is_plain && task_.options.rule == SurfaceRule::kVoxelFace;
        const T* pixels = row(z, y);
        const auto [planes, rows, n] = task_.map.shape;
        const bool inner_row =
            (!task_.map.has_planes || (z > 0 && z + 1 < planes)) && y > 0 && y + 1 < rows;
        for_each_bit(bits, words_, [&](std::int64_t x) {
            const std::uint32_t slot = look_up(pixels[x]);
            found_.met_invalid |= slot == kSlotInvalid;
            if (slot < kFirstClass) return;
            if (task_.has_ignored && task_.is_ignored(z, y, x)) return;
            // Then an unequal neighbour is of another class.
            if (is_faced) {
                add(z, y, x, static_cast<std::int32_t>(slot - kFirstClass), 0);
                return;
            }
            const bool simple = inner_row && x > 0 && x + 1 < n_ && !task_.has_ignored;
            for (const std::int32_t group : task_.groups_of(slot)) {
                if (simple ? is_point_inside(pixels + x, slot, group)
                           : is_point({z, y, x}, slot, group))
                    add(z, y, x, group, 0);
            }
        });
    }

    [[nodiscard]] bool is_of(std::uint32_t slot, std::uint32_t pixel_slot,
                             std::int32_t group) const {
        if (slot == pixel_slot) return true;
        if (task_.one_each) return false;
        const auto groups = task_.groups_of(slot);
        return std::find(groups.begin(), groups.end(), group) != groups.end();
    }

    [[nodiscard]] bool is_point_inside(const T* pixel, std::uint32_t slot,
                                       std::int32_t group) const {
        for (const std::int64_t offset : offsets_) {
            const T label =
                *reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(pixel) + offset);
            if (label != *pixel && !is_of(task_.slots(label), slot, group)) return true;
        }
        return false;
    }

    [[nodiscard]] bool is_point(const Place& at, std::uint32_t slot, std::int32_t group) const {
        for (const Place& step : steps_) {
            Place next{};
            bool inside = true;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                next[axis] = at[axis] + step[axis];
                inside = inside && next[axis] >= 0 && next[axis] < task_.map.shape[axis];
            }
            if (!inside) {
                if (task_.options.closed) return true;
                continue;
            }
            if (task_.has_ignored && task_.is_ignored(next[0], next[1], next[2])) continue;
            if (!is_of(task_.slots(task_.map.bits_at(next[0], next[1], next[2])), slot, group))
                return true;
        }
        return false;
    }

    // --- points ---

    std::uint32_t look_up(T label) {
        const std::uint32_t slot = task_.slots(label);
        if (slot >= kFirstClass) {
            found_.met_class = true;
            found_.lowest = std::min<std::uint64_t>(found_.lowest, label);
            found_.highest = std::max<std::uint64_t>(found_.highest, label);
        }
        return slot;
    }

    void add(std::int64_t z, std::int64_t y, std::int64_t x, std::int32_t group,
             std::uint32_t code) {
        found_.points.push_back(static_cast<std::uint64_t>(group) << 48 |
                                task_.packed(z, y, x, code));
    }

    const Task& task_;
    const Slab slab_;
    Found& found_;
    const std::int64_t n_;
    const std::int64_t words_;
    const simd::SameBytes same_bytes_;
    const simd::FindMixed find_mixed_;
    const simd::FindFaced find_faced_;
    std::int64_t row_begin_ = 0;
    std::int64_t row_end_ = 0;
    std::vector<T> nobodys_;
    Bits row_changes_;
    Bits plane_mixed_;
    std::vector<char> was_empty_;  // by row of the plane before
    Bits mixed_;
    std::vector<std::int32_t> byte_groups_;
    std::vector<std::uint8_t> bytes_met_;
    std::uint8_t usual_byte_ = 1;
    std::vector<simd::PointList> lists_;  // by label: where its points in found_.lists go on
    std::vector<std::uint64_t> row_points_;
    std::uint64_t* next_point_ = nullptr;
    std::array<const T*, 4> block_{};
    std::size_t num_rows_ = 0;
    std::vector<std::pair<std::int32_t, std::uint32_t>> codes_ =
        std::vector<std::pair<std::int32_t, std::uint32_t>>(kMaxBlock);
    std::vector<Place> steps_;
    std::vector<std::int64_t> offsets_;
};

void find_in_slab(const Task& task, const Slab& slab, Found& found) {
    switch (task.map.width) {
        case 1: SlabFinder<std::uint8_t>(task, slab, found).run(); break;
        case 2: SlabFinder<std::uint16_t>(task, slab, found).run(); break;
        case 4: SlabFinder<std::uint32_t>(task, slab, found).run(); break;
        default: SlabFinder<std::uint64_t>(task, slab, found).run();
    }
}

// Slabs of whole planes, or of rows of one plane, in raster order. The plane before each is looked
// at as well, so that they are not more than it takes to keep all threads busy.
std::vector<Slab> slabs_of(const Task& task, int threads) {
    const auto [planes, rows, n] = task.lattice;
    const std::int64_t pixels =
        std::max(kSlabPixels, planes * rows * n / (kSlabsPerThread * threads));
    const std::int64_t per_slab = std::max<std::int64_t>(1, pixels / (n * rows));
    const std::int64_t rows_per_slab =
        per_slab > 1 ? rows : std::clamp<std::int64_t>(pixels / n, 1, rows);
    std::vector<Slab> slabs;
    for (std::int64_t z = 0; z < planes; z += per_slab)
        for (std::int64_t y = 0; y < rows; y += rows_per_slab)
            slabs.push_back(
                {z, std::min(planes, z + per_slab), y, std::min(rows, y + rows_per_slab)});
    return slabs;
}

// All points, group by group; within a group in the order of the slabs.
void sort_by_group(std::vector<Found>& found, SurfacePoints& result) {
    std::vector<std::int64_t>& begin = result.begin;
    const bool is_one = begin.size() == 2;
    for (Found& part : found) {
        if (is_one) part.lists.push_back(std::move(part.points));
        for (const std::uint64_t point : part.points) ++begin[(point >> 48) + 1];
        for (const auto& list : part.lists)
            if (!list.empty()) begin[(list[0] >> 48) + 1] += static_cast<std::int64_t>(list.size());
    }
    for (std::size_t g = 1; g < begin.size(); ++g) begin[g] += begin[g - 1];
    if (is_one) {
        result.points.reserve_more(static_cast<std::size_t>(begin.back()));
        for (Found& part : found) {
            for (const auto& list : part.lists) result.points.append(list.data(), list.size());
            part = {};
        }
        return;
    }
    result.points.resize(static_cast<std::size_t>(begin.back()));
    std::vector<std::int64_t> next(begin.begin(), begin.end() - 1);
    for (Found& part : found) {
        for (const std::uint64_t point : part.points)
            result.points[static_cast<std::size_t>(next[point >> 48]++)] = point;
        for (const auto& list : part.lists) {
            if (list.empty()) continue;
            std::int64_t& at = next[list[0] >> 48];
            std::copy(list.begin(), list.end(), result.points.begin() + at);
            at += static_cast<std::int64_t>(list.size());
        }
        part = {};
    }
}

SurfacePoints collected(const Task& task, std::vector<Found>& found) {
    SurfacePoints result;
    result.begin.assign(static_cast<std::size_t>(task.options.num_groups) + 1, 0);
    result.shape = task.lattice;
    result.bits = task.bits;
    if (found.empty()) return result;
    // A map of one label may have no block to look at.
    const std::uint64_t first = task.map.bits_at(0, 0, 0);
    const std::uint32_t slot = task.slots(first);
    result.met_invalid = slot == kSlotInvalid;
    result.met_class = slot >= kFirstClass;
    result.lowest_label = result.met_class ? first : std::numeric_limits<std::uint64_t>::max();
    result.highest_label = result.met_class ? first : 0;
    for (const Found& part : found) {
        result.met_invalid |= part.met_invalid;
        result.met_class |= part.met_class;
        result.lowest_label = std::min(result.lowest_label, part.lowest);
        result.highest_label = std::max(result.highest_label, part.highest);
    }
    sort_by_group(found, result);
    return result;
}

}  // namespace

SurfacePair find_surfaces(const ArrayView& pred, const SurfaceLabels& pred_meaning,
                          const ArrayView& target, const SurfaceLabels& target_meaning,
                          const ArrayView* mask, const ClassGroups& groups,
                          const SurfaceOptions& options) {
    if (options.num_groups < 1 || options.num_groups > kMaxGroups)
        throw std::invalid_argument("there must be 1 to 65535 groups");
    const std::array<Task, 2> tasks = {
        Task(pred, pred_meaning, target, target_meaning, mask, groups, options),
        Task(target, target_meaning, pred, pred_meaning, mask, groups, options)};
    const std::int64_t pixels = target.size();
    const int threads = thread_count(options.threads, pixels / 2, Team::kFresh);
    const std::vector<Slab> slabs = pixels == 0 ? std::vector<Slab>{} : slabs_of(tasks[0], threads);
    std::array<std::vector<Found>, 2> found;
    for (std::vector<Found>& side : found) side.resize(slabs.size());
    // Both maps at once: threads are called together and wait for each other only once.
    const auto count = static_cast<std::int64_t>(slabs.size());
    run_blocks(
        2 * count, threads,
        [&](std::int64_t i) {
            const auto side = static_cast<std::size_t>(i / count);
            const auto slab = static_cast<std::size_t>(i % count);
            find_in_slab(tasks[side], slabs[slab], found[side][slab]);
        },
        Team::kFresh);
    return {collected(tasks[0], found[0]), collected(tasks[1], found[1])};
}

}  // namespace segmeter

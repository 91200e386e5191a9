#include "pixel/tiles.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace segmeter {

// --- Walk ---

Walk::Walk(std::span<const ArrayView* const> views)
    : dims_(views[0]->shape.size()), count_(views.size()), size_(views[0]->size()) {
    std::copy(views[0]->shape.begin(), views[0]->shape.end(), shape_.begin());
    for (std::size_t i = 0; i < count_; ++i) {
        Lane& lane = lanes_[i];
        lane.data = views[i]->data;
        lane.dtype = views[i]->dtype;
        lane.byte_swapped = views[i]->byte_swapped;
        std::copy(views[i]->strides.begin(), views[i]->strides.end(), lane.strides.begin());
    }
    if (size_ == 0) return;
    flip_negative_axes();
    sort_axes();
    merge_axes();
}

void Walk::flip_negative_axes() {
    for (std::size_t axis = 0; axis < dims_; ++axis) {
        if (lanes_[0].strides[axis] >= 0) continue;
        for (Lane& lane : lanes()) {
            lane.data += (shape_[axis] - 1) * lane.strides[axis];
            lane.strides[axis] = -lane.strides[axis];
        }
    }
}

void Walk::swap_axes(std::size_t a, std::size_t b) {
    std::swap(shape_[a], shape_[b]);
    for (Lane& lane : lanes()) std::swap(lane.strides[a], lane.strides[b]);
}

// Insertion sort by the first lane's stride, largest first; few axes, mostly in order already.
void Walk::sort_axes() {
    for (std::size_t i = 1; i < dims_; ++i)
        for (std::size_t j = i; j > 0 && lanes_[0].strides[j - 1] < lanes_[0].strides[j]; --j)
            swap_axes(j - 1, j);
}

void Walk::merge_axes() {
    std::size_t last = 0;  // axes [0, last] are final
    const auto extend = [&](std::size_t axis) {
        if (shape_[axis] == 1) return true;
        if (shape_[last] != 1) {
            for (const Lane& lane : lanes())
                if (lane.strides[last] != shape_[axis] * lane.strides[axis]) return false;
        }
        shape_[last] *= shape_[axis];
        for (Lane& lane : lanes()) lane.strides[last] = lane.strides[axis];
        return true;
    };
    for (std::size_t axis = 1; axis < dims_; ++axis) {
        if (extend(axis)) continue;
        ++last;
        shape_[last] = shape_[axis];
        for (Lane& lane : lanes()) lane.strides[last] = lane.strides[axis];
    }
    dims_ = std::min(dims_, last + 1);
}

bool Walk::is_contiguous(std::size_t i) const noexcept {
    const Lane& lane = lanes_[i];
    if (lane.byte_swapped && item_size(lane.dtype) > 1) return false;
    const auto item = static_cast<std::uintptr_t>(item_size(lane.dtype));
    if (reinterpret_cast<std::uintptr_t>(lane.data) % item != 0) return false;
    return dims_ == 0 || size_ <= 1 || (dims_ == 1 && lane.strides[0] == item_size(lane.dtype));
}

void gather(const Walk& walk, std::size_t lane_index, std::int64_t byte_offset, std::int64_t begin,
            std::int64_t n, CopyElements copy, std::int64_t out_width, std::byte* out) {
    const Lane& lane = walk.lane(lane_index);
    const std::span<const std::int64_t> shape = walk.shape();
    if (shape.empty()) {
        if (n > 0) copy(lane.data + byte_offset, 0, n, out);
        return;
    }
    const std::size_t inner = shape.size() - 1;
    std::array<std::int64_t, kMaxDims> at;
    const std::byte* data = lane.data + byte_offset;
    for (std::size_t axis = shape.size(); axis-- > 0; begin /= shape[axis]) {
        at[axis] = begin % shape[axis];
        data += at[axis] * lane.strides[axis];
    }
    while (n > 0) {
        const std::int64_t run = std::min(n, shape[inner] - at[inner]);
        copy(data, lane.strides[inner], run, out);
        out += run * out_width;
        n -= run;
        at[inner] += run;
        data += run * lane.strides[inner];
        for (std::size_t axis = inner; axis > 0 && at[axis] == shape[axis]; --axis) {
            data += lane.strides[axis - 1] - shape[axis] * lane.strides[axis];
            at[axis] = 0;
            ++at[axis - 1];
        }
    }
}

// --- element types ---

namespace {

template <class Bits>
Bits swap_bytes(Bits bits) {
    if constexpr (sizeof(Bits) == 2) bits = __builtin_bswap16(bits);
    if constexpr (sizeof(Bits) == 4) bits = __builtin_bswap32(bits);
    if constexpr (sizeof(Bits) == 8) bits = __builtin_bswap64(bits);
    return bits;
}

template <std::size_t Size>
using BitsOf = std::conditional_t<
    Size == 1, std::uint8_t,
    std::conditional_t<Size == 2, std::uint16_t,
                       std::conditional_t<Size == 4, std::uint32_t, std::uint64_t>>>;

// Half precision without hardware: exact for every value, subnormals and NaN included.
struct Half {
    std::uint16_t bits;
    explicit operator float() const {
        const std::uint32_t sign = std::uint32_t{bits} << 16 & 0x80000000U;
        const std::uint32_t exponent = bits >> 10 & 31U;
        const std::uint32_t mantissa = bits & 1023U;
        if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13);
        if (exponent != 0)
            return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    explicit operator double() const { return static_cast<float>(*this); }
};

// NumPy bools are bytes; any nonzero byte is true.
struct Truth {
    std::uint8_t byte;
    template <class Number>
    explicit operator Number() const {
        return static_cast<Number>(byte != 0);
    }
};

template <class From, class To, bool kSwap>
void copy_elements(const std::byte* data, std::int64_t stride, std::int64_t n, void* out_data) {
    auto* out = static_cast<To*>(out_data);
    const auto copy = [&](auto step) {
        for (std::int64_t i = 0; i < n; ++i) {
            BitsOf<sizeof(From)> bits;
            std::memcpy(&bits, data + i * step, sizeof(bits));
            if constexpr (kSwap) bits = swap_bytes(bits);
            out[i] = static_cast<To>(std::bit_cast<From>(bits));
        }
    };
    // With the step known to the compiler the loop becomes vector code.
    constexpr std::integral_constant<std::int64_t, sizeof(From)> kDense;
    if (stride == kDense)
        copy(kDense);
    else
        copy(stride);
}

template <class From, class To>
CopyElements choose(bool byte_swapped) {
    return byte_swapped ? copy_elements<From, To, true> : copy_elements<From, To, false>;
}

template <class To>
CopyElements label_copier_to(DType dtype, bool byte_swapped) {
    switch (dtype) {
        case DType::kBool: return choose<Truth, To>(false);
        case DType::kUInt8: return choose<std::uint8_t, To>(false);
        case DType::kInt8: return choose<std::int8_t, To>(false);
        case DType::kUInt16: return choose<std::uint16_t, To>(byte_swapped);
        case DType::kInt16: return choose<std::int16_t, To>(byte_swapped);
        case DType::kUInt32: return choose<std::uint32_t, To>(byte_swapped);
        case DType::kInt32: return choose<std::int32_t, To>(byte_swapped);
        case DType::kUInt64: return choose<std::uint64_t, To>(byte_swapped);
        case DType::kInt64: return choose<std::int64_t, To>(byte_swapped);
        default: throw std::invalid_argument("labels must be integers");
    }
}

template <class To>
CopyElements score_copier_to(DType dtype, bool byte_swapped) {
    switch (dtype) {
        case DType::kFloat16: return choose<Half, To>(byte_swapped);
        case DType::kFloat32: return choose<float, To>(byte_swapped);
        case DType::kFloat64: return choose<double, To>(byte_swapped);
        default: throw std::invalid_argument("scores must be floating point");
    }
}

}  // namespace

CopyElements label_copier(DType dtype, bool byte_swapped, std::int64_t width) {
    switch (width) {
        case 1: return label_copier_to<std::uint8_t>(dtype, byte_swapped);
        case 2: return label_copier_to<std::uint16_t>(dtype, byte_swapped);
        case 4: return label_copier_to<std::uint32_t>(dtype, byte_swapped);
        default: return label_copier_to<std::uint64_t>(dtype, byte_swapped);
    }
}

CopyElements score_copier(DType dtype, bool byte_swapped, std::int64_t width) {
    return width == 4 ? score_copier_to<float>(dtype, byte_swapped)
                      : score_copier_to<double>(dtype, byte_swapped);
}

}  // namespace segmeter

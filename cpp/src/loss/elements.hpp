// Elements of any type and stride to float32 or float64, and back.
#pragma once

#include <cstddef>
#include <cstdint>

#include "segmeter/view.hpp"

#include "simd/loss_kernels.hpp"

namespace segmeter::loss {

// n elements, `stride` bytes apart, as numbers; half types only where `halves` is given.
template <class Real>
struct Elements {
    void (*read)(const std::byte* from, std::int64_t stride, std::int64_t n,
                 const simd::HalfKernels& halves, Real* to);
    void (*write)(const Real* from, std::int64_t n, const simd::HalfKernels& halves, std::byte* to,
                  std::int64_t stride);
};

template <class Real>
[[nodiscard]] Elements<Real> elements_of(DType dtype, bool byte_swapped, bool bfloat16);

// Labels of any integer type as 32 bits, less `shift`. Those outside [0, classes) become kOddLabel;
// returns whether there was one.
inline constexpr std::int32_t kOddLabel = -2;
class LabelReader {
   public:
    LabelReader(DType dtype, bool byte_swapped, std::int32_t classes, std::int32_t shift);
    bool operator()(const std::byte* from, std::int64_t stride, std::int64_t n,
                    std::int32_t* to) const;

   private:
    DType dtype_;
    bool byte_swapped_;
    std::int64_t size_;
    std::uint64_t limit_;
    std::int32_t shift_;
    simd::ReadLabels contiguous_;
};

// One label; of uint64 the bit pattern.
[[nodiscard]] std::int64_t label_at(const std::byte* from, DType dtype, bool byte_swapped);

[[nodiscard]] const simd::LossKernels<float>& loss_kernels();
[[nodiscard]] const simd::HalfKernels& half_kernels();
[[nodiscard]] const simd::LabelKernels& label_kernels();

}  // namespace segmeter::loss

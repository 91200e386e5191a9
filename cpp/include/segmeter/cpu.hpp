// Which instruction sets this machine has, and which one the kernels use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace segmeter {

enum class SimdLevel : int { kBaseline, kAvx2, kAvx512, kNeon };

[[nodiscard]] std::string_view name(SimdLevel level) noexcept;

// Every level that was built and runs here, slowest first.
[[nodiscard]] std::vector<SimdLevel> available_simd_levels();

// The level in use: the one that the environment variable SEGMETER_SIMD names, or the best
// available one.
[[nodiscard]] SimdLevel simd_level();

// What is wrong with SEGMETER_SIMD, if it names a level that does not run here; else empty.
[[nodiscard]] std::string simd_complaint();

// Choose another level for the whole process (tests and measurements). Throws
// std::invalid_argument when it does not run here.
void set_simd_level(std::string_view level_name);

// Names of the instruction-set extensions that the kernels ask for and this machine has.
[[nodiscard]] std::vector<std::string> cpu_features();

}  // namespace segmeter

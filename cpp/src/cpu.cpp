#include "segmeter/cpu.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace segmeter {
namespace {

struct Feature {
    std::string_view name;
    bool present;
};

#if defined(__x86_64__)
// __builtin_cpu_supports also asks the operating system whether it saves the registers.
std::vector<Feature> features() {
    __builtin_cpu_init();
    return {
        {"sse2", __builtin_cpu_supports("sse2") != 0},
        {"popcnt", __builtin_cpu_supports("popcnt") != 0},
        {"avx2", __builtin_cpu_supports("avx2") != 0},
        {"bmi", __builtin_cpu_supports("bmi") != 0},
        {"bmi2", __builtin_cpu_supports("bmi2") != 0},
        {"fma", __builtin_cpu_supports("fma") != 0},
        {"f16c", __builtin_cpu_supports("f16c") != 0},
        {"avx512f", __builtin_cpu_supports("avx512f") != 0},
        {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
        {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
        {"avx512dq", __builtin_cpu_supports("avx512dq") != 0},
        {"avx512cd", __builtin_cpu_supports("avx512cd") != 0},
        {"avx512vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
        {"avx512vbmi2", __builtin_cpu_supports("avx512vbmi2") != 0},
        {"avx512vpopcntdq", __builtin_cpu_supports("avx512vpopcntdq") != 0},
    };
}
#elif defined(__aarch64__)
std::vector<Feature> features() { return {{"neon", true}}; }
#else
std::vector<Feature> features() { return {}; }
#endif

std::vector<SimdLevel> detect() {
    std::vector<SimdLevel> levels{SimdLevel::kBaseline};
#if defined(__x86_64__)
    const auto has = [all = features()](std::initializer_list<std::string_view> names) {
        return std::all_of(names.begin(), names.end(), [&](std::string_view wanted) {
            return std::any_of(all.begin(), all.end(), [&](const Feature& feature) {
                return feature.name == wanted && feature.present;
            });
        });
    };
    if (!has({"popcnt", "avx2", "bmi", "bmi2", "fma", "f16c"})) return levels;
    levels.push_back(SimdLevel::kAvx2);
    if (has({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512vbmi", "avx512vbmi2",
             "avx512vpopcntdq"}))
        levels.push_back(SimdLevel::kAvx512);
#elif defined(__aarch64__)
    levels.push_back(SimdLevel::kNeon);
#endif
    return levels;
}

std::optional<SimdLevel> find_level(std::string_view wanted) {
    for (const SimdLevel level : available_simd_levels())
        if (name(level) == wanted) return level;
    return std::nullopt;
}

std::string complaint(std::string_view wanted) {
    std::string offered;
    for (const SimdLevel level : available_simd_levels()) {
        offered += offered.empty() ? "" : ", ";
        offered += name(level);
    }
    return "SIMD level '" + std::string(wanted) +
           "' does not run on this machine; choose one of: " + offered;
}

std::string_view level_asked_for() {
    const char* wanted = std::getenv("SEGMETER_SIMD");
    return wanted == nullptr ? "" : wanted;
}

std::atomic<SimdLevel>& current_level() {
    static std::atomic<SimdLevel> level =
        find_level(level_asked_for()).value_or(available_simd_levels().back());
    return level;
}

}  // namespace

std::string_view name(SimdLevel level) noexcept {
    switch (level) {
        case SimdLevel::kBaseline: return "baseline";
        case SimdLevel::kAvx2: return "avx2";
        case SimdLevel::kAvx512: return "avx512";
        case SimdLevel::kNeon: return "neon";
    }
    return "";
}

std::vector<SimdLevel> available_simd_levels() {
    static const std::vector<SimdLevel> levels = detect();
    return levels;
}

SimdLevel simd_level() { return current_level().load(std::memory_order_relaxed); }

void set_simd_level(std::string_view level_name) {
    const std::optional<SimdLevel> level = find_level(level_name);
    if (!level) throw std::invalid_argument(complaint(level_name));
    current_level().store(*level, std::memory_order_relaxed);
}

std::string simd_complaint() {
    const std::string_view wanted = level_asked_for();
    return wanted.empty() || find_level(wanted) ? "" : complaint(wanted);
}

std::vector<std::string> cpu_features() {
    std::vector<std::string> names;
    for (const Feature& feature : features())
        if (feature.present) names.emplace_back(feature.name);
    return names;
}

}  // namespace segmeter

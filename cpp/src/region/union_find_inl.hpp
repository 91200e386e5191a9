// Union-find in which the smallest member stands for all. Within the kernels of an instruction set
// it has internal linkage, so no copy compiled for a wider machine can replace another at link
// time.
#pragma once

#include <cstdint>

namespace segmeter {
#if defined(SEGMETER_SIMD_NAMESPACE)
namespace {
#endif

// Numbers given in raster order make components numbered in raster order, whoever was joined first.
class MinimumUnionFind {
   public:
    explicit MinimumUnionFind(std::int32_t* parent) : parent_(parent) {}

    std::int32_t root(std::int32_t i) {
        while (parent_[i] != i) {
            parent_[i] = parent_[parent_[i]];
            i = parent_[i];
        }
        return i;
    }
    // Returns the root of both.
    std::int32_t unite(std::int32_t a, std::int32_t b) {
        a = root(a);
        b = root(b);
        const std::int32_t low = a < b ? a : b;
        parent_[a < b ? b : a] = low;
        return low;
    }

   private:
    std::int32_t* parent_;
};

#if defined(SEGMETER_SIMD_NAMESPACE)
}  // namespace
#endif
}  // namespace segmeter

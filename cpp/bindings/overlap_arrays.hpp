// The kernels' overlap of two maps as NumPy arrays.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "segmeter/region/overlap.hpp"

#include "arrays.hpp"

namespace segmeter::bindings {

// An array that owns the vector's memory.
template <class T>
py::array_t<T> adopt(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    const py::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
    return py::array_t<T>(static_cast<py::ssize_t>(kept->size()), kept->data(), owner);
}

inline py::tuple side_of(OverlapSide&& side) {
    return py::make_tuple(adopt(std::move(side.label)), adopt(std::move(side.area)),
                          adopt(std::move(side.void_area)));
}

inline py::tuple pairs_of(OverlapPairs&& pairs) {
    return py::make_tuple(adopt(std::move(pairs.pred)), adopt(std::move(pairs.target)),
                          adopt(std::move(pairs.intersection)));
}

}  // namespace segmeter::bindings

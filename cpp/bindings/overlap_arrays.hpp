// The kernels' overlap of two maps as NumPy arrays.
#pragma once

#include <cstdint>
#include <utility>

#include "segmeter/region/overlap.hpp"

#include "arrays.hpp"
#include "owned_arrays.hpp"

namespace segmeter::bindings {

inline py::tuple side_of(OverlapSide&& side) {
    return py::make_tuple(adopt(std::move(side.label)), adopt(std::move(side.area)),
                          adopt(std::move(side.void_area)));
}

inline py::tuple pairs_of(OverlapPairs&& pairs) {
    return py::make_tuple(adopt(std::move(pairs.pred)), adopt(std::move(pairs.target)),
                          adopt(std::move(pairs.intersection)));
}

}  // namespace segmeter::bindings

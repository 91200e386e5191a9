// NumPy arrays as the kernels' views. Checks memory safety only; meaning is checked in Python.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "segmeter/view.hpp"

namespace segmeter::bindings {

namespace py = pybind11;

inline DType dtype_of(const py::array& array) {
    const py::dtype dtype = array.dtype();
    const auto size = dtype.itemsize();
    switch (dtype.kind()) {
        case 'b': return DType::kBool;
        case 'u':
            if (size == 1) return DType::kUInt8;
            if (size == 2) return DType::kUInt16;
            return size == 4 ? DType::kUInt32 : DType::kUInt64;
        case 'i':
            if (size == 1) return DType::kInt8;
            if (size == 2) return DType::kInt16;
            return size == 4 ? DType::kInt32 : DType::kInt64;
        case 'f':
            if (size == 2) return DType::kFloat16;
            if (size == 4) return DType::kFloat32;
            if (size == 8) return DType::kFloat64;
            break;
        default: break;
    }
    throw py::type_error("unsupported dtype " + std::string(py::str(dtype)));
}

// The view borrows the array's shape and strides: keep the array alive beside it.
inline ArrayView view_of(const py::array& array) {
    static_assert(sizeof(py::ssize_t) == sizeof(std::int64_t));
    const auto ndim = static_cast<std::size_t>(array.ndim());
    const char order = array.dtype().byteorder();
    return {static_cast<const std::byte*>(array.data()), dtype_of(array),
            order != '=' && order != '|' &&
                order != (std::endian::native == std::endian::big ? '>' : '<'),
            std::span(reinterpret_cast<const std::int64_t*>(array.shape()), ndim),
            std::span(reinterpret_cast<const std::int64_t*>(array.strides()), ndim)};
}

inline void require_shape(const ArrayView& view, std::span<const std::int64_t> shape,
                          const char* what) {
    if (!std::equal(shape.begin(), shape.end(), view.shape.begin(), view.shape.end()))
        throw py::value_error(std::string(what) + ": shape mismatch");
}

// A zeroed array. A large one is left as untouched pages until something is written to it.
template <class T>
py::array_t<T> zeros(const std::vector<py::ssize_t>& shape) {
    constexpr std::size_t kSmall = std::size_t{1} << 20;
    std::size_t n = 1;
    for (const py::ssize_t extent : shape) n *= static_cast<std::size_t>(extent);
    if (n * sizeof(T) < kSmall) {
        py::array_t<T> array(shape);
        std::memset(array.mutable_data(), 0, n * sizeof(T));
        return array;
    }
    void* memory = std::calloc(n, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    const py::capsule owner(memory, [](void* p) { std::free(p); });
    return py::array_t<T>(shape, static_cast<T*>(memory), owner);
}

// The same of any plain dtype.
inline py::array zeros_of(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
    std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
    for (const py::ssize_t extent : shape) bytes *= static_cast<std::size_t>(extent);
    void* memory = std::calloc(std::max<std::size_t>(bytes, 1), 1);
    if (memory == nullptr) throw std::bad_alloc();
    const py::capsule owner(memory, [](void* p) { std::free(p); });
    return {dtype, shape, memory, owner};
}

}  // namespace segmeter::bindings

// Memory of the core as NumPy arrays that own it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "segmeter/region/buffer.hpp"

#include "arrays.hpp"

namespace segmeter::bindings {

// An array that owns the vector's memory.
template <class T>
py::array_t<T> adopt(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    const py::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
    return py::array_t<T>(static_cast<py::ssize_t>(kept->size()), kept->data(), owner);
}

// What keeps the buffer's memory for an array.
template <class T>
py::capsule owner_of(Buffer<T>&& buffer) {
    buffer.shrink();
    return {new Buffer<T>(std::move(buffer)), [](void* p) { delete static_cast<Buffer<T>*>(p); }};
}

// The buffer's memory as an array that owns it.
template <class T>
py::array_t<T> adopt(Buffer<T>&& buffer) {
    const auto size = static_cast<py::ssize_t>(buffer.size());
    if (size == 0) return py::array_t<T>(0);
    const py::capsule owner = owner_of(std::move(buffer));
    return py::array_t<T>(size, owner.get_pointer<Buffer<T>>()->data(), owner);
}

}  // namespace segmeter::bindings

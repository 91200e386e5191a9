// One binding function per family.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace segmeter::bindings {

void bind_pixel(pybind11::module_& m);
void bind_cause(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_surface(pybind11::module_& m);
void bind_rle(pybind11::module_& m);
void bind_region(pybind11::module_& m);
void bind_overlap(pybind11::module_& m);
void bind_morphology(pybind11::module_& m);
void bind_edt(pybind11::module_& m);
void bind_band(pybind11::module_& m);

}  // namespace segmeter::bindings

#include <string>
#include <vector>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "bindings.hpp"

namespace py = pybind11;

namespace {

std::vector<std::string> simd_levels() {
    std::vector<std::string> names;
    for (const segmeter::SimdLevel level : segmeter::available_simd_levels())
        names.emplace_back(segmeter::name(level));
    return names;
}

py::dict build_info() {
    py::dict info;
    info["version"] = SEGMETER_VERSION;
    info["compiler"] = std::string("gcc-compatible ") + __VERSION__;
    info["cplusplus"] = static_cast<long>(__cplusplus);
#ifdef NDEBUG
    info["assertions"] = false;
#else
    info["assertions"] = true;
#endif
    return info;
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "Native kernels of segmeter; use the functions of the package instead.";
    const std::string complaint = segmeter::simd_complaint();
    if (!complaint.empty() &&
        PyErr_WarnEx(PyExc_RuntimeWarning, ("SEGMETER_SIMD: " + complaint).c_str(), 1) != 0)
        throw py::error_already_set();

    m.def("noop", [] {}, "Does nothing: what a call costs by itself.");
    m.def("cpu_features", &segmeter::cpu_features);
    m.def("simd_levels", &simd_levels);
    m.def("simd_level", [] { return std::string(segmeter::name(segmeter::simd_level())); });
    m.def(
        "set_simd_level", [](const std::string& level) { segmeter::set_simd_level(level); },
        py::arg("level"));
    m.def("max_threads", &segmeter::max_threads);
    m.def("build_info", &build_info);

    segmeter::bindings::bind_pixel(m);
    segmeter::bindings::bind_cause(m);
    segmeter::bindings::bind_loss(m);
    segmeter::bindings::bind_surface(m);
    segmeter::bindings::bind_rle(m);
    segmeter::bindings::bind_region(m);
    segmeter::bindings::bind_overlap(m);
    segmeter::bindings::bind_morphology(m);
    segmeter::bindings::bind_edt(m);
    segmeter::bindings::bind_band(m);
}

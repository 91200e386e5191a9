#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

#include "segmeter/region/components.hpp"
#include "segmeter/region/runs.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "owned_arrays.hpp"

namespace segmeter::bindings {
namespace {

template <class T>
using Plain = py::array_t<T, py::array::c_style | py::array::forcecast>;
using Shape = std::vector<std::int64_t>;

template <class T>
Buffer<T> to_buffer(const Plain<T>& array) {
    Buffer<T> buffer;
    buffer.append(array.data(), static_cast<std::size_t>(array.size()));
    return buffer;
}

// row_begin, begin, end, value (or None)
using RunArrays = std::tuple<Plain<std::int64_t>, Plain<std::uint32_t>, Plain<std::uint32_t>,
                             std::optional<Plain<std::int64_t>>>;

Runs runs_of(const Shape& shape, const RunArrays& arrays) {
    const auto& [row_begin, begin, end, value] = arrays;
    Runs runs;
    runs.shape = shape;
    runs.row_begin = to_buffer(row_begin);
    runs.begin = to_buffer(begin);
    runs.end = to_buffer(end);
    if (value) runs.value = to_buffer(*value);
    require_valid(runs);
    return runs;
}

py::tuple run_arrays(Runs&& runs, bool has_values) {
    py::object value = py::none();
    if (has_values) value = adopt(std::move(runs.value));
    return py::make_tuple(adopt(std::move(runs.row_begin)), adopt(std::move(runs.begin)),
                          adopt(std::move(runs.end)), value);
}

// Runs (or None), their regions (or None), and one row of 13 numbers per region: value, first,
// area, num_runs, sums, lows and highs.
py::tuple region_arrays(Regions&& regions, bool has_runs = true) {
    static_assert(sizeof(RegionFacts) == 13 * sizeof(std::int64_t));
    const auto count = static_cast<py::ssize_t>(regions.facts.size());
    py::array_t<std::int64_t> facts(std::vector<py::ssize_t>{0, 13});
    if (count > 0) {
        const py::capsule owner = owner_of(std::move(regions.facts));
        const RegionFacts* data = owner.get_pointer<Buffer<RegionFacts>>()->data();
        facts = py::array_t<std::int64_t>(std::vector<py::ssize_t>{count, 13},
                                          reinterpret_cast<const std::int64_t*>(data), owner);
    }
    if (!has_runs) return py::make_tuple(py::none(), py::none(), facts);
    return py::make_tuple(run_arrays(std::move(regions.runs), false),
                          adopt(std::move(regions.run_region)), facts);
}

// An array of pages, which may have been used before.
struct Image {
    Image(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
        std::size_t bytes = static_cast<std::size_t>(dtype.itemsize());
        for (const py::ssize_t extent : shape) bytes *= static_cast<std::size_t>(extent);
        if (bytes < detail::kLargeArray) {
            array = zeros_of(dtype, shape);
        } else {
            const detail::Pages pages = detail::cut_pages(detail::take_pages(bytes), bytes);
            is_zero = pages.is_zero;
            const py::capsule owner(new detail::Pages(pages), [](void* p) {
                const auto* const its = static_cast<detail::Pages*>(p);
                detail::give_pages(*its);
                delete its;
            });
            array = py::array(dtype, shape, pages.data, owner);
        }
        data = static_cast<std::byte*>(array.mutable_data());
    }
    [[nodiscard]] Canvas canvas() const { return {dtype_of(array), data, is_zero}; }

    py::array array;
    std::byte* data;
    bool is_zero = true;
};

// Keyword arguments that say which pixels belong to runs.
struct Selection {
    Selection(const py::array& labels, std::optional<std::int64_t> background, bool binary,
              const std::vector<std::int64_t>& ignored, const std::optional<py::array>& mask,
              int threads)
        : map(view_of(labels)) {
        if (mask) {
            mask_view = view_of(*mask);
            if (mask_view->dtype != DType::kBool) throw py::type_error("mask must be bool");
            require_shape(*mask_view, map.shape, "mask");
        }
        options = {background, binary, ignored, mask_view ? &*mask_view : nullptr, threads};
    }
    Selection(const Selection&) = delete;
    Selection& operator=(const Selection&) = delete;

    ArrayView map;
    std::optional<ArrayView> mask_view;
    RunOptions options;
};

py::tuple bound_find_runs(const py::array& labels, std::optional<std::int64_t> background,
                          bool binary, const std::vector<std::int64_t>& ignored,
                          const std::optional<py::array>& mask, int threads) {
    const Selection selection(labels, background, binary, ignored, mask, threads);
    Runs runs;
    {
        const py::gil_scoped_release release;
        runs = find_runs(selection.map, selection.options);
    }
    return run_arrays(std::move(runs), !binary);
}

// Regions numbered from 1, in the smallest unsigned type.
py::array painted(const Regions& regions, int threads) {
    const std::size_t count = regions.facts.size();
    const py::dtype dtype(count < 256 ? "u1" : count < 65536 ? "u2" : "u4");
    Image image(dtype, {regions.runs.shape.begin(), regions.runs.shape.end()});
    const Canvas canvas = image.canvas();
    {
        const py::gil_scoped_release release;
        paint(regions.runs, regions.run_region.data(), nullptr, 0, canvas, threads);
    }
    return image.array;
}

py::tuple bound_label_components(const py::array& labels, int connectivity,
                                 std::optional<std::int64_t> background, bool binary,
                                 const std::vector<std::int64_t>& ignored,
                                 const std::optional<py::array>& mask, bool keeps_runs, bool paints,
                                 int threads) {
    const Selection selection(labels, background, binary, ignored, mask, threads);
    Regions regions;
    {
        const py::gil_scoped_release release;
        regions = label_components(selection.map, static_cast<Connectivity>(connectivity),
                                   selection.options, keeps_runs || paints);
    }
    py::object image = py::none();
    if (paints) image = painted(regions, threads);
    return py::make_tuple(region_arrays(std::move(regions), keeps_runs), image);
}

py::tuple bound_label_runs(const Shape& shape, const RunArrays& arrays, bool is_unsigned,
                           int connectivity, int threads) {
    Runs runs = runs_of(shape, arrays);
    Regions regions;
    {
        const py::gil_scoped_release release;
        regions = label_components(std::move(runs), is_unsigned,
                                   static_cast<Connectivity>(connectivity), threads);
    }
    return region_arrays(std::move(regions));
}

py::tuple bound_instance_regions(const py::array& labels, std::optional<std::int64_t> background,
                                 const std::vector<std::int64_t>& ignored,
                                 const std::optional<py::array>& mask, int threads) {
    const Selection selection(labels, background, false, ignored, mask, threads);
    Regions regions;
    {
        const py::gil_scoped_release release;
        regions = instance_regions(selection.map, selection.options);
    }
    return region_arrays(std::move(regions));
}

py::tuple bound_instances_of_runs(const Shape& shape, const RunArrays& arrays, bool is_unsigned,
                                  int threads) {
    Runs runs = runs_of(shape, arrays);
    Regions regions;
    {
        const py::gil_scoped_release release;
        regions = instance_regions(std::move(runs), is_unsigned, threads);
    }
    return region_arrays(std::move(regions));
}

void bound_check_runs(const Shape& shape, const RunArrays& arrays) {
    require_maximal(runs_of(shape, arrays));
}

py::array bound_paint_runs(const Shape& shape, const RunArrays& arrays,
                           const std::optional<Plain<std::int32_t>>& key,
                           const Plain<std::int64_t>& value_of_key, const py::dtype& dtype,
                           std::int64_t background, int threads) {
    const Runs runs = runs_of(shape, arrays);
    if (key) {
        if (key->size() != runs.count()) throw py::value_error("one key per run");
        const auto* keys = key->data();
        for (py::ssize_t i = 0; i < key->size(); ++i)
            if (keys[i] < 0 || keys[i] >= value_of_key.size())
                throw py::value_error("key without a value");
    }
    Image image(dtype, {shape.begin(), shape.end()});
    const Canvas canvas = image.canvas();
    {
        const py::gil_scoped_release release;
        paint(runs, key ? key->data() : nullptr, value_of_key.data(), background, canvas, threads);
    }
    return image.array;
}

// What the shape functions need of regions that Python holds.
Regions regions_of(const Shape& shape, const RunArrays& arrays,
                   const Plain<std::int32_t>& run_region, const Plain<std::int64_t>& area,
                   const Plain<std::int64_t>& num_runs) {
    Regions regions;
    regions.runs = runs_of(shape, arrays);
    regions.run_region = to_buffer(run_region);
    if (run_region.size() != regions.runs.count()) throw py::value_error("one region per run");
    for (const std::int32_t region : regions.run_region)
        if (region < 0 || region >= area.size()) throw py::value_error("run of no region");
    regions.facts.resize(static_cast<std::size_t>(area.size()));
    for (std::size_t i = 0; i < regions.facts.size(); ++i) {
        regions.facts[i] = RegionFacts{};
        regions.facts[i].area = area.at(i);
        regions.facts[i].num_runs = num_runs.at(i);
    }
    return regions;
}

py::array_t<std::int64_t> bound_exposed_faces(const Shape& shape, const RunArrays& arrays,
                                              const Plain<std::int32_t>& run_region,
                                              const Plain<std::int64_t>& area,
                                              const Plain<std::int64_t>& num_runs) {
    const Regions regions = regions_of(shape, arrays, run_region, area, num_runs);
    Buffer<std::int64_t> faces;
    {
        const py::gil_scoped_release release;
        faces = exposed_faces(regions);
    }
    return adopt(std::move(faces));
}

py::array_t<std::int64_t> bound_euler_numbers(const Shape& shape, const RunArrays& arrays,
                                              const Plain<std::int32_t>& run_region,
                                              const Plain<std::int64_t>& area,
                                              const Plain<std::int64_t>& num_runs,
                                              int connectivity) {
    const Regions regions = regions_of(shape, arrays, run_region, area, num_runs);
    Buffer<std::int64_t> euler;
    {
        const py::gil_scoped_release release;
        euler = euler_numbers(regions, static_cast<Connectivity>(connectivity));
    }
    return adopt(std::move(euler));
}

}  // namespace

void bind_region(py::module_& m) {
    m.def("free_kept_pages", &detail::free_kept_pages);
    m.def("find_runs", &bound_find_runs, py::arg("labels"), py::arg("background"),
          py::arg("binary"), py::arg("ignored"), py::arg("mask"), py::arg("threads"));
    m.def("check_runs", &bound_check_runs, py::arg("shape"), py::arg("runs"));
    m.def("label_components", &bound_label_components, py::arg("labels"), py::arg("connectivity"),
          py::arg("background"), py::arg("binary"), py::arg("ignored"), py::arg("mask"),
          py::arg("keeps_runs"), py::arg("paints"), py::arg("threads"));
    m.def("label_components_of_runs", &bound_label_runs, py::arg("shape"), py::arg("runs"),
          py::arg("is_unsigned"), py::arg("connectivity"), py::arg("threads"));
    m.def("instance_regions", &bound_instance_regions, py::arg("labels"), py::arg("background"),
          py::arg("ignored"), py::arg("mask"), py::arg("threads"));
    m.def("instance_regions_of_runs", &bound_instances_of_runs, py::arg("shape"), py::arg("runs"),
          py::arg("is_unsigned"), py::arg("threads"));
    m.def("paint_runs", &bound_paint_runs, py::arg("shape"), py::arg("runs"), py::arg("key"),
          py::arg("value_of_key"), py::arg("dtype"), py::arg("background"), py::arg("threads"));
    m.def("exposed_faces", &bound_exposed_faces, py::arg("shape"), py::arg("runs"),
          py::arg("run_region"), py::arg("area"), py::arg("num_runs"));
    m.def("euler_numbers", &bound_euler_numbers, py::arg("shape"), py::arg("runs"),
          py::arg("run_region"), py::arg("area"), py::arg("num_runs"), py::arg("connectivity"));
}

}  // namespace segmeter::bindings

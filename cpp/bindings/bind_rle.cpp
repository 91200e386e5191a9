#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "segmeter/region/coco.hpp"
#include "segmeter/region/rle.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace segmeter::bindings {
namespace {

template <class T>
using Column = py::array_t<T, py::array::c_style>;
// (bounds, offsets) of a list of masks
using Runs = std::tuple<Column<std::uint32_t>, Column<std::int64_t>>;
using Errors = std::vector<std::pair<std::int64_t, std::string>>;

template <class T>
std::span<const T> span_of(const Column<T>& column) {
    return {column.data(), static_cast<std::size_t>(column.size())};
}

std::span<const double> optional_span(const std::optional<Column<double>>& column) {
    return column ? span_of(*column) : std::span<const double>();
}

template <class T>
Column<T> column_of(std::span<const T> values) {
    Column<T> column(static_cast<py::ssize_t>(values.size()));
    std::copy(values.begin(), values.end(), column.mutable_data());
    return column;
}

Runs arrays_of(const RunMasks& masks) {
    return {column_of(masks.view().bounds), column_of(masks.view().offsets)};
}

RunMaskView masks_of(std::int64_t height, std::int64_t width, const Runs& runs) {
    const RunMaskView masks{height, width, span_of(std::get<0>(runs)), span_of(std::get<1>(runs))};
    check_masks(masks);
    return masks;
}

// One segmentation as plain memory, read while the GIL is held and turned into runs without it.
struct Polygons {
    std::vector<double> coordinates;
    std::vector<std::size_t> ends;
};
struct Problem {
    std::string message;
};
using Parsed = std::variant<Problem, std::string, std::vector<std::int64_t>, Polygons>;

std::string type_name(const py::handle& value) { return Py_TYPE(value.ptr())->tp_name; }

bool is_sequence(const py::handle& value) {
    return PyList_Check(value.ptr()) || PyTuple_Check(value.ptr());
}

// Calls function(item) for the items of a list or tuple until one is refused, and returns the
// refused one. Looks at the length anew each time: an item's own code may have changed the list.
template <class Function>
py::object first_refused(const py::handle& sequence, Function&& function) {
    for (py::ssize_t k = 0; k < PySequence_Fast_GET_SIZE(sequence.ptr()); ++k) {
        const auto item =
            py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(sequence.ptr(), k));
        if (!function(item)) return item;
    }
    return {};
}

bool is_integer(const py::handle& value) {
    return (PyLong_Check(value.ptr()) || PyIndex_Check(value.ptr())) && !PyBool_Check(value.ptr());
}

// Integers of a list, or a problem: no float is rounded and no bool is a number.
Parsed parse_counts(const py::handle& list) {
    std::vector<std::int64_t> counts;
    const py::object refused = first_refused(list, [&](const py::object& item) {
        if (!is_integer(item)) return false;
        counts.push_back(PyLong_AsLongLong(item.ptr()));
        if (PyErr_Occurred() == nullptr) return true;
        PyErr_Clear();
        return false;
    });
    if (refused) return Problem{"the counts hold a " + type_name(refused) + " instead of a length"};
    return counts;
}

Parsed parse_polygons(const py::handle& list) {
    Polygons polygons;
    py::object number;  // that is none
    const py::object refused = first_refused(list, [&](const py::object& polygon) {
        if (!is_sequence(polygon)) return false;
        polygons.coordinates.reserve(
            polygons.coordinates.size() +
            static_cast<std::size_t>(PySequence_Fast_GET_SIZE(polygon.ptr())));
        number = first_refused(polygon, [&](const py::object& item) {
            if (PyFloat_CheckExact(item.ptr())) {
                polygons.coordinates.push_back(PyFloat_AS_DOUBLE(item.ptr()));
                return true;
            }
            if (!PyFloat_Check(item.ptr()) && !is_integer(item)) return false;
            polygons.coordinates.push_back(PyFloat_AsDouble(item.ptr()));
            if (PyErr_Occurred() == nullptr) return true;
            PyErr_Clear();
            return false;
        });
        polygons.ends.push_back(polygons.coordinates.size());
        return !number;
    });
    if (number) return Problem{"a polygon holds a " + type_name(number) + " instead of a number"};
    if (refused)
        return Problem{"a polygon is a " + type_name(refused) + " instead of a list of numbers"};
    return polygons;
}

// Borrowed value of a key, null where there is none.
PyObject* value_of(const py::handle& dict, const char* key) {
    return PyDict_GetItemString(dict.ptr(), key);
}

bool is_size(const py::handle& size, std::int64_t height, std::int64_t width) {
    if (!is_sequence(size) || py::len(size) != 2) return false;
    const py::object rows = size[py::int_(0)];
    const py::object columns = size[py::int_(1)];
    return PyLong_Check(rows.ptr()) && PyLong_Check(columns.ptr()) &&
           rows.equal(py::int_(height)) && columns.equal(py::int_(width));
}

Parsed parse_rle(const py::handle& rle, std::int64_t height, std::int64_t width) {
    const py::handle size = value_of(rle, "size");
    const py::handle counts = value_of(rle, "counts");
    if (!size || !counts) return Problem{"a run-length mask needs 'size' and 'counts'"};
    if (!is_size(size, height, width))
        return Problem{"the mask has the size " + std::string(py::str(size)) + ", its image [" +
                       std::to_string(height) + ", " + std::to_string(width) + "]"};
    if (PyBytes_Check(counts.ptr()))
        return std::string(PyBytes_AS_STRING(counts.ptr()),
                           static_cast<std::size_t>(PyBytes_GET_SIZE(counts.ptr())));
    if (PyUnicode_Check(counts.ptr())) {
        if (!PyUnicode_IS_ASCII(counts.ptr()))
            return Problem{"the counts hold a character that does not occur in them"};
        return std::string(static_cast<const char*>(PyUnicode_DATA(counts.ptr())),
                           static_cast<std::size_t>(PyUnicode_GET_LENGTH(counts.ptr())));
    }
    if (is_sequence(counts)) return parse_counts(counts);
    return Problem{"the counts are a " + type_name(counts) + " instead of text or a list"};
}

Parsed parse_segmentation(const py::handle& value, std::int64_t height, std::int64_t width) {
    if (PyDict_Check(value.ptr())) return parse_rle(value, height, width);
    if (is_sequence(value)) return parse_polygons(value);
    return Problem{"the segmentation is a " + type_name(value) +
                   " instead of a list of polygons or a run-length mask"};
}

void append(RunMasks& masks, const Parsed& parsed) {
    if (const auto* problem = std::get_if<Problem>(&parsed))
        throw std::invalid_argument(problem->message);
    if (const auto* text = std::get_if<std::string>(&parsed)) return masks.append_text(*text);
    if (const auto* counts = std::get_if<std::vector<std::int64_t>>(&parsed))
        return masks.append_counts(*counts);
    const auto& polygons = std::get<Polygons>(parsed);
    masks.append_polygons(polygons.coordinates, polygons.ends);
}

// Masks of COCO segmentations; what cannot be one is empty, and told with its index.
std::tuple<Runs, Errors> bound_from_coco(const py::sequence& segmentations, std::int64_t height,
                                         std::int64_t width) {
    RunMasks masks(height, width);
    std::vector<Parsed> parsed;
    for (const py::handle& value : segmentations)
        parsed.push_back(parse_segmentation(value, height, width));
    Errors errors;
    {
        const py::gil_scoped_release release;
        for (std::size_t k = 0; k < parsed.size(); ++k) {
            try {
                append(masks, parsed[k]);
            } catch (const std::invalid_argument& error) {
                masks.append_empty();
                errors.emplace_back(static_cast<std::int64_t>(k), error.what());
            }
        }
    }
    return {arrays_of(masks), std::move(errors)};
}

// Masks of the nonzero bytes of a (n, height, width) array.
Runs bound_from_pixels(const py::array& pixels) {
    const ArrayView view = view_of(pixels);
    if (view.shape.size() != 3 || item_size(view.dtype) != 1)
        throw py::type_error("pixels must be a 3-D array of one byte each");
    RunMasks masks(view.shape[1], view.shape[2]);
    {
        const py::gil_scoped_release release;
        for (std::int64_t k = 0; k < view.shape[0]; ++k)
            masks.append_pixels(view.data + k * view.strides[0], view.strides[1], view.strides[2]);
    }
    return arrays_of(masks);
}

py::array_t<std::uint8_t> bound_paint(std::int64_t height, std::int64_t width, const Runs& runs) {
    const RunMaskView masks = masks_of(height, width, runs);
    auto out = zeros<std::uint8_t>({masks.size(), height, width});
    std::uint8_t* pixels = out.mutable_data();
    {
        const py::gil_scoped_release release;
        for (std::int64_t k = 0; k < masks.size(); ++k)
            paint_mask(masks[k], height, width, pixels + k * height * width);
    }
    return out;
}

std::vector<py::bytes> bound_texts(std::int64_t height, std::int64_t width, const Runs& runs) {
    const RunMaskView masks = masks_of(height, width, runs);
    std::vector<py::bytes> texts;
    for (std::int64_t k = 0; k < masks.size(); ++k)
        texts.emplace_back(mask_text(masks[k], height * width));
    return texts;
}

std::vector<std::vector<std::int64_t>> bound_counts(std::int64_t height, std::int64_t width,
                                                    const Runs& runs) {
    const RunMaskView masks = masks_of(height, width, runs);
    std::vector<std::vector<std::int64_t>> counts;
    for (std::int64_t k = 0; k < masks.size(); ++k)
        counts.push_back(mask_counts(masks[k], height * width));
    return counts;
}

// (areas, boxes as rows of top, bottom, left, right)
std::tuple<Column<std::int64_t>, Column<std::int64_t>> bound_table(std::int64_t height,
                                                                   std::int64_t width,
                                                                   const Runs& runs) {
    const MaskTable table(masks_of(height, width, runs));
    Column<std::int64_t> boxes({static_cast<py::ssize_t>(table.boxes.size()), py::ssize_t{4}});
    std::int64_t* out = boxes.mutable_data();
    for (const PixelBox& box : table.boxes)
        for (const std::int64_t edge : {box.top, box.bottom, box.left, box.right}) *out++ = edge;
    return {column_of<std::int64_t>(table.areas), std::move(boxes)};
}

Runs bound_merged(std::int64_t height, std::int64_t width, const Runs& runs, bool intersection) {
    const RunMaskView masks = masks_of(height, width, runs);
    RunMasks merged(height, width);
    merged.append_merged(masks, intersection);
    return arrays_of(merged);
}

void require_length(std::int64_t length, const RunMaskView& masks, const char* what) {
    if (length != masks.size()) throw py::value_error(std::string(what) + ": one per mask");
}

Column<double> bound_iou(std::int64_t height, std::int64_t width, const Runs& pred,
                         const Runs& target, const Column<std::uint8_t>& crowd) {
    const RunMaskView preds = masks_of(height, width, pred);
    const RunMaskView targets = masks_of(height, width, target);
    require_length(crowd.size(), targets, "crowd");
    Column<double> iou({preds.size(), targets.size()});
    double* out = iou.mutable_data();
    {
        const py::gil_scoped_release release;
        mask_iou(preds, targets, crowd.data(), out);
    }
    return iou;
}

// (detection, rank, outcome, positives)
std::tuple<Column<std::int64_t>, Column<std::int64_t>, Column<std::uint8_t>, Column<std::int64_t>>
bound_coco_match(std::int64_t height, std::int64_t width, const Runs& pred,
                 const Column<std::int64_t>& pred_classes,
                 const std::optional<Column<double>>& pred_areas, const Column<double>& pred_scores,
                 const Runs& target, const Column<std::int64_t>& target_classes,
                 const std::optional<Column<double>>& target_areas,
                 const Column<std::uint8_t>& crowd, const Column<std::uint8_t>& ignored,
                 std::int64_t num_classes, const Column<double>& iou_thresholds,
                 const Column<double>& area_ranges, std::int64_t max_detections,
                 const std::optional<Runs>& pred_bands, const std::optional<Runs>& target_bands) {
    CocoDetections detections{masks_of(height, width, pred), span_of(pred_classes),
                              optional_span(pred_areas), span_of(pred_scores)};
    CocoTargets targets{masks_of(height, width, target), span_of(target_classes),
                        optional_span(target_areas), span_of(crowd), span_of(ignored)};
    if (pred_bands && target_bands) {
        detections.bands = masks_of(height, width, *pred_bands);
        targets.bands = masks_of(height, width, *target_bands);
        require_length(detections.bands->size(), detections.masks, "pred_bands");
        require_length(targets.bands->size(), targets.masks, "target_bands");
    }
    for (const auto length : {pred_classes.size(), pred_scores.size()})
        require_length(length, detections.masks, "pred");
    for (const auto length : {target_classes.size(), crowd.size(), ignored.size()})
        require_length(length, targets.masks, "target");
    if (pred_areas) require_length(pred_areas->size(), detections.masks, "pred_areas");
    if (target_areas) require_length(target_areas->size(), targets.masks, "target_areas");
    for (const auto classes : {detections.classes, targets.classes})
        for (const std::int64_t index : classes)
            if (index < 0 || index >= num_classes) throw py::value_error("class out of range");
    const CocoRules rules{span_of(iou_thresholds), span_of(area_ranges), max_detections};
    CocoMatches matches;
    {
        const py::gil_scoped_release release;
        matches = coco_match(detections, targets, num_classes, rules);
    }
    static_assert(sizeof(CocoOutcome) == 1);
    const auto ranges = static_cast<py::ssize_t>(rules.ranges());
    Column<std::uint8_t> outcome({static_cast<py::ssize_t>(matches.detection.size()), ranges,
                                  static_cast<py::ssize_t>(iou_thresholds.size())});
    std::memcpy(outcome.mutable_data(), matches.outcome.data(), matches.outcome.size());
    Column<std::int64_t> positives({static_cast<py::ssize_t>(num_classes), ranges});
    std::copy(matches.positives.begin(), matches.positives.end(), positives.mutable_data());
    return {column_of<std::int64_t>(matches.detection), column_of<std::int64_t>(matches.rank),
            std::move(outcome), std::move(positives)};
}

// (precision, recall)
std::tuple<Column<double>, Column<double>> bound_coco_curves(
    const Column<std::int64_t>& classes, const Column<double>& scores,
    const Column<std::int64_t>& images, const Column<std::int64_t>& ranks,
    const Column<std::uint8_t>& outcome, const Column<std::int64_t>& positives,
    const Column<double>& recalls, const Column<std::int64_t>& limits, int threads) {
    if (outcome.ndim() != 3 || positives.ndim() != 2 || outcome.shape(1) != positives.shape(1) ||
        scores.size() != classes.size() || images.size() != classes.size() ||
        ranks.size() != classes.size() || outcome.shape(0) != classes.size())
        throw py::value_error("the sample's columns do not fit together");
    const CocoSample sample{span_of(classes),   span_of(scores),    span_of(images),
                            span_of(ranks),     span_of(outcome),   span_of(positives),
                            positives.shape(0), positives.shape(1), outcome.shape(2)};
    const std::vector<py::ssize_t> curves{positives.shape(0), positives.shape(1), limits.size(),
                                          outcome.shape(2)};
    std::vector<py::ssize_t> points = curves;
    points.push_back(recalls.size());
    Column<double> precision(points);
    Column<double> recall(curves);
    double* to_precision = precision.mutable_data();
    double* to_recall = recall.mutable_data();
    {
        const py::gil_scoped_release release;
        coco_curves(sample, span_of(recalls), span_of(limits), threads, to_precision, to_recall);
    }
    return {std::move(precision), std::move(recall)};
}

}  // namespace

void bind_rle(py::module_& m) {
    m.def("masks_from_coco", &bound_from_coco, py::arg("segmentations"), py::arg("height"),
          py::arg("width"));
    m.def("masks_from_pixels", &bound_from_pixels, py::arg("pixels"));
    m.def("masks_paint", &bound_paint, py::arg("height"), py::arg("width"), py::arg("runs"));
    m.def("masks_texts", &bound_texts, py::arg("height"), py::arg("width"), py::arg("runs"));
    m.def("masks_counts", &bound_counts, py::arg("height"), py::arg("width"), py::arg("runs"));
    m.def("masks_table", &bound_table, py::arg("height"), py::arg("width"), py::arg("runs"));
    m.def("masks_merged", &bound_merged, py::arg("height"), py::arg("width"), py::arg("runs"),
          py::arg("intersection"));
    m.def("masks_iou", &bound_iou, py::arg("height"), py::arg("width"), py::arg("pred"),
          py::arg("target"), py::arg("crowd"));
    m.def("coco_match", &bound_coco_match, py::arg("height"), py::arg("width"), py::arg("pred"),
          py::arg("pred_classes"), py::arg("pred_areas"), py::arg("pred_scores"), py::arg("target"),
          py::arg("target_classes"), py::arg("target_areas"), py::arg("crowd"), py::arg("ignored"),
          py::arg("num_classes"), py::arg("iou_thresholds"), py::arg("area_ranges"),
          py::arg("max_detections"), py::arg("pred_bands"), py::arg("target_bands"));
    m.def("coco_curves", &bound_coco_curves, py::arg("classes"), py::arg("scores"),
          py::arg("images"), py::arg("ranks"), py::arg("outcome"), py::arg("positives"),
          py::arg("recalls"), py::arg("limits"), py::arg("threads"));
}

}  // namespace segmeter::bindings

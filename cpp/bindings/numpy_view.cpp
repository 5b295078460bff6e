// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_view.h"

#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/check.h"

namespace fastnn::bindings {

namespace {

std::string dtype_name(const py::dtype& dtype) { return py::str(py::object(dtype)); }

// Subclasses of ndarray are read as arrays, but masked arrays with masked cells are refused: the mask would be ignored.
bool has_masked_cells(const py::array& array) {
  if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return false;
  const py::object ma = py::module_::import("numpy").attr("ma");
  return py::isinstance(array, ma.attr("MaskedArray")) && ma.attr("is_masked")(array).cast<bool>();
}

}  // namespace

std::optional<kernels::DType> numeric_dtype(const py::dtype& dtype) {
  using kernels::DType;
  struct Known {
    char kind;
    py::ssize_t size;
    DType dtype;
  };
  static constexpr Known kKnown[] = {{'b', 1, DType::kBool},    {'i', 1, DType::kInt8},    {'i', 2, DType::kInt16},
                                     {'i', 4, DType::kInt32},   {'i', 8, DType::kInt64},   {'u', 1, DType::kUint8},
                                     {'u', 2, DType::kUint16},  {'u', 4, DType::kUint32},  {'u', 8, DType::kUint64},
                                     {'f', 2, DType::kFloat16}, {'f', 4, DType::kFloat32}, {'f', 8, DType::kFloat64}};
  const char kind = dtype.kind();
  const py::ssize_t size = dtype.itemsize();
  for (const Known& known : kKnown)
    if (known.kind == kind && known.size == size) return known.dtype;
  return std::nullopt;
}

std::vector<Index> shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

std::string type_name(const py::handle& object) { return py::str(py::type::of(object).attr("__name__")); }

py::array in_place(const char* where, const std::string& name, const py::handle& object, const py::array* like) {
  const auto refuse = [&](const char* why, std::string came, const char* dtype) {
    throw Refused({.where = where, .reason = why, .argument = name, .came = std::move(came), .dtype = dtype});
  };
  constexpr const char* kFloats = "float32 or float64";
  if (!py::isinstance<py::array>(object)) refuse(reason::kNoArray, type_name(object), kFloats);
  auto array = py::reinterpret_borrow<py::array>(object);
  if (has_masked_cells(array)) refuse(reason::kMasked, "", "");
  const py::dtype dtype = array.dtype();
  if (like != nullptr && !dtype.equal(like->dtype()))
    refuse(reason::kDtype, dtype_name(dtype), like->itemsize() == 4 ? "float32" : "float64");
  if (dtype.kind() != 'f' || (dtype.itemsize() != 4 && dtype.itemsize() != 8) || !dtype.attr("isnative").cast<bool>())
    refuse(reason::kDtype, dtype_name(dtype), kFloats);
  if (!array.writeable()) refuse(reason::kReadOnly, "", "");
  return array;
}

std::string shape_text(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t d = 0; d < array.ndim(); ++d) text += (d ? ", " : "") + std::to_string(array.shape(d));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

NumpyView::NumpyView(const char* where, const char* name, const py::handle& object, const Expected& expected) {
  // A function, because a Refusal takes a microsecond to make and is needed only if something is wrong.
  const auto refusal = [&](const char* why) {
    return Refusal{.where = where, .reason = why, .argument = name, .expected = expected};
  };
  if (!py::isinstance<py::array>(object)) {
    Refusal no_array = refusal(reason::kNoArray);
    no_array.came = type_name(object);
    throw Refused(std::move(no_array));
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  array_ = array;
  if (has_masked_cells(array)) throw Refused(refusal(reason::kMasked));
  const py::dtype dtype = array.dtype();
  const auto numeric = numeric_dtype(dtype);
  if (!numeric) {
    Refusal foreign = refusal(reason::kDtype);
    foreign.came = dtype_name(dtype);
    throw Refused(std::move(foreign));
  }
  source_.dtype = *numeric;
  const bool native_little = std::endian::native == std::endian::little;
  source_.swapped = dtype.itemsize() > 1 && dtype.byteorder() == (native_little ? '>' : '<');
  const py::ssize_t ndim = array.ndim();
  const bool shaped = ndim == 2 || (ndim == 1 && expected.vector) || (ndim > 2 && expected.flatten);
  source_.cols = 1;
  for (py::ssize_t d = 1; d < ndim; ++d) source_.cols *= array.shape(d);
  const bool fits = shaped && (expected.cols < 0 || source_.cols == expected.cols || source_.cols == expected.or_cols);
  if (!fits || (expected.rows >= 0 && array.shape(0) != expected.rows)) {
    Refusal misfit = refusal(fits ? reason::kRows : reason::kShape);
    misfit.shape = shape_of(array);
    misfit.came = dtype_name(dtype);
    throw Refused(std::move(misfit));
  }
  source_.rows = array.shape(0);
  source_.data = static_cast<const char*>(array.data());
  source_.row_stride = array.strides(0);

  // If the elements of a row are not contiguous, a table of their offsets stands for strides of any kind.
  bool side_by_side = true;
  py::ssize_t step = dtype.itemsize();
  for (py::ssize_t d = ndim - 1; d >= 1; --d) {
    side_by_side = side_by_side && (array.shape(d) == 1 || array.strides(d) == step);
    step *= array.shape(d);
  }
  if (side_by_side) return;
  offsets_.assign(static_cast<std::size_t>(source_.cols), 0);
  Index inner = 1;  // the number of elements in the axes after d
  for (py::ssize_t d = ndim - 1; d >= 1; --d) {
    for (Index c = 0; c < source_.cols; ++c)
      offsets_[static_cast<std::size_t>(c)] += c / inner % array.shape(d) * array.strides(d);
    inner *= array.shape(d);
  }
  source_.columns = offsets_.data();
}

template <class T>
py::array new_array(std::initializer_list<Index> shape) {
  const auto& numpy = py::detail::npy_api::get();
  PyObject* made =
      numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, py::dtype::of<T>().release().ptr(),
                                  static_cast<int>(shape.size()), std::data(shape), nullptr, nullptr, 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(made);
}

template <class T>
py::array output(const char* where, const py::handle& out, Index rows, Index cols) {
  if (out.is_none()) return new_array<T>({rows, cols});
  const auto refuse = [&](const char* why, std::string came, std::vector<Index> shape = {}) {
    throw Refused({.where = where,
                   .reason = why,
                   .argument = "out",
                   .expected = {.cols = cols, .rows = rows},
                   .came = std::move(came),
                   .dtype = sizeof(T) == 4 ? "float32" : "float64",
                   .shape = std::move(shape)});
  };
  if (!py::isinstance<py::array>(out)) refuse(reason::kNoArray, type_name(out));
  auto array = py::reinterpret_borrow<py::array>(out);
  if (!array.dtype().is(py::dtype::of<T>()) && !array.dtype().equal(py::dtype::of<T>()))
    refuse(reason::kDtype, dtype_name(array.dtype()));
  if (!array.writeable()) refuse(reason::kReadOnly, "");
  if (array.ndim() != 2 || array.shape(0) != rows || array.shape(1) != cols)
    refuse(reason::kShape, "", shape_of(array));
  const bool rows_ok = array.strides(0) > 0 && array.strides(0) % static_cast<py::ssize_t>(sizeof(T)) == 0 &&
                       array.strides(0) >= cols * static_cast<py::ssize_t>(sizeof(T));
  if (rows > 0 && cols > 0 &&
      !((cols == 1 || array.strides(1) == static_cast<py::ssize_t>(sizeof(T))) && (rows == 1 || rows_ok)))
    refuse(reason::kApart, "");
  if (reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(T) != 0) refuse(reason::kUnaligned, "");
  return array;
}

template py::array new_array<float>(std::initializer_list<Index>);
template py::array new_array<double>(std::initializer_list<Index>);
template py::array output<float>(const char*, const py::handle&, Index, Index);
template py::array output<double>(const char*, const py::handle&, Index, Index);

bool may_share_memory(const py::array& a, const py::array& b) {
  struct Bounds {
    std::uintptr_t first, end;
  };
  const auto bounds = [](const py::array& array) {
    const auto at = reinterpret_cast<std::uintptr_t>(array.data());
    Bounds result{at, at + static_cast<std::uintptr_t>(array.itemsize())};
    for (py::ssize_t d = 0; d < array.ndim(); ++d) {
      if (array.shape(d) == 0) return Bounds{at, at};
      // Unsigned, so that adding a negative reach wraps around to the smaller address.
      const auto reach = static_cast<std::uintptr_t>((array.shape(d) - 1) * array.strides(d));
      (array.strides(d) < 0 ? result.first : result.end) += reach;
    }
    return result;
  };
  const Bounds one = bounds(a), other = bounds(b);
  return one.first < other.end && other.first < one.end && one.first < one.end && other.first < other.end;
}

}  // namespace fastnn::bindings

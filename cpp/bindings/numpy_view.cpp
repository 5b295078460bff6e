// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_view.h"

#include <bit>
#include <cstdint>
#include <string_view>

#include "core/check.h"

namespace fastnn::bindings {

namespace {

std::string type_name(const py::handle& object) { return py::str(py::type::of(object).attr("__name__")); }

// Subclasses are welcome but for masked arrays with masked cells, whose mask nobody would honour.
void refuse_masked(const char* where, const char* name, const py::array& array) {
  if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return;
  const py::object ma = py::module_::import("numpy").attr("ma");
  require(!(py::isinstance(array, ma.attr("MaskedArray")) && ma.attr("is_masked")(array).cast<bool>()), "[", where,
          "] ", name, " is a masked array with masked cells; fill or drop them first");
}

}  // namespace

std::string shape_text(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t d = 0; d < array.ndim(); ++d) text += (d ? ", " : "") + std::to_string(array.shape(d));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

kernels::DType numeric_dtype(const char* where, const char* name, const py::dtype& dtype) {
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
  throw py::type_error("[" + std::string(where) + "] " + name + " has dtype " +
                       std::string(py::str(py::object(dtype))) +
                       "; expected bool, float16, float32, float64 or an integer of 8 to 64 bits");
}

Rows::Rows(const char* where, const char* name, const py::handle& object, Index cols, bool flatten, bool vector) {
  if (!py::isinstance<py::array>(object))
    throw py::type_error("[" + std::string(where) + "] " + name + " is a " + type_name(object) +
                         "; expected a NumPy array");
  const auto array = py::reinterpret_borrow<py::array>(object);
  array_ = array;
  refuse_masked(where, name, array);
  const py::dtype dtype = array.dtype();
  source_.dtype = numeric_dtype(where, name, dtype);
  const bool native_little = std::endian::native == std::endian::little;
  source_.swapped = dtype.itemsize() > 1 && dtype.byteorder() == (native_little ? '>' : '<');
  const py::ssize_t ndim = array.ndim();
  const bool shaped = ndim == 2 || (ndim == 1 && vector) || (ndim > 2 && flatten);
  if (!shaped)  // asked here, since the arguments of require are made before it decides: these cost a microsecond
    require(false, "[", where, "] ", name, " has shape ", shape_text(array), "; expected ",
            cols < 0 ? "(n, features)" : "(n, " + std::to_string(cols) + ")", vector ? " or (n,)" : "",
            flatten ? " or (n, d1, d2, ...)" : "");
  source_.rows = array.shape(0);
  source_.cols = 1;
  for (py::ssize_t d = 1; d < ndim; ++d) source_.cols *= array.shape(d);
  if (cols >= 0 && source_.cols != cols)
    require(false, "[", where, "] ", name, " has ", source_.cols, " columns, shape ", shape_text(array), "; expected ",
            cols);
  source_.data = static_cast<const char*>(array.data());
  source_.row_stride = array.strides(0);

  // Where the elements of a row do not lie side by side, a table of their offsets serves any strides.
  bool side_by_side = true;
  py::ssize_t expected = dtype.itemsize();
  for (py::ssize_t d = ndim - 1; d >= 1; --d) {
    side_by_side = side_by_side && (array.shape(d) == 1 || array.strides(d) == expected);
    expected *= array.shape(d);
  }
  if (side_by_side) return;
  offsets_.assign(static_cast<std::size_t>(source_.cols), 0);
  Index inner = 1;  // how many elements the axes right of d hold
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
  const char* wanted = sizeof(T) == 4 ? "float32" : "float64";
  if (!py::isinstance<py::array>(out))
    throw py::type_error("[" + std::string(where) + "] out is a " + type_name(out) + "; expected a NumPy array of " +
                         wanted);
  auto array = py::reinterpret_borrow<py::array>(out);
  if (!array.dtype().is(py::dtype::of<T>()) && !array.dtype().equal(py::dtype::of<T>()))
    throw py::type_error("[" + std::string(where) + "] out has dtype " +
                         std::string(py::str(py::object(array.dtype()))) + "; expected " + wanted);
  require(array.writeable(), "[", where, "] out is read-only");
  if (array.ndim() != 2 || array.shape(0) != rows || array.shape(1) != cols)
    require(false, "[", where, "] out has shape ", shape_text(array), "; expected (", rows, ", ", cols, ")");
  const bool rows_ok = array.strides(0) > 0 && array.strides(0) % static_cast<py::ssize_t>(sizeof(T)) == 0 &&
                       array.strides(0) >= cols * static_cast<py::ssize_t>(sizeof(T));
  require(rows == 0 || cols == 0 ||
              ((cols == 1 || array.strides(1) == static_cast<py::ssize_t>(sizeof(T))) && (rows == 1 || rows_ok)),
          "[", where, "] out must have its rows contiguous and in order");
  require(reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(T) == 0, "[", where,
          "] out is not aligned to its dtype");
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
      const auto reach = static_cast<std::uintptr_t>((array.shape(d) - 1) * array.strides(d));  // may wrap: it is added
      (array.strides(d) < 0 ? result.first : result.end) += reach;
    }
    return result;
  };
  const Bounds one = bounds(a), other = bounds(b);
  return one.first < other.end && other.first < one.end && one.first < one.end && other.first < other.end;
}

HyperGiven hyper_given(const std::string& where, const py::dict& given, std::span<const Hyper> table) {
  HyperGiven values;
  for (const auto& [key, value] : given) {
    const std::string name = py::str(key);
    if (!py::isinstance<py::str>(value)) {
      try {
        values[name] = value.cast<double>();
      } catch (const py::cast_error&) {
        throw py::type_error(where + " " + name + " is a " + type_name(value) + "; expected a number");
      }
      continue;
    }
    const std::string word = py::str(value);
    for (const Hyper& row : table) {
      if (name != row.name) continue;
      std::string_view choices = row.choices;
      double index = 0;
      bool found = false;
      while (!found && !choices.empty()) {
        const auto bar = choices.find('|');
        found = choices.substr(0, bar) == word;
        if (found) break;
        ++index;
        choices = bar == std::string_view::npos ? std::string_view{} : choices.substr(bar + 1);
      }
      require(found, where, " ", name, " = '", word, "'; known: ", row.choices[0] ? row.choices : "a number");
      values[name] = index;
    }
    if (!values.contains(name)) values[name] = 0;  // an unknown name: resolve() words that
  }
  return values;
}

}  // namespace fastnn::bindings

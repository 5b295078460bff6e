// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/sparse_view.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace fastnn::bindings {

namespace {

// The three arrays of a CSR matrix and its shape, as they come.
struct Parts {
  py::object data, indptr, indices;
  Index rows = 0, cols = 0;
};

Parts parts_of(const char* where, const char* name, const py::handle& object) {
  Parts parts{object.attr("data"), object.attr("indptr"), object.attr("indices")};
  const py::object shape = object.attr("shape");
  if (!py::isinstance<py::tuple>(shape) || py::len(shape) != 2) {
    Refusal misfit{.where = where, .reason = reason::kShape, .argument = name};
    for (const auto& size : shape) misfit.shape.push_back(size.cast<Index>());
    throw Refused(std::move(misfit));
  }
  parts.rows = shape[py::int_(0)].cast<Index>();
  parts.cols = shape[py::int_(1)].cast<Index>();
  return parts;
}

[[noreturn]] void refuse_parts(const char* where, const char* name, std::string why) {
  throw Refused({.where = where, .reason = reason::kSparse, .argument = name, .came = std::move(why)});
}

// Row and column numbers: one dimension, of 32 or 64 bits.
bool is_wide_index(const char* where, const char* name, const py::object& part, const char* what) {
  if (py::isinstance<py::array>(part)) {
    const auto array = py::reinterpret_borrow<py::array>(part);
    const py::dtype dtype = array.dtype();
    const bool native = dtype.attr("isnative").cast<bool>();
    if (array.ndim() == 1 && dtype.kind() == 'i' && native && (dtype.itemsize() == 4 || dtype.itemsize() == 8))
      return dtype.itemsize() == 8;
  }
  refuse_parts(where, name, std::string(what) + " is no array of int32 or int64");
}

bool has_no_gaps(const py::array& array) {
  const auto at = reinterpret_cast<std::uintptr_t>(array.data());
  return (array.size() == 0 || array.strides(0) == array.itemsize()) &&
         at % static_cast<std::uintptr_t>(array.itemsize()) == 0;
}

template <class I>
bool increases(const I* columns, Index count) {
  bool sorted = true;
  for (Index k = 1; k < count; ++k) sorted = sorted && columns[k - 1] < columns[k];
  return sorted;
}

// The lowest and the highest number; {0, -1} of none.
template <class I>
std::pair<I, I> extent_of(const I* columns, Index count) {
  I lowest = count > 0 ? columns[0] : 0, highest = count > 0 ? columns[0] : -1;
  for (Index k = 0; k < count; ++k) {
    lowest = columns[k] < lowest ? columns[k] : lowest;
    highest = columns[k] > highest ? columns[k] : highest;
  }
  return {lowest, highest};
}

// Refuses the column numbers of a row that are out of range; returns whether they increase strictly.
template <class I>
bool check_columns(const char* where, const char* name, const I* columns, Index count, Index row, Index cols) {
  const auto [lowest, highest] = extent_of(columns, count);
  if (lowest >= 0 && highest < cols) return increases(columns, count);
  throw Refused({.where = where,
                 .reason = reason::kColumn,
                 .argument = name,
                 .row = row,
                 .value = static_cast<double>(lowest < 0 ? lowest : highest),
                 .highest = static_cast<double>(cols - 1)});
}

struct Checked {
  kernels::SparseCells cells;
  bool sorted = true;
};

Checked checked_parts(const char* where, const char* name, const Parts& parts) {
  Checked found;
  found.cells.wide_starts = is_wide_index(where, name, parts.indptr, "indptr");
  found.cells.wide_columns = is_wide_index(where, name, parts.indices, "indices");
  if (!py::isinstance<py::array>(parts.data)) refuse_parts(where, name, "data is no array");
  const auto starts = py::reinterpret_borrow<py::array>(parts.indptr);
  const auto columns = py::reinterpret_borrow<py::array>(parts.indices);
  const auto numbers = py::reinterpret_borrow<py::array>(parts.data);
  if (numbers.ndim() != 1) refuse_parts(where, name, "data has not one dimension");
  if (starts.size() != parts.rows + 1) refuse_parts(where, name, "indptr has not one entry more than there are rows");
  if (!has_no_gaps(starts) || !has_no_gaps(columns) || !has_no_gaps(numbers)) {
    found.sorted = false;  // whoever brings the rows into order makes arrays without gaps
    return found;
  }
  found.cells.starts = starts.data();
  found.cells.columns = columns.data();
  const Index stored = std::min(columns.size(), numbers.size());
  for (Index r = 0, end = 0; r <= parts.rows; ++r) {
    const Index start = found.cells.start(r);
    if (start < end || start > stored || (r == 0 && start != 0))
      refuse_parts(where, name, "indptr has " + std::to_string(start) + " at " + std::to_string(r));
    end = start;
  }
  for (Index r = 0; r < parts.rows; ++r) {
    const Index first = found.cells.start(r), count = found.cells.start(r + 1) - first;
    const bool sorted =
        found.cells.wide_columns
            ? check_columns(where, name, static_cast<const std::int64_t*>(columns.data()) + first, count, r, parts.cols)
            : check_columns(where, name, static_cast<const std::int32_t*>(columns.data()) + first, count, r,
                            parts.cols);
    found.sorted = found.sorted && sorted;
  }
  return found;
}

}  // namespace

bool is_csr(const py::handle& object) {
  const py::object format = py::getattr(object, "format", py::none());
  return py::isinstance<py::str>(format) && format.cast<std::string>() == "csr" && py::hasattr(object, "indptr");
}

bool has_sorted_rows(const char* where, const char* name, const py::handle& object) {
  return checked_parts(where, name, parts_of(where, name, object)).sorted;
}

SparseView::SparseView(const char* where, const char* name, const py::handle& object, const Expected& expected) {
  const Parts parts = parts_of(where, name, object);
  numbers_ = parts.data, starts_ = parts.indptr, columns_ = parts.indices;
  const Checked checked = checked_parts(where, name, parts);
  if (!checked.sorted) refuse_parts(where, name, "the columns of a row do not increase");
  const auto numbers = py::reinterpret_borrow<py::array>(numbers_);
  const py::dtype dtype = numbers.dtype();
  const auto numeric = numeric_dtype(dtype);
  const std::string dtype_name = py::str(py::object(dtype));
  if (!numeric)
    throw Refused(
        {.where = where, .reason = reason::kDtype, .argument = name, .expected = expected, .came = dtype_name});
  if (parts.cols != expected.cols)
    throw Refused({.where = where,
                   .reason = reason::kShape,
                   .argument = name,
                   .expected = expected,
                   .came = dtype_name,
                   .shape = {parts.rows, parts.cols}});
  locked_.emplace(std::vector{py::reinterpret_borrow<py::array>(starts_), py::reinterpret_borrow<py::array>(columns_)});
  cells_ = checked.cells;
  source_.data = static_cast<const char*>(numbers.data());
  source_.rows = parts.rows;
  source_.cols = parts.cols;
  source_.dtype = *numeric;
  const bool native_little = std::endian::native == std::endian::little;
  source_.swapped = dtype.itemsize() > 1 && dtype.byteorder() == (native_little ? '>' : '<');
  source_.cells = &cells_;
}

}  // namespace fastnn::bindings

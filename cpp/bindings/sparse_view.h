// SciPy's sparse matrices as views of the engine. They are recognised by their attributes, so that SciPy is never
// imported. Their arrays are checked for everything that reading them relies on; nothing is copied.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>

#include "bindings/lent_views.h"
#include "bindings/numpy_view.h"

namespace fastnn::bindings {

// Is `object` a sparse matrix in the CSR format? Other formats are converted in Python.
bool is_csr(const py::handle& object);

// Do the columns of each row increase strictly, in arrays without gaps? Throws Refused if the arrays do not describe
// rows of `cols` columns: column numbers out of range, or rows that do not end where the next one begins.
bool has_sorted_rows(const char* where, const char* name, const py::handle& object);

// A CSR matrix with sorted rows as rows of numbers, for the duration of one call. The Source points into this object.
// indptr and indices, on whose numbers reading relies, are read-only as long as it lives.
class SparseView {
 public:
  SparseView(const char* where, const char* name, const py::handle& object, const Expected& expected);
  const kernels::Source& source() const { return source_; }
  SparseView(const SparseView&) = delete;
  SparseView& operator=(const SparseView&) = delete;

 private:
  py::object numbers_, starts_, columns_;
  std::optional<ReadOnly> locked_;
  kernels::SparseCells cells_;
  kernels::Source source_;
};

}  // namespace fastnn::bindings

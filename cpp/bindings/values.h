// Values of a row's parameters as Python hands them in: dictionaries by name, a pair under torch's one name.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "core/row.h"
#include "run/settings.h"

namespace fastnn::bindings {

namespace py = pybind11;

// `values` with what is given: {"momentum": 0.9, "nesterov": True, "reduction": "sum", "betas": (0.9, 0.99)}. Throws
// std::invalid_argument or TypeError, headed by `where`.
Values changed(const std::string& where, Fields fields, Values values, const py::dict& given);
// The row's defaults with what is given.
inline Values values_of(const std::string& where, const Row& row, const py::dict& given) {
  return changed(where, row.params, row.defaults(), given);
}

// The settings of a call, from its keyword arguments.
template <class P>
P settings_of(const char* call, const py::kwargs& given) {
  const std::string where = "[" + std::string(call) + "]";
  return values_of(where, run::settings().at(where, call), given).template as<P>();
}

// The same where every value is of the usual type and permitted; false otherwise, and then changed() words why.
bool plain_values(Fields fields, PyObject* given, Values& values);

// A field's number as Python knows it: float, int, bool or the word of a choice.
py::object python_value(const Field& field, Number number);

}  // namespace fastnn::bindings

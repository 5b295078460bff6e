// Converts the values of a member's parameters, as its registry row declares them, from and to Python: a dictionary by
// the parameters' names, in which a pair such as betas has one name, as in torch.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "core/row.h"
#include "run/settings.h"

namespace fastnn::bindings {

namespace py = pybind11;

// `values` after the changes in `given`, such as {"momentum": 0.9, "nesterov": True, "reduction": "sum", "betas": (0.9,
// 0.99)}. Throws std::invalid_argument or TypeError with a message that begins with `where`.
Values changed(const std::string& where, Fields fields, Values values, const py::dict& given);
// The defaults of the registry row after the changes in `given`, which must have the fields that have no default.
Values values_of(const std::string& where, const Row& row, const py::dict& given);

// The settings in the row `call`, from a dictionary such as keyword arguments.
template <class P>
P settings_of(const char* call, const py::dict& given) {
  const std::string where = "[" + std::string(call) + "]";
  return values_of(where, run::settings().at(where, call), given).template as<P>();
}

// The fast path of changed(): false if a value is not permitted or not of the usual type. The caller then calls
// changed(), which converts it or says what is wrong.
bool plain_values(Fields fields, PyObject* given, Values& values);

// A field's number as a Python object: a float, int or bool, the word of a choice, or None for no limit.
py::object python_value(const Field& field, Number number);
// The numbers of a list as a tuple; None: there are none.
py::object python_list(std::span<const double> numbers);

}  // namespace fastnn::bindings

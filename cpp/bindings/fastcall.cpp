// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/fastcall.h"

#include <string>

namespace fastnn::bindings {

namespace {

[[noreturn]] void refuse(const Signature& signature, const std::string& what) {
  std::string known;
  for (const char* name : signature.names) known += (known.empty() ? "" : ", ") + std::string(name);
  throw py::type_error("[" + std::string(signature.method) + "] got " + what + "; expected " + known);
}

}  // namespace

void sort_arguments(const Signature& signature, PyObject* const* args, std::size_t n, PyObject* keywords,
                    std::span<py::handle> values) {
  if (n > values.size()) refuse(signature, std::to_string(n) + " arguments");
  const Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t k = 0; k < named; ++k) {
    PyObject* given = PyTuple_GET_ITEM(keywords, k);
    std::size_t at = 0;
    while (at < signature.names.size() && PyUnicode_CompareWithASCIIString(given, signature.names[at]) != 0) ++at;
    if (at == signature.names.size())
      refuse(signature, "an argument '" + std::string(py::str(py::handle(given))) + "'");
    if (values[at]) refuse(signature, std::string(signature.names[at]) + " twice");
    values[at] = args[n + static_cast<std::size_t>(k)];
  }
  for (std::size_t i = 0; i < signature.required; ++i)
    if (!values[i]) refuse(signature, "no " + std::string(signature.names[i]));
}

void add_fast_method(const py::handle& cls, PyMethodDef& definition) {
  PyObject* made = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(cls.ptr()), &definition);
  if (made == nullptr) throw py::error_already_set();
  cls.attr(definition.ml_name) = py::reinterpret_steal<py::object>(made);
}

}  // namespace fastnn::bindings

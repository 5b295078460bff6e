// The Python module: its entry points and the translation of exceptions. The other files register its contents.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include "bindings/border.h"
#include "core/refusal.h"
#include "train/model.h"

namespace fastnn::bindings {

namespace {

// A refusal as an exception that holds its fields, and can word them: fastnn/_refusals.py.
void raise_refusal(const Refusal& r) {
  using py::arg;
  const auto& e = r.expected;
  const py::object refused = py::module_::import("fastnn._refusals").attr("refused");
  const py::object error = refused(
      r.reason, r.argument, arg("where") = r.where, arg("cols") = e.cols, arg("or_cols") = e.or_cols,
      arg("outputs") = e.outputs, arg("rows") = e.rows, arg("vector") = e.vector, arg("flatten") = e.flatten,
      arg("classes") = e.classes, arg("of") = e.of, arg("by") = e.by, arg("came") = r.came, arg("dtype") = r.dtype,
      arg("shape") = py::tuple(py::cast(r.shape)), arg("needed") = py::tuple(py::cast(r.needed)), arg("row") = r.row,
      arg("column") = r.column, arg("value") = r.value, arg("lowest") = r.lowest, arg("highest") = r.highest,
      arg("open_below") = r.open_below, arg("open_above") = r.open_above, arg("remedy") = r.remedy);
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
}

// A failure as the exception of fastnn/errors.py called `kind`, which a public call can rename.
void raise_failure(const char* kind, const Failure& failure) {
  const py::object error =
      py::module_::import("fastnn._refusals").attr("failed")(kind, failure.where(), failure.what());
  PyErr_SetObject(py::type::handle_of(error).ptr(), error.ptr());
}

// Translates exceptions of the engine to those of the package. pybind11 translates std::invalid_argument and
// std::bad_alloc.
void translate(std::exception_ptr error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const Refused& refused) {
    raise_refusal(refused.refusal());
  } catch (const train::Busy& busy) {
    raise_failure("ModelBusyError", busy);
  } catch (const train::Diverged& diverged) {
    raise_failure("TrainingDivergedError", diverged);
  } catch (const train::Interrupted&) {
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  }
}

}  // namespace

void register_all(py::module_& m) {
  py::register_local_exception_translator(translate);
  register_registries(m);
  register_draws(m);
  register_network(m);
  register_functional(m);
  register_info(m);
  auto testing = m.def_submodule("testing", "Internals for the tests; not an interface.");
  register_testing(testing);
}

}  // namespace fastnn::bindings

// pybind11 belongs to the interpreter that loaded it first, and would wait forever in another one. So in a
// sub-interpreter none of its functions is called.
static bool in_main_interpreter() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return true;
  PyErr_SetString(PyExc_ImportError,
                  "fastnn's compiled core cannot be loaded in a sub-interpreter; expected the main interpreter "
                  "(use threads, or processes, instead)");
  return false;
}

// The bindings are compiled once for the modules of all levels, so this file defines the entry points of all of them.
// Python calls PyInit_<name of the module>.
#define FASTNN_MODULE(name)                                                \
  PYBIND11_MODULE(of_main##name, m) { fastnn::bindings::register_all(m); } \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name();                    \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                   \
    return in_main_interpreter() ? PyInit_of_main##name() : nullptr;       \
  }
FASTNN_MODULE(_v2)
FASTNN_MODULE(_v3)
FASTNN_MODULE(_v4)
FASTNN_MODULE(_base)
FASTNN_MODULE(_native)

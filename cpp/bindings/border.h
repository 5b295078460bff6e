// The border: what every register_*.cpp shares. Python's errors, signals and the GIL are handled here, no arithmetic.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

#include "core/parallel.h"

namespace fastnn::inline FASTNN_ISA::bindings {

namespace py = pybind11;

void register_registries(py::module_& m);
void register_network(py::module_& m);
void register_functional(py::module_& m);
void register_functional_training(py::module_& m);
void register_info(py::module_& m);
void register_testing(py::module_& m);

// Signals while C++ runs without the GIL: takes it for that alone. A handler that raised is the call's exception.
inline parallel::Poll signal_poll() {
  return {[](void*) noexcept {
            const py::gil_scoped_acquire gil;
            return PyErr_CheckSignals() != 0;
          },
          nullptr};
}

}  // namespace fastnn::inline FASTNN_ISA::bindings

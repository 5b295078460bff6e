// The border: what every register_*.cpp shares. Python's errors, signals and the GIL are handled here, no arithmetic.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/parallel.h"

namespace fastnn::bindings {

namespace py = pybind11;

void register_registries(py::module_& m);
void register_network(py::module_& m);
void register_functional(py::module_& m);
void register_info(py::module_& m);
void register_testing(py::module_& m);

// The interpreter may end while a daemon thread computes: from then on a thread that asks for the GIL is unwound by
// CPython (up to 3.13), which no C++ destructor survives. Such a thread sleeps until the process is gone.
[[noreturn]] inline void sleep_forever() noexcept {
  for (;;) pause();
}
// Asked before anything of the interpreter is touched: late in its end, thread states and their keys are gone.
inline void sleep_if_it_ends() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ends = Py_IsFinalizing() || !Py_IsInitialized();
#else
  const bool ends = _Py_IsFinalizing() || !Py_IsInitialized();
#endif
  if (ends) sleep_forever();
}

// The GIL is free as long as this lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    sleep_if_it_ends();
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // the unwinding; it is no object that could be named
      sleep_forever();
    }
  }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// The GIL is ours as long as this lives, on a thread that gave it up with WithoutGil; Python computes in its own mode.
class WithGil {
 public:
  WithGil() noexcept {
    sleep_if_it_ends();
    try {
      state_ = PyGILState_Ensure();
    } catch (...) {  // the unwinding; it is no object that could be named
      sleep_forever();
    }
  }
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;

 private:
  const CallersFloatMode mode_;
  PyGILState_STATE state_;
};

inline int checked_threads(const char* where, int n_threads) {
  require(n_threads >= 0 && n_threads <= parallel::kMaxThreads, "[", where, "] n_threads = ", n_threads,
          "; expected 1 to ", parallel::kMaxThreads, ", or 0 for automatic");
  return n_threads;
}

// Signals while C++ runs without the GIL: takes it for that alone. A handler that raised is the call's exception.
inline parallel::Poll signal_poll() {
  return {[](void*) noexcept {
            const WithGil gil;
            return PyErr_CheckSignals() != 0;
          },
          nullptr};
}

}  // namespace fastnn::bindings

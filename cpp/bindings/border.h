// The interface to Python: what all register_*.cpp share, such as the GIL and signals. Nothing is computed here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <new>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/parallel.h"

namespace fastnn::bindings {

namespace py = pybind11;

void register_registries(py::module_& m);
void register_network(py::module_& m);
void register_functional(py::module_& m);
void register_info(py::module_& m);
void register_draws(py::module_& m);
void register_testing(py::module_& m);

// The base of a class T of the module. If an object whose __init__ never ran is an argument, or a method of it is called,
// pybind11 allocates memory for the C++ object and does not construct it. So operator new constructs an empty one, which
// T() has to make without owning anything, and which the methods of T refuse or find empty. A constructor that runs
// afterwards reuses the memory; the destructor of the empty object need not run. Neither function is inline: a compiler
// that inlines one of them takes the pair for a mismatch.
template <class T>
struct EmptyAtFirst {
  [[gnu::noinline]] static void* operator new(std::size_t size) { return ::new (::operator new(size)) T; }
  static void* operator new(std::size_t, void* room) { return room; }
  [[gnu::noinline]] static void operator delete(void* room) { ::operator delete(room); }
};

// Makes `made` the C++ object of a Python object whose __init__ runs. pybind11 enters a new object into its table of
// instances after the constructor has returned, where std::bad_alloc would end the process. Here the exception is caught
// as in any call, and the object remains one whose __init__ did not run.
template <class T>
void become(py::detail::value_and_holder& place, std::unique_ptr<T> made) {
  place.value_ptr() = made.get();
  try {
    place.type->init_instance(place.inst, &made);
  } catch (...) {
    place.value_ptr() = nullptr;
    throw;
  }
}

// The interpreter may end while a daemon thread computes. From then on CPython (up to 3.13) unwinds a thread that takes
// the GIL, which terminates the process if it happens in a C++ destructor. So such a thread sleeps until the process
// ends.
[[noreturn]] inline void sleep_forever() noexcept {
  for (;;) pause();
}
// To be called before any other function of the interpreter: while it ends, it destroys the thread states.
inline void sleep_if_it_ends() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ends = Py_IsFinalizing() || !Py_IsInitialized();
#else
  const bool ends = _Py_IsFinalizing() || !Py_IsInitialized();
#endif
  if (ends) sleep_forever();
}

// Releases the GIL for the lifetime of the object.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    sleep_if_it_ends();
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // forced unwinding of the thread, which has no C++ type
      sleep_forever();
    }
  }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// Holds the GIL for the lifetime of the object, on a thread that released it with WithoutGil. The caller's
// floating-point mode is restored meanwhile.
class WithGil {
 public:
  WithGil() noexcept {
    sleep_if_it_ends();
    try {
      state_ = PyGILState_Ensure();
    } catch (...) {  // forced unwinding of the thread, which has no C++ type
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

// Checks for signals while C++ runs without the GIL, which is taken for the check. If a handler raises an exception,
// the call is stopped and raises it.
inline parallel::Poll signal_poll() {
  return {[](void*) noexcept {
            const WithGil gil;
            return PyErr_CheckSignals() != 0;
          },
          nullptr};
}

}  // namespace fastnn::bindings

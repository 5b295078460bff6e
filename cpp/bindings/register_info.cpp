// Information about the build, and the number of threads that a call may use.
// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/border.h"
#include "core/build.h"

namespace fastnn::bindings {

void register_info(py::module_& m) {
  m.attr("isa") = build().isa;
  m.attr("max_threads") = parallel::kMaxThreads;
  m.def(
      "threads_available", [] { return parallel::limits().available(); },
      "The largest number of threads that a call uses by default: the smallest of the OpenMP limit of the calling "
      "thread, the processor affinity, the cgroup quota and the limit of limit_this_thread().");
  m.def(
      "limit_this_thread",
      [](int n) {
        require(n >= 0 && n <= parallel::kMaxThreads, "[limit_this_thread] n = ", n, "; expected 0 to ",
                parallel::kMaxThreads);
        return parallel::limit_this_thread(n);
      },
      py::arg("n"), "Limits the default of later calls on this thread, 0: not at all; returns the limit before.");
  m.def(
      "thread_limits",
      [] {
        const auto limits = parallel::limits();
        py::dict d;
        d["openmp"] = limits.openmp;
        d["affinity"] = limits.affinity;
        const auto or_none = [](int n) { return n > 0 ? py::object(py::int_(n)) : py::object(py::none()); };
        d["cgroup"] = or_none(limits.cgroup);
        d["thread"] = or_none(limits.thread);
        return d;
      },
      "The limits, the smallest of which is threads_available().");
  m.def(
      "build_info",
      [] {
        py::dict d;
        const auto built = build();
        d["isa"] = built.isa;
        d["compiler"] = built.compiler;
        d["eigen"] = built.eigen;
        d["openmp"] = parallel::runtime_name();
        d["pybind11"] = PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(PYBIND11_VERSION_MINOR);
        d["cxx_flags"] = built.cxx_flags;
        return d;
      },
      "Compiler, libraries and flags of this level's module.");
}

}  // namespace fastnn::bindings

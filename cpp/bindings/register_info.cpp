// What this build is and how many threads a call may use.
// SPDX-License-Identifier: BSD-3-Clause
#include <Eigen/Core>

#include "bindings/border.h"
#include "core/isa.h"

namespace fastnn::inline FASTNN_ISA::bindings {

void register_info(py::module_& m) {
  m.attr("isa") = kIsa;
  m.def(
      "threads_available", [] { return parallel::limits().available(); },
      "Threads a call uses at most when it is not told: the smallest of the OpenMP limit of the calling thread, the "
      "processor affinity and the cgroup quota.");
  m.def(
      "thread_limits",
      [] {
        const auto limits = parallel::limits();
        py::dict d;
        d["openmp"] = limits.openmp;
        d["affinity"] = limits.affinity;
        d["cgroup"] = limits.cgroup > 0 ? py::object(py::int_(limits.cgroup)) : py::object(py::none());
        return d;
      },
      "Each of the limits behind threads_available().");
  m.def(
      "build_info",
      [] {
        py::dict d;
        d["isa"] = kIsa;
#if defined(__clang__)
        d["compiler"] = "clang " __clang_version__;
#else
        d["compiler"] = "gcc " __VERSION__;
#endif
        d["eigen"] = std::to_string(EIGEN_MAJOR_VERSION) + "." + std::to_string(EIGEN_MINOR_VERSION) + "." +
                     std::to_string(EIGEN_PATCH_VERSION);
        d["openmp"] = parallel::runtime_name();
        d["pybind11"] = FASTNN_STRINGIZE(PYBIND11_VERSION_MAJOR) "." FASTNN_STRINGIZE(PYBIND11_VERSION_MINOR);
#ifdef FASTNN_CXX_FLAGS
        d["cxx_flags"] = FASTNN_CXX_FLAGS;
#else
        d["cxx_flags"] = "";
#endif
        return d;
      },
      "Compiler, libraries and flags of this level's module.");
}

}  // namespace fastnn::inline FASTNN_ISA::bindings

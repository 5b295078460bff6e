// _core.testing: internals for pytest. Nothing here is an interface.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>
#include <Eigen/Core>

#include "bindings/border.h"
#include "core/faults.h"
#include "trainer/plan.h"

namespace fastnn::inline FASTNN_ISA::bindings {

void register_testing(py::module_& m) {
  m.def(
      "plant_split", [](int parts) { faults::split = parts; }, py::arg("parts"),
      "Cut batches into this many chunks from now on (0: by shape), as if the threads decided: a fault.");
  m.def(
      "plant_allocation", [](bool on) { faults::allocation = on; }, py::arg("on"),
      "Every training step allocates once: a fault.");
#ifdef FASTNN_TESTING
  m.def(
      "fail_allocation", [](long n) { faults::failing_allocation = n; }, py::arg("n"),
      "The n-th allocation of the engine from now on fails, and all after it; 0: none.");
#endif
  m.def("use_driver_after_fork", parallel::use_driver_after_fork, py::arg("on"));
  m.def(
      "set_cache_sizes",
      [](std::ptrdiff_t l1, std::ptrdiff_t l2, std::ptrdiff_t l3) { Eigen::setCpuCacheSizes(l1, l2, l3); },
      py::arg("l1"), py::arg("l2"), py::arg("l3"), "What Eigen believes of this processor's caches.");
  m.def(
      "phase_items",
      [](const std::vector<std::pair<Index, Index>>& linears, Index rows) {
        std::vector<layers::Config> configs;
        for (const auto& [in, out] : linears) {
          configs.push_back({"linear",
                             {{"in_features", static_cast<double>(in)}, {"out_features", static_cast<double>(out)}},
                             {},
                             {}});
          configs.push_back({"relu", {}, {}, {}});
        }
        const trainer::Network<float> network(configs, 0);
        std::vector<std::pair<std::string, Index>> items;
        for (const auto& phase : trainer::make_plan(network, rows, {}).phases) {
          static constexpr const char* kNames[] = {"rows", "blocks", "transpose", "tiles", "update"};
          items.emplace_back(kNames[phase.kind], phase.items);
        }
        return items;
      },
      py::arg("linears"), py::arg("rows"), "(kind, items) of every phase of a step of Linear-ReLU layers.");
}

}  // namespace fastnn::inline FASTNN_ISA::bindings

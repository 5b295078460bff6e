// _core.testing: internals for pytest. Nothing here is an interface.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <sched.h>

#include <atomic>
#include <functional>
#include <set>

#include "bindings/border.h"
#include "bindings/values.h"
#include "core/check.h"
#include "core/elementary.h"
#include "core/faults.h"
#include "kernels/skip_zeros.h"
#include "plan/plan.h"
#include "run/tuner.h"

namespace fastnn::bindings {

namespace {
using Shapes = std::vector<std::pair<Index, Index>>;  // (inputs, outputs) of each Linear

std::vector<graph::Config> linear_relu(const Shapes& linears) {
  std::vector<graph::Config> configs;
  for (const auto& [in, out] : linears) {
    const py::dict sizes(py::arg("in_features") = in, py::arg("out_features") = out);
    configs.push_back({"linear", values_of("[linear]", *layers::find("linear"), sizes)});
    configs.push_back({"relu"});
  }
  return configs;
}
}  // namespace

#ifdef FASTNN_TESTING
namespace {
// Two items on two threads that add to one number without asking each other.
class Race final : public parallel::Program {
 public:
  Index items(int) const noexcept override { return 2; }
  double item_flops(int) const noexcept override { return 1; }
  bool may_skip(int) const noexcept override { return false; }
  void run(int, Index, parallel::Worker&) noexcept override {
    ++count_;
    // Neither thread may take both items. Relaxed: it orders nothing, so the race stays one.
    here_.fetch_add(1, std::memory_order_relaxed);
    for (int k = 0; k < 1'000'000 && here_.load(std::memory_order_relaxed) < 2; ++k) sched_yield();
  }
  int finish(int, bool) noexcept override { return parallel::kEnd; }
  int count() const { return count_; }

 private:
  std::atomic<int> here_{0};
  int count_ = 0;
};
}  // namespace
#endif

namespace {
// Phases of items that take given times, which notes the threads that run them.
class Timed final : public parallel::Program {
 public:
  Timed(std::vector<double> seconds, int phases)
      : seconds_(std::move(seconds)),
        threads_(static_cast<std::size_t>(phases), std::vector<int>(seconds_.size(), -1)) {}
  Index items(int) const noexcept override { return static_cast<Index>(seconds_.size()); }
  double item_flops(int) const noexcept override { return 1; }
  bool may_skip(int) const noexcept override { return false; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override {
    const auto start = parallel::Clock::now();
    const std::chrono::duration<double> time(seconds_[static_cast<std::size_t>(item)]);
    while (parallel::Clock::now() - start < time) {
    }
    threads_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(item)] = worker.thread();
  }
  int finish(int phase, bool) noexcept override {
    return phase + 1 < static_cast<int>(threads_.size()) ? phase + 1 : parallel::kEnd;
  }
  const std::vector<std::vector<int>>& threads() const { return threads_; }

 private:
  std::vector<double> seconds_;
  std::vector<std::vector<int>> threads_;  // by phase and item
};

template <class T>
py::array_t<T> elementary_of(const std::string& name, const py::array_t<T>& x) {
  const FloatMode mode;
  py::array_t<T> y(x.size());
  require(elementary(name, x.data(), x.size(), y.mutable_data()), "no function '", name, "'");
  return y;
}

void register_elementary(py::module_& m) {
  m.def("elementary", elementary_of<float>, py::arg("name"), py::arg("x").noconvert(),
        "The engine's exp, expm1, log, log1p, sigmoid, sqrt or tanh of a contiguous vector.");
  m.def("elementary", elementary_of<double>, py::arg("name"), py::arg("x").noconvert());
  m.def(
      "power_complement",
      [](double base, double n) {
        const FloatMode mode;
        return power_complement(base, n);
      },
      py::arg("base"), py::arg("n"), "1 - base^n");
}

void register_plans(py::module_& m) {
  m.def(
      "phase_items",
      [](const Shapes& linears, Index rows) {
        const graph::Network<float> network(linear_relu(linears), 0, true);
        std::vector<std::tuple<std::string, Index, double>> items;
        for (const auto& phase : plan::make_plan(network, rows, {}).phases) {
          static constexpr const char* kNames[] = {"rows", "blocks", "repack", "transpose", "parts", "tiles", "update"};
          items.emplace_back(kNames[phase.kind], phase.items, phase.item_flops);
        }
        return items;
      },
      py::arg("linears"), py::arg("rows"),
      "(kind, items, operations of one) of every phase of a step of Linear-ReLU layers.");
  m.def(
      "tile_shares",
      [](const Shapes& linears, Index rows, int threads) {
        const graph::Network<float> network(linear_relu(linears), 0, true);
        const auto phase = plan::make_plan(network, rows, {}).phases.back();
        std::vector<Index> ends;
        for (int t = 0; t < threads; ++t) ends.push_back(phase.share_end(t, threads));
        return std::tuple(phase.work_before, phase.good_ends, ends);
      },
      py::arg("linears"), py::arg("rows"), py::arg("threads"),
      "The last phase of a step of Linear-ReLU layers: (the work before each tile and of all, the tiles with which "
      "another layer begins, the end of each thread's share).");
  m.def(
      "transposed",
      [](const Shapes& linears, Index rows, int frozen) {
        graph::Network<float> network(linear_relu(linears), 0, true);
        for (int k = 0; k < frozen; ++k) network.set_frozen(std::to_string(2 * k), true);
        std::set<int> layers;
        for (const auto& item : plan::make_plan(network, rows, {}).transpositions) layers.insert(item.layer / 2);
        return layers;
      },
      py::arg("linears"), py::arg("rows"), py::arg("frozen") = 0,
      "The numbers of the Linears whose x^T a step of Linear-ReLU layers makes, the first of them frozen.");
  m.def(
      "packed_copies",
      [](const Shapes& linears, Index rows, int frozen) {
        graph::Network<float> network(linear_relu(linears), 0, true);
        for (int k = 0; k < frozen; ++k) network.set_frozen(std::to_string(2 * k), true);
        const auto plan = plan::make_plan(network, rows, {});
        std::vector<std::pair<bool, bool>> read;
        for (std::size_t k = 0; k < linears.size(); ++k) {
          const auto& copies = plan.packed_copies[2 * k];
          read.emplace_back(copies.w, copies.wt || copies.own_wt >= 0);
        }
        return read;
      },
      py::arg("linears"), py::arg("rows"), py::arg("frozen") = 0,
      "Does a step of Linear-ReLU layers, the first of them frozen, read copies of (W, W^T) of each Linear?");
}
template <class T>
void define_has_many_zeros(py::module_& m) {
  m.def(
      "has_many_zeros",
      [](const py::array_t<T, py::array::c_style>& a) {
        return kernels::has_many_zeros<T>({a.data(), a.shape(0), a.shape(1), a.shape(1)});
      },
      py::arg("a").noconvert(), "Are there so many zeros in a that products without them take less time?");
}
}  // namespace

void register_testing(py::module_& m) {
  register_elementary(m);
  m.def(
      "inject_split", [](int parts) { faults::split = parts; }, py::arg("parts"),
      "Cut batches into this many chunks from now on (0: by shape), as if the threads decided: a fault.");
  m.def(
      "inject_allocation", [](bool on) { faults::allocation = on; }, py::arg("on"),
      "Every training step allocates once: a fault.");
  m.def("waking_calls", [] { return parallel::waking_calls(); }, "How many system calls have woken threads of teams.");
#ifdef FASTNN_TESTING
  m.def(
      "fail_allocation",
      [](long n, bool only) {
        faults::only_one_fails = only;
        return faults::failing_allocation.exchange(n);
      },
      py::arg("n"), py::arg("only") = false,
      "The n-th allocation of the engine from now on fails, and all after it unless it is the only one; 0: none.\n"
      "Returns how many were left until one would have failed: 0 after the only one did, 1 while all do.");
  m.def(
      "race",
      [] {
        Race race;
        parallel::run(race, 0, 2, {});
        return race.count();
      },
      "Two threads write one number: a fault that the thread sanitizer has to report.");
#endif
  register_plans(m);
  define_has_many_zeros<float>(m);
  define_has_many_zeros<double>(m);
  m.def(
      "item_threads",
      [](std::vector<double> seconds, int phases, int threads) {
        Timed program(std::move(seconds), phases);
        parallel::run(program, 0, threads, {});
        return program.threads();
      },
      py::arg("seconds"), py::arg("phases"), py::arg("threads"),
      "Runs phases of items that take so many seconds: the numbers of the threads that ran them, by phase and item.");
  m.def(
      "choose_threads",
      [](int limit, double flops, const std::function<double(double, int)>& cost, double seconds, Index bytes) {
        run::Tuner tuner(bytes);
        std::vector<std::tuple<double, int, double>> stretches;
        double now = 0;
        while (now < seconds) {
          const int n = tuner.pick(limit, flops);
          const Index steps = tuner.steps();
          const double start = now;
          Index done = 0;
          for (; done < steps && now < seconds; ++done) now += cost(now, n);
          tuner.record(done, now - start);
          stretches.emplace_back(start, n, now - start);
        }
        return stretches;
      },
      py::arg("limit"), py::arg("flops"), py::arg("cost"), py::arg("seconds"), py::arg("bytes") = 0,
      "(when, threads, seconds) of the stretches of a fit whose step at a time on a number of threads takes cost(time, "
      "threads) seconds. bytes: of a number; such fits know what others with steps of this kind have measured.");
}

}  // namespace fastnn::bindings

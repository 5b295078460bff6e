// _core.Network: one model of either dtype as Python sees it. Its methods check the arrays of a call, release the GIL
// and call the model; nothing is computed here. The calls that train are in network_training.cpp, those that have to be
// short in network_calls.cpp, the rest in register_network.cpp.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/border.h"
#include "bindings/numpy_view.h"
#include "core/buffer.h"
#include "core/check.h"
#include "train/model.h"

namespace fastnn::bindings {

using train::Model;

class BatchArgs;

// The arrays that are views of a model's memory and that callers may still hold. While fit runs they are read-only.
class LentViews {
 public:
  void add(const py::array& view);
  // Makes the writable arrays among them read-only for the lifetime of the object.
  class Lock {
   public:
    explicit Lock(const LentViews& views);
    ~Lock();
    Lock(const Lock&) = delete;

   private:
    std::vector<py::array> locked_;
  };

 private:
  std::vector<py::weakref> views_;  // some of the arrays may no longer exist
  std::size_t room_ = 16;           // when views_ has this size, the references to arrays that are gone are removed
};

class Network {
 public:
  Network(const std::vector<std::pair<std::string, py::dict>>& layer_list, const std::string& dtype,
          std::uint64_t seed);

  // If a method is called on an object whose __init__ never ran, pybind11 allocates memory for the C++ object and does
  // not construct it. So operator new constructs an empty network, in which model() finds no model and refuses the
  // call. A constructor that runs afterwards reuses the memory; the destructor of the empty network need not run,
  // because it owns nothing.
  static void* operator new(std::size_t size) { return ::new (::operator new(size)) Network; }
  static void* operator new(std::size_t, void* room) { return room; }
  static void operator delete(void* room) { ::operator delete(room); }

  Model& model() const {
    require(model_ != nullptr, "[Network] was never initialised: its __init__ did not run");
    return *model_;
  }
  py::dict history() const {
    model();
    return history_ ? py::reinterpret_borrow<py::dict>(history_) : py::dict();
  }
  std::string dtype() const { return model().is_double() ? "float64" : "float32"; }

  py::list parameters(const py::object& self, int array, const std::optional<std::string>& layer = {});
  using Groups = std::map<std::string, py::dict>;  // hyperparameters of single parameters, by the parameter's key
  void compile(const std::string& loss, const py::dict& loss_params, const std::string& optimizer,
               const py::dict& params, const Groups& groups, const py::kwargs& settings);
  void set_optimizer_params(const py::dict& params, const Groups& groups);
  py::dict fit(const py::object& x, const py::object& y, const py::object& w, const py::object& orders,
               const py::object& validation, const py::object& class_weight, const py::object& on_epoch,
               const py::kwargs& settings);
  // Makes those checks of fit that need not read the numbers (shapes, dtypes, no rows) and returns the number of rows.
  Index check(const py::object& x, const py::object& y, const py::object& w, bool validation);
  double train_step(py::handle x, py::handle y, py::handle w, int n_threads);
  double train_step_grad(py::handle x, py::handle grad, int n_threads);
  double loss_and_grad(const py::object& x, const py::object& y, const py::object& w, int n_threads, bool training);
  py::array forward(const py::object& x, bool training, int n_threads);
  py::object backward(const py::object& grad, bool need_dx, int n_threads);
  double clip_grad_norm(double max_norm);
  void apply_gradients(int n_threads);
  py::dict evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads);
  py::array predict(py::handle x, bool link, py::handle out, int n_threads);
  py::dict optimizer_state(const py::object& self);
  void set_optimizer_steps(const std::map<std::string, std::int64_t>& steps);
  // Copies of the values of these layers; without `layers`, of everything that training changes.
  py::dict snapshot(const std::optional<std::vector<std::string>>& layers);
  py::dict optimizer_steps();
  // Must be called with each view that a caller gets, so that fit can make it read-only.
  void lend(const py::array& view) { lent_.add(view); }
  void set_frozen(const std::string& layer, bool frozen) {
    const train::Gate::Writer writer(model().gate(), "freeze");
    model().set_frozen(layer, frozen);
  }
  void change_layer(const std::vector<std::string>& layers, const std::string& kind, const py::dict& settings);
  // Writes values in the order of parameters(); None leaves a parameter as it is. If one of them does not fit, none is
  // written.
  void load(const py::list& values, std::int64_t batches);
  void ask_to_stop(bool stop) {
    model();
    stop_ = stop;
  }
  bool asked_to_stop() const { return stop_; }
  void set_progress(std::int64_t step, std::int64_t batches, std::int64_t draw) {
    const train::Gate::Writer writer(model().gate(), "load");
    require(step >= 0 && batches >= 0 && draw >= 0, "[set_progress] step = ", step, ", batches = ", batches,
            ", draw = ", draw, "; expected numbers >= 0");
    model().set_progress({step, batches, draw});
  }

 private:
  friend class BatchArgs;
  Network() = default;
  double step(const BatchArgs& args, int n_threads);
  bool brief(double passes, Index rows) const {
    return passes * flops_per_row_ * static_cast<double>(rows) < run::kBriefFlops;
  }
  py::array new_output(Index rows, Index cols) const {
    return model().is_double() ? output<double>("out", py::none(), rows, cols)
                               : output<float>("out", py::none(), rows, cols);
  }
  std::unique_ptr<Model> model_;
  py::object history_;             // a dict of the last fit, even if it raised; no object before the first fit
  std::atomic<bool> stop_{false};  // asks the running fit to end; set from any thread and from signal handlers
  LentViews lent_;
  bool flatten_ = false;
  double flops_per_row_ = 0;
};

// Adds predict, train_step and train_step_grad as methods of the Python class.
void add_calls(const py::handle& cls);

// The arrays of one call, checked against the model and against each other.
class BatchArgs {
 public:
  BatchArgs(const char* where, Network& net, py::handle x, py::handle y, py::handle w, py::handle grad = Py_None,
            const run::Names& names = run::kNames)
      : x_(where, names.x, x, {.cols = net.model().n_features(), .flatten = net.flatten_, .by = "the model"}) {
    data.names = &names;
    data.x = x_.source();
    rows = x_.rows();
    const Index k = net.model().n_outputs();
    Expected expected{.cols = k, .rows = rows, .vector = k == 1, .of = names.x};
    if (!y.is_none()) {
      const auto* loss = net.model().loss();
      refuse_unless(loss != nullptr, where, reason::kNotCompiled);
      y_.emplace(where, names.y, y, targets_of(*loss, expected));
      data.y = y_->source();
    }
    if (!w.is_none()) {
      w_.emplace(where, names.weights, w, weights_of(expected));
      data.weights = w_->source();
    }
    if (!grad.is_none()) {
      grad_.emplace(where, names.grad, grad, expected);
      data.grad = grad_->source();
    }
  }
  // Multiplies the weight of each row by the weight of its class, which `table` holds at the class's index.
  void weigh_classes(const char* where, const py::object& table, bool only_ratios);
  void need_rows(const char* where) const { refuse_unless(rows > 0, where, reason::kNoRows, data.names->x); }

  run::Data data;
  Index rows = 0;

 private:
  Rows x_;
  std::optional<Rows> y_, w_, grad_;
  Buffer<double> weights_of_classes_;
};

}  // namespace fastnn::bindings

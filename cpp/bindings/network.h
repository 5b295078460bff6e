// _core.Network: one model of either dtype as Python sees it. Its methods check the arrays of a call, release the GIL
// and call the model; nothing is computed here. They are cut by what they are about: network_settings.cpp,
// network_training.cpp, network_inference.cpp, network_state.cpp; register_network.cpp gives them their names.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/border.h"
#include "bindings/lent_views.h"
#include "bindings/numpy_view.h"
#include "core/check.h"
#include "train/model.h"

namespace fastnn::bindings {

using train::Model;

class BatchArgs;

// Name and settings of each layer.
using LayerList = std::vector<std::pair<std::string, py::dict>>;

// The layers of one network, or of several equal ones, as they were read once.
struct LayerSpecs : EmptyAtFirst<LayerSpecs> {
  LayerSpecs() = default;
  explicit LayerSpecs(const LayerList& layers);
  std::vector<graph::Config> configs;
};

// What compile needs, for one network or for several with the same parameters.
struct CompileSpec : run::CompileSpec, EmptyAtFirst<CompileSpec> {};

class Network : public EmptyAtFirst<Network> {
 public:
  Network(const LayerSpecs& layers, const std::string& dtype, std::uint64_t seed, bool initialize);

  Model& model() const {
    require(model_ != nullptr, "[Network] was never initialised: its __init__ did not run");
    return *model_;
  }
  py::dict history() const {
    model();
    return history_ ? py::reinterpret_borrow<py::dict>(history_) : py::dict();
  }
  bool flattens() const { return flatten_; }  // may rows of X have several dimensions?
  bool ready() const { return ready_; }       // can rows of X be prepared?
  std::int64_t epochs() const {
    model();
    return epochs_;
  }
  std::string dtype() const { return model().is_double() ? "float64" : "float32"; }

  // network_settings.cpp
  using Groups = std::map<std::string, py::dict>;  // hyperparameters of single parameters, by the parameter's key
  // Limits of the common norm of gradients, None for no limit, each with the keys of its parameters.
  using Limits = std::vector<std::pair<std::optional<double>, std::vector<std::string>>>;
  void change_layer(const std::vector<std::string>& layers, const std::string& kind, const py::dict& settings);
  void set_frozen(const std::string& layer, bool frozen);
  using MetricList = std::vector<std::pair<std::string, py::dict>>;  // name and parameters of each
  static CompileSpec compile_spec(const std::string& loss, const py::dict& loss_params, const std::string& optimizer,
                                  const py::dict& params, const Groups& groups, const py::object& schedule,
                                  const py::object& average, const Limits& limits, const MetricList& metrics,
                                  const py::kwargs& settings);
  void compile(const CompileSpec& spec);
  void set_optimizer_params(const py::dict& params, const Groups& groups, const py::object& schedule, bool continues,
                            const Limits& limits);
  double lr();
  // None if the compiled learning rate is a number, or before compile.
  py::object schedule_position() const;
  void set_schedule_position(const py::dict& position);

  // network_training.cpp
  // Makes those checks of fit that need not read the numbers (shapes, dtypes, no rows) and returns the number of rows.
  // part: of the rows of fit; it may be without rows or weights.
  Index check(const py::object& x, const py::object& y, const py::object& w, bool validation, bool part);
  // pieces: None, or in the place of x, y and w a function (epoch, first) -> (x, y, w, last) that gives the pieces of
  // an epoch one after another (train::Piece). rows: their sum, 0 if it is not known. orders: NumpyOrders, or a function
  // epoch -> row numbers. standstill: None, or the settings of that row.
  py::dict fit(const py::object& x, const py::object& y, const py::object& w, const py::object& orders,
               const py::object& validation, const py::object& class_weight, const py::object& on_epoch,
               const py::object& on_batch, const py::object& own_loss, const py::object& pieces, Index rows,
               const py::object& predictions, const py::object& standstill, const py::kwargs& settings);
  // false: takes back an earlier request, and the time at which the fit is to end.
  void ask_to_stop(bool stop) {
    model();
    if (!stop) deadline_ = kNever;
    stop_ = stop;
  }
  void stop_after(double seconds);
  bool asked_to_stop() const { return stop_ || past_deadline(); }
  double train_step(py::handle x, py::handle y, py::handle w, int n_threads);
  // A loss of the caller, own_loss(out, rows) -> (loss, grad), is called once a batch. `out` and `grad` are arrays of
  // the model's dtype, rows x outputs; `rows` is a slice or an array that selects the batch's rows.
  double train_step_own(const py::object& x, const py::object& w, const py::object& own_loss, int n_threads);
  double train_step_grad(py::handle x, py::handle grad, int n_threads);
  double loss_and_grad(const py::object& x, const py::object& y, const py::object& w, int n_threads, bool training);
  py::array forward(const py::object& x, bool training, int n_threads);
  py::object backward(const py::object& grad, bool need_dx, int n_threads);
  double clip_grad_norm(double max_norm);
  void apply_gradients(int n_threads);

  // network_inference.cpp
  py::array predict(py::handle x, bool link, py::handle out, int n_threads);
  // What follows leaves the model as it is, too. The results are of the model's dtype.
  // `grad`, in the place of y, has the gradient of each row's loss by the outputs.
  py::array input_gradient(const py::object& x, const py::object& y, int n_threads, const py::object& grad);
  py::array jacobian(const py::object& x, bool link, int n_threads);
  // By the key of each parameter that is trained: rows x its shape as stored, (inputs, outputs).
  py::dict per_sample_gradients(const py::object& x, const py::object& y, int n_threads, const py::object& grad);
  // predictions: None, or a contiguous array of the model's dtype, rows x outputs, in which they are stored.
  py::dict evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads,
                    const py::object& predictions);

  // network_state.cpp
  py::list parameters(const py::object& self, int array, const std::optional<std::string>& layer = {});
  // Views of the values of all layers, or of one, in torch's layout, by the layer's key and the name: lent.
  py::dict views(const py::object& self, const std::optional<std::string>& layer);
  // Must be called with each view that a caller gets, so that fit can make it read-only.
  void lend(const py::array& view) { lent_.add(view); }
  py::dict optimizer_steps();
  py::dict optimizer_state(const py::object& self);
  // Copies of the values of these layers; without `layers`, of everything that training changes.
  py::dict snapshot(const std::optional<std::vector<std::string>>& layers);
  // Writes values in the order of parameters(); None leaves a parameter as it is. If one of them does not fit, none is
  // written.
  void load(const py::list& values, const std::map<std::string, std::int64_t>& batches);
  void load_state(int number, const py::dict& arrays);
  void set_optimizer_steps(const std::map<std::string, std::int64_t>& steps);
  void set_progress(std::int64_t step, std::int64_t draw, std::int64_t averaged, const py::object& group);
  void use_averages(bool on);

 private:
  friend class FitHooks;
  friend EmptyAtFirst<Network>;
  using Ticks = parallel::Clock::rep;
  static constexpr Ticks kNever = parallel::Clock::time_point::max().time_since_epoch().count();
  parallel::Clock::time_point deadline() const {
    return parallel::Clock::time_point(parallel::Clock::duration(deadline_.load(std::memory_order_relaxed)));
  }
  bool past_deadline() const { return deadline_ != kNever && parallel::Clock::now() >= deadline(); }

  Network() = default;
  double step(const BatchArgs& args, int n_threads);
  // The memory of an array for the predictions of so many rows; nullptr for None.
  void* memory_for_predictions(const char* where, const py::object& array, Index rows) const;
  // Weight and unit of the rows, and an array of sums for each compiled metric; None if there are no metrics.
  py::object metric_sums(const run::Scores& scores) const;
  void differentiate(const char* where, const BatchArgs& args, const run::Wanted& wanted, int n_threads);
  bool brief(double passes, Index rows) const {
    return passes * flops_per_row_ * static_cast<double>(rows) < run::kBriefFlops;
  }
  py::array new_output(Index rows, Index cols) const {
    return model().is_double() ? output<double>("out", py::none(), rows, cols)
                               : output<float>("out", py::none(), rows, cols);
  }
  std::unique_ptr<Model> model_;
  py::object history_;                   // a dict of the last fit, even if it raised; no object before the first fit
  std::atomic<std::int64_t> epochs_{0};  // ended by all fits; a snapshot has the number that belongs to its values
  std::atomic<bool> stop_{false};        // asks the running fit to end; set from any thread and from signal handlers
  std::atomic<Ticks> deadline_{kNever};  // when the running fit is to end, on the steady clock
  LentViews lent_;
  bool flatten_ = false, ready_ = true;
  double flops_per_row_ = 0;
};

}  // namespace fastnn::bindings

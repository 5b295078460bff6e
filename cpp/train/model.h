// Model: the interface of a network and its training for the bindings, independent of the dtype. Trainer<T> implements
// it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "plan/plan.h"
#include "run/compiled.h"
#include "run/data.h"
#include "run/snapshot.h"
#include "train/gate.h"

namespace fastnn::train {

using graph::Parameter;
using plan::Goal;
using plan::Plan;
using run::CompileSpec;
using run::Data;
using run::Progress;
using run::Scores;

// A value in training became infinite or NaN; the message says to which state the model was restored.
struct Diverged : Failure {
  using Failure::Failure;
};
// A stop was requested; the model does not contain half a step.
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

// Rows of an epoch of fit, which are trained on in one go. Every piece but the last of its epoch has whole batches.
struct Piece {
  Data data;
  Index rows = 0;
  bool last = true;
};

struct EpochLog {
  Scores train, validation;
  double penalty = 0;  // the part of the loss that is one, if losses have penalties
  double lr = 0;       // of the last update
};

// Callbacks of a running fit into the bindings. They are called on the calling thread and, except for `poll`, outside
// of parallel regions.
class Hooks {
 public:
  virtual ~Hooks() = default;
  virtual parallel::Poll poll() = 0;
  // Returns whether to go on with the next epoch.
  virtual bool epoch_end(Index epoch, const EpochLog& log) = 0;
  // The next piece of an epoch; `first`: its first one. The memory of the piece before is not read any more. If this
  // throws anything but Interrupted, the model returns to the end of the last epoch.
  virtual Piece piece(Index epoch, bool first) = 0;
  // The caller's order of the rows in this epoch; nullptr if it follows from FitSpec::shuffle.
  virtual const std::int64_t* order(Index epoch, Index rows) = 0;
  // Whether the user asked fit to end, which is no error.
  virtual bool stopped() const = 0;
  // Whether between() is to be called around every batch.
  virtual bool sees_batches() const = 0;
  // Called before the first batch of an epoch (ended = -1) and after every batch with its number in the epoch and its
  // loss; `another`: a further one follows. Returns whether to go on with this epoch.
  virtual bool between(Index ended, double loss, bool another) = 0;
};

// A loss that the caller computes, once a batch. It is called on the calling thread and outside of parallel regions.
class OwnLoss {
 public:
  virtual ~OwnLoss() = default;
  // The rows of the batch, as numbers of rows of X: `count` of them in `order`, or from `first` on if that is nullptr.
  struct Rows {
    const std::int64_t* order;
    Index first, count;
  };
  // Returns the loss of the outputs `out`, and stores its gradient in `dout`; both are of the network's type, with
  // `count` rows of `cols` numbers, which are `stride` numbers apart.
  virtual double compute(const Rows& rows, const void* out, void* dout, Index cols, Index stride) = 0;
};

struct FitSpec : run::FitSettings {
  Index rows = 0;          // of each epoch; 0: not known before it ends
  bool in_pieces = false;  // whether an epoch may have several pieces, which may differ in what they store
  Data validation;
  Index validation_rows = 0;
  void* predictions = nullptr;  // where those of the validation rows are stored after each epoch, or nullptr
  std::optional<run::Standstill> standstill;  // by which the fit ends by itself
  OwnLoss* own_loss = nullptr;                // in the place of the compiled loss; the pieces have no targets then
};

struct FitReport {
  Index steps = 0;
  int threads_used = 1;
};

struct ParameterView {
  Parameter parameter;
  void* data;                   // the first number of the parameter
  std::shared_ptr<void> owner;  // what owns the memory; nullptr if the model does
};

class Model {
 public:
  virtual ~Model() = default;
  virtual bool is_double() const = 0;
  virtual Index n_features() const = 0;
  virtual Index n_outputs() const = 0;
  virtual double flops_per_row() const = 0;
  // Whether the rows of X may have several dimensions.
  virtual bool flattens() const = 0;
  virtual bool ready() const = 0;  // can rows of X be prepared?
  // The values (array = -2), the materialised gradients (-1) or optimizer state `array` of every parameter, or of those
  // of one layer. Layers are named by their keys, as in torch's state_dict; the key of a container stands for all in
  // it.
  static constexpr int kValues = -2, kGradients = -1;
  virtual std::vector<ParameterView> parameters(int array, const std::optional<std::string>& layer = {}) = 0;
  virtual int n_states() const = 0;
  virtual void set_frozen(const std::string& layer, bool frozen) = 0;
  virtual bool frozen(const std::string& layer) const = 0;
  // Exchanges the values of the parameters that train with their averages: on, or back. In between nothing trains.
  // Throws std::invalid_argument if there is no average.
  virtual void use_averages(bool on) = 0;
  virtual bool averaged() const = 0;
  // Changes settings of these layers, or of input preparation ("input.0"), from the next step on.
  virtual void change_layer(const std::vector<std::string>& layers, const graph::Config& settings) = 0;

  virtual void compile(const CompileSpec& spec) = 0;
  virtual void set_optimizer_values(const run::OptimizerValues& values, bool continues) = 0;  // as Compiled::set_values
  virtual double lr() const = 0;                                                              // of the next update
  virtual bool scheduled() const = 0;                    // whether the compiled learning rate is a schedule
  virtual schedules::Position& position() = 0;           // of the schedule of a compiled model
  virtual const losses::Row* loss() const = 0;           // nullptr before compile
  virtual const Values& loss_values() const = 0;         // of a compiled model
  virtual const optimizers::Row* optimizer() const = 0;  // nullptr before compile
  virtual bool penalty_in_loss() const = 0;
  virtual bool loss_is_sum() const = 0;  // whether the compiled loss adds the losses of rows instead of averaging them

  virtual FitReport fit(const FitSpec& spec, Hooks& hooks) = 0;
  virtual double train_step(const Data& data, Index rows, int n_threads, parallel::Poll poll) = 0;
  virtual double train_step_own(const Data& data, Index rows, OwnLoss& loss, int n_threads, parallel::Poll poll) = 0;
  virtual double loss_and_grad(const Data& data, Index rows, bool training, int n_threads, parallel::Poll poll) = 0;
  // Stores the raw outputs in `out` (rows x n_outputs, contiguous) and keeps the activations for backward.
  virtual void forward(const Data& data, Index rows, bool training, void* out, int n_threads, parallel::Poll poll) = 0;
  virtual void backward(const Data& data, Index rows, void* dx, int n_threads, parallel::Poll poll) = 0;
  virtual double clip_grad_norm(double max_norm) = 0;
  virtual void apply_gradients(int n_threads, parallel::Poll poll) = 0;
  // predictions: nullptr, or where they are stored as well (rows x n_outputs, contiguous). accuracy: computed beside the
  // loss, as the sums of the compiled metrics always are.
  virtual Scores evaluate(const Data& data, Index rows, bool accuracy, void* predictions, int n_threads,
                          parallel::Poll poll) = 0;
  virtual const metrics::Chosen& chosen_metrics() const = 0;  // of a compiled model
  virtual void predict(const Data& data, Index rows, bool link, void* out, Index out_stride, int n_threads,
                       parallel::Poll poll) = 0;

  // Gradients of single rows, without training; they leave nothing behind in the model.
  virtual void differentiate(const char* where, const Data& data, Index rows, const run::Wanted& wanted, int n_threads,
                             parallel::Poll poll) = 0;

  virtual int threads_used() const = 0;
  virtual std::int64_t step() const = 0;
  // By the key of each layer that takes statistics of whole batches, or of one layer: from how many training batches
  // it has taken them.
  virtual std::map<std::string, std::int64_t> batches(const std::optional<std::string>& layer = {}) const = 0;
  virtual void set_batches(const std::map<std::string, std::int64_t>& batches) = 0;
  virtual std::int64_t draw() const = 0;
  virtual Progress progress() const = 0;
  virtual void set_progress(Progress progress) = 0;
  // The number of updates since compile of a parameter, by its index in parameters(kValues). It can be set only in a
  // compiled model.
  virtual std::int64_t optimizer_step(std::size_t parameter) const = 0;
  virtual void set_optimizer_step(std::size_t parameter, std::int64_t step) = 0;
  virtual Gate& gate() = 0;
  virtual Plan plan_of(Index rows, const Goal& goal) = 0;  // for tests and summaries
  virtual void force_materialised(bool on) = 0;            // for tests of the two forms
};

std::unique_ptr<Model> make_model(const std::vector<graph::Config>& configs, bool is_double, std::uint64_t seed,
                                  bool initialize);

}  // namespace fastnn::train

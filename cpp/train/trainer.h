// Trainer: a network, its compiled settings, and the loops over epochs and batches. It is the only implementation of
// Model. It allocates memory before a loop begins, never inside, and calls Python only through the hooks of the
// bindings.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <optional>

#include "run/inference.h"
#include "run/snapshot.h"
#include "run/tuner.h"
#include "train/model.h"
#include "train/refuse.h"

namespace fastnn::train {

using graph::Network;
using plan::Form;
using plan::Gradient;
using plan::PlanCache;
using plan::Tile;
using plan::Workspace;
using run::Compiled;
using run::Engine;
using run::Inference;
using run::OutputOutside;
using run::ScratchPool;
using run::Snapshot;
using run::Tuner;
using run::Tuners;
using run::Verdict;

template <class T>
class Trainer final : public Model {
 public:
  Trainer(const std::vector<graph::Config>& configs, std::uint64_t seed, bool initialize)
      : net_(configs, seed, initialize) {}

  bool is_double() const override { return sizeof(T) == sizeof(double); }
  Index n_features() const override { return net_.n_features(); }
  Index n_outputs() const override { return net_.n_outputs(); }
  double flops_per_row() const override { return net_.flops_per_row(); }
  bool flattens() const override { return net_.preparation().flattens(); }
  bool ready() const override { return net_.preparation().ready(); }
  std::vector<ParameterView> parameters(int array, const std::optional<std::string>& layer) override;
  int n_states() const override { return compiled_ ? compiled_->n_states : 0; }
  void set_frozen(const std::string& layer, bool frozen) override;
  void use_averages(bool on) override;
  bool averaged() const override { return averaged_; }
  bool frozen(const std::string& layer) const override { return net_.frozen(layer); }
  void change_layer(const std::vector<std::string>& layers, const graph::Config& settings) override;

  void compile(const CompileSpec& spec) override;
  void set_optimizer_values(const run::OptimizerValues& values, bool continues) override;
  double lr() const override {
    need_compiled("lr");
    return compiled_->lr();
  }
  bool scheduled() const override { return compiled_ && compiled_->schedule.row; }
  schedules::Position& position() override { return compiled_->clock.position; }
  const losses::Row* loss() const override { return compiled_ ? compiled_->loss : nullptr; }
  const Values& loss_values() const override { return compiled_->loss_values; }
  bool penalty_in_loss() const override { return compiled_ && compiled_->settings.penalty_in_loss; }
  bool loss_is_sum() const override { return compiled_ && compiled_->loss_traits.is_sum; }
  const optimizers::Row* optimizer() const override { return compiled_ ? compiled_->optimizer : nullptr; }

  FitReport fit(const FitSpec& spec, Hooks& hooks) override;
  double train_step(const Data& data, Index rows, int n_threads, parallel::Poll poll) override;
  double train_step_own(const Data& data, Index rows, OwnLoss& loss, int n_threads, parallel::Poll poll) override;
  double loss_and_grad(const Data& data, Index rows, bool training, int n_threads, parallel::Poll poll) override;
  void forward(const Data& data, Index rows, bool training, void* out, int n_threads, parallel::Poll poll) override;
  void backward(const Data& data, Index rows, void* dx, int n_threads, parallel::Poll poll) override;
  double clip_grad_norm(double max_norm) override;
  void apply_gradients(int n_threads, parallel::Poll poll) override;
  Scores evaluate(const Data& data, Index rows, bool accuracy, void* predictions, int n_threads,
                  parallel::Poll poll) override;
  const metrics::Chosen& chosen_metrics() const override { return compiled_->metrics; }
  void predict(const Data& data, Index rows, bool link, void* out, Index out_stride, int n_threads,
               parallel::Poll poll) override;
  void differentiate(const char* where, const Data& data, Index rows, const run::Wanted& wanted, int n_threads,
                     parallel::Poll poll) override;

  int threads_used() const override { return threads_used_; }
  std::int64_t step() const override { return progress_.step; }
  std::map<std::string, std::int64_t> batches(const std::optional<std::string>& layer) const override;
  void set_batches(const std::map<std::string, std::int64_t>& batches) override;
  std::int64_t draw() const override { return progress_.draw; }
  Progress progress() const override { return progress_; }
  void set_progress(Progress progress) override { progress_ = progress; }
  std::int64_t optimizer_step(std::size_t parameter) const override {
    return compiled_ ? compiled_->steps[parameter] : 0;
  }
  void set_optimizer_step(std::size_t parameter, std::int64_t step) override { compiled_->steps[parameter] = step; }
  Gate& gate() override { return gate_; }
  Plan plan_of(Index rows, const Goal& goal) override { return make_plan(net_, rows, goal); }
  void force_materialised(bool on) override { force_materialised_ = on, plans_.clear(); }

 private:
  struct Threads {  // the threads of one fit: exactly `limit` if fixed, and otherwise at most `limit`
    int limit;
    bool fixed;
  };
  struct OwnPlans {  // the two halves of a step between which the caller computes the loss; each for both batch sizes
    const Plan *forward, *short_forward, *rest, *short_rest;
  };
  // What a running fit has beside the model: plans and an engine for its batches, and what it counts.
  struct RunningFit {
    const FitSpec& spec;
    Hooks& hooks;
    Threads threads;
    Buffer<std::int64_t> shuffled;
    std::unique_ptr<Engine<T>> engine{};
    Index batch = 0, rest = 0;  // the rows of a whole batch, and of the last one that was not; 0: there was none
    const Plan *full = nullptr, *ragged = nullptr;
    OwnPlans own{};
    FitReport report{};
    // Of the present epoch: its rows so far, and the sums of the losses that the caller computes.
    Index rows = 0;
    double own_loss = 0, own_weight = 0;
  };
  void begin_step();  // of train_step: refuses it where it is not permitted
  Goal training_goal(Index rows, Gradient gradient, const kernels::Source& x) const;
  // The plans for batches of `rows` rows and for a last one of `last` rows, or 0 if there is none.
  OwnPlans own_plans(Goal rest, Index rows, Index last, bool guard);
  Verdict own_forward(Engine<T>& engine, const OwnPlans& plans, int n_threads, parallel::Poll poll);
  // One step. Without the overflow guard, it begins with snapshot()'s state, to return to if the loss raises an exception.
  Verdict own_step(Engine<T>& engine, const OwnPlans& plans, OwnLoss& loss, int n_threads, parallel::Poll poll);
  Verdict own_step_again(Engine<T>& engine, const OwnPlans& plans, int n_threads);
  // The workspace for batches of up to `rows` rows: the present one if it is large enough, and otherwise a new one.
  Workspace<T>& workspace(Index rows, bool need_dx, bool dense);
  // Makes room for the cells of any batch of `rows` different rows of X, which the plans sort if they read sparse rows.
  void need_cells(Workspace<T>& workspace, const Plan& full, const Plan& ragged, const kernels::Source& x, Index rows);
  T* gradients();  // allocated in the first call
  // accumulate: its gradients are those that are accumulated over batches.
  Engine<T> engine(Workspace<T>& workspace, bool accumulate);
  // Runs one batch for `goal`. If the verdict is bad, throws the exception for it and leaves the model as it was.
  double one_batch(const char* where, const Data& data, Index rows, Goal goal, int n_threads, parallel::Poll poll);
  bool may_overflow(const Goal& goal) const;
  bool copy_is_small(Index rows, Index cells) const;
  void keep(const Engine<T>& engine);
  // As evaluate, of any rows.
  Scores score(const char* where, const Data& data, Index rows, bool accuracy, void* predictions, int n_threads,
               parallel::Poll poll);
  EpochLog run_epoch(RunningFit& run, Index epoch);
  Piece next_piece(RunningFit& run, Index epoch, bool first);
  // Prepares plans, workspace and engine for the batches of a piece.
  void prepare(RunningFit& run, const Piece& piece);
  // Trains on a piece. Returns whether the epoch goes on, which the hook of a batch may deny.
  bool run_piece(RunningFit& run, const Piece& piece, Index epoch, bool first);
  // The order of the `used` rows of a piece that are trained on in this epoch; nullptr: as they come.
  const std::int64_t* order_of(RunningFit& run, const Piece& piece, Index used, Index epoch);
  EpochLog log_of(const RunningFit& run) const;  // of the training rows of an epoch
  Scores validate(const FitSpec& spec, parallel::Poll poll);
  void need_weight(const FitSpec& spec, const Data& data, const Scores& scores);
  CellSearch<T> search(const char* where, const Data& data, kernels::RowIds ids, Index count,
                       const OutputOutside& outside) const {
    return {where,  data, ids, count, net_.preparation().scaling(), net_.n_outputs(), compiled_ ? &*compiled_ : nullptr,
            outside};
  }
  [[noreturn]] void raise(const char* where, Verdict verdict, Engine<T>& engine, const Data& data,
                          const std::int64_t* order, const std::string& when);
  void need_compiled(const char* where) const;
  void need_length(const char* where) const;  // compiled, with a schedule that can be used in single steps
  void need_own_values(const char* where) const;
  void snapshot() {
    saved_.take(net_.value_buffer(), *compiled_->states, compiled_->steps, net_.batches(), progress_);
    saved_position_ = compiled_->clock.position;
  }
  // Ends a fit that has failed, in the state before the epoch, unless its caller does without that state.
  void give_up(const FitSpec& spec) {
    if (spec.restores) restore();
  }
  void restore() {
    compiled_->clock.position = saved_position_;
    net_.set_batches(saved_.batches());
    progress_ = saved_.put_back(net_.values(), *compiled_->states, compiled_->steps);
  }

  Network<T> net_;
  std::optional<Compiled<T>> compiled_;
  std::unique_ptr<Workspace<T>> workspace_;
  Buffer<T> gradients_;  // of all parameters; never reallocated, since Python may hold views
  PlanCache<T> plans_;
  ScratchPool<T> scratches_{net_};
  Tuners tuners_{static_cast<Index>(sizeof(T))};
  parallel::LimitsNow limits_;
  Gate gate_;
  Progress progress_;
  int threads_used_ = 0;  // by the last call that trained; 0 before the first
  bool force_materialised_ = false;
  bool fits_sparse_ = false;  // whether a fit is running that reads X as sparse rows
  bool averaged_ = false;     // whether the values of parameters that train are in the place of their averages
  bool gradients_ready_ = false;
  double gradients_weight_ = 1;  // of the batch from which the gradients are
  struct {                       // the forward pass that backward may continue; rows == 0 if there is none
    Index rows = 0;
    bool training = false;
  } pending_;
  schedules::Position saved_position_;
  Index gradients_rows_ = 0;  // of the batch from which the gradients are
  std::vector<T> own_dout_;   // the gradient that the caller computed, for a step that has to be done again
  Snapshot<T> saved_;         // the model at the end of the last good epoch, or before a step that may overflow
};

}  // namespace fastnn::train

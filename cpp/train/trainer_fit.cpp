// Trainer::fit: the loop over epochs and over the pieces of each, the orders of their rows, validation, and the return to
// the last good epoch when one fails.
// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/refusal.h"
#include "train/refuse.h"
#include "train/trainer.h"

namespace fastnn::train {

using run::seconds_since;

namespace {
// How many of so many rows are trained on, if they end an epoch.
Index rows_used(const FitSpec& spec, Index rows) { return spec.drop_last ? rows - rows % spec.batch_size : rows; }
}  // namespace

template <class T>
FitReport Trainer<T>::fit(const FitSpec& spec, Hooks& hooks) {
  const FloatMode mode;
  need_compiled("fit");
  need_own_values("fit");
  if (spec.rows == 0) Compiled<T>::need_steps("fit", compiled_->schedule);
  require(spec.rows == 0 || rows_used(spec, spec.rows) > 0, "[fit] drop_last leaves no batch: X has ", spec.rows,
          " rows; expected at least ", spec.batch_size, ", the batch size");
  pending_ = {};
  gradients_ready_ = false;
  plans_.clear();
  progress_.group = {};
  const int limit = spec.n_threads > 0 ? spec.n_threads : parallel::limits().available();
  const parallel::Sharing sharing(spec.n_threads <= 0);
  RunningFit run{.spec = spec,
                 .hooks = hooks,
                 .threads = {limit, spec.n_threads > 0},
                 .shuffled = Buffer<std::int64_t>(spec.shuffle ? spec.rows : 0)};
  // However fit ends, no fit is running afterwards, and no batch waits for others before an update.
  struct OfThisFit {
    ~OfThisFit() { model.compiled_->clock.fit = {}, model.progress_.group = {}, model.fits_sparse_ = false; }
    Trainer<T>& model;
  } const of_this_fit{*this};
  std::optional<run::Standstill> standstill = spec.standstill;
  for (Index epoch = spec.initial_epoch; epoch < spec.epochs && !hooks.stopped(); ++epoch) {
    const Index steps_before = run.report.steps;
    if (run.engine) run.engine->rewind();
    const auto count_steps = [&] { run.report.steps = steps_before + (run.engine ? run.engine->totals().steps : 0); };
    EpochLog log;
    try {
      log = run_epoch(run, epoch);
    } catch (const Interrupted&) {
      if (!hooks.stopped()) throw;
      count_steps();
      break;
    }
    count_steps();
    threads_used_ = run.report.threads_used;
    const bool goes_on = hooks.epoch_end(epoch, log);
    need_own_values("fit");  // a callback may have left them exchanged
    if (!goes_on || (standstill && standstill->ends(log.train.loss))) break;
  }
  return run.report;
}

template <class T>
EpochLog Trainer<T>::run_epoch(RunningFit& run, Index epoch) {
  const FitSpec& spec = run.spec;
  schedules::Clock& clock = compiled_->clock;
  clock.fit = {spec.epochs, 0, epoch, 0};
  if (spec.rows > 0) {
    const Index batches = ceil_div(rows_used(spec, spec.rows), std::min(spec.batch_size, spec.rows));
    clock.fit.epoch_steps = ceil_div(batches, compiled_->settings.accumulate);
  }
  run.rows = 0, run.own_loss = 0, run.own_weight = 0;
  if (spec.restores) snapshot();
  Piece piece;
  bool first = true, goes_on = true;
  do {
    piece = next_piece(run, epoch, first);
    goes_on = run_piece(run, piece, epoch, first);
    first = false;
  } while (goes_on && !piece.last);
  EpochLog log = log_of(run);
  need_weight(spec, piece.data, log.train);
  if (spec.validation_rows > 0) log.validation = validate(spec, run.hooks.poll());
  log.lr = compiled_->last_lr;
  clock.position.rows += std::min(run.rows, run.engine->totals().steps * run.batch), ++clock.position.epochs;
  clock.fit.epoch = epoch + 1, clock.fit.step = 0;
  if (compiled_->schedule.row)
    compiled_->schedule.row->epoch_end(compiled_->schedule.values, clock.position, log.train.loss);
  return log;
}

template <class T>
EpochLog Trainer<T>::log_of(const RunningFit& run) const {
  EpochLog log;
  if (run.spec.own_loss) {
    log.train = {.loss = run.own_weight > 0 ? run.own_loss / run.own_weight : 0, .weight = run.own_weight};
    return log;
  }
  const run::Totals& totals = run.engine->totals();
  const losses::Sums& sums = totals.sums;
  log.train = {compiled_->loss_traits.average_over_rows(sums), sums.accuracy(), sums.weight, sums.exponent,
               run.engine->metric_sums()};
  if (compiled_->settings.penalty_in_loss) {
    const double counted = compiled_->loss_traits.is_sum ? 1 : totals.counted;
    log.train.loss = totals.objective / counted;
    log.penalty = totals.penalty / counted;
  }
  return log;
}

template <class T>
Piece Trainer<T>::next_piece(RunningFit& run, Index epoch, bool first) {
  Piece piece;
  try {
    piece = run.hooks.piece(epoch, first);
  } catch (const Interrupted&) {
    throw;
  } catch (...) {
    give_up(run.spec);
    throw;
  }
  need_own_values("fit");  // the caller's code may have left them exchanged
  if (run.hooks.stopped()) throw Interrupted();
  try {
    require(piece.last || piece.rows % run.spec.batch_size == 0, "[fit] a piece has ", piece.rows,
            " rows; expected whole batches of ", run.spec.batch_size, ", but in the last one of an epoch");
    prepare(run, piece);
  } catch (...) {
    give_up(run.spec);
    throw;
  }
  return piece;
}

// The last piece of an epoch may have fewer rows than a batch, so the largest piece so far decides about the batches.
template <class T>
void Trainer<T>::prepare(RunningFit& run, const Piece& piece) {
  const FitSpec& spec = run.spec;
  const Index rows = piece.rows;
  const Index batch = std::max(run.batch, std::min(spec.batch_size, rows)), rest = rows_used(spec, rows) % batch;
  if (batch == run.batch && (rest == 0 || rest == run.rest)) return;
  const bool larger = batch > run.batch;
  run.batch = batch;
  if (rest > 0) run.rest = rest;
  plans_.clear();
  // The next piece may have more cells, or be dense, so the rows of pieces are gathered.
  const kernels::Source x = spec.in_pieces ? kernels::Source{} : piece.data.x;
  Goal goal = training_goal(batch, Gradient::kLoss, x);
  fits_sparse_ = goal.row_cells > 0;
  Workspace<T>& ws = workspace(batch, false, !fits_sparse_);
  if (spec.own_loss) run.own = own_plans(goal, batch, run.rest, false);
  run.full = run.own.rest ? run.own.rest : &plans_.get(net_, batch, goal);
  run.ragged = run.full;
  if (run.rest > 0) run.ragged = run.own.rest ? run.own.short_rest : &plans_.get(net_, run.rest, goal);
  need_cells(ws, *run.full, *run.ragged, x, batch);
  if (goal.form == Form::kMaterialised && !goal.accumulate) gradients();
  ws.need_tiles(static_cast<Index>(std::max(run.full->tiles.size(), run.ragged->tiles.size())));
  for (const Plan* plan : {run.full, run.ragged}) ws.need_threads(run.threads.limit, *plan);
  if (larger) run.engine.reset(new Engine<T>(engine(ws, goal.accumulate)));
  run.engine->use(run.full, run.ragged);
  run.engine->wants_accuracy = spec.metrics;
  if (!spec.own_loss) run.engine->measure(std::max(run.full->chunks, run.ragged->chunks));
}

// Runs all batches of a piece, in stretches for which the tuner keeps its choice of the number of threads, or one at a
// time if the hooks see them or the caller computes their loss.
template <class T>
bool Trainer<T>::run_piece(RunningFit& run, const Piece& piece, Index epoch, bool first) {
  const FitSpec& spec = run.spec;
  Hooks& hooks = run.hooks;
  Engine<T>& engine = *run.engine;
  const Index rows = piece.last ? rows_used(spec, piece.rows) : piece.rows;
  engine.feed(piece.data, order_of(run, piece, rows, epoch), rows, run.batch);
  engine.epoch = epoch;
  engine.ends_epoch = piece.last;
  run.rows += rows;
  const double step_flops = run.full->flops;
  Tuner& tuner = tuners_.of(step_flops);
  const auto [limit, fixed] = run.threads;
  const bool seen = hooks.sees_batches(), alone = seen || spec.own_loss;
  const auto go_on = [&](Index ended, double loss) {
    const bool answer = hooks.between(ended, loss, !piece.last || !engine.exhausted());
    if (hooks.stopped()) throw Interrupted();
    return answer;
  };
  if (seen && first) go_on(-1, 0);
  while (!engine.exhausted()) {
    const int n = fixed ? limit : tuner.pick(parallel::Sharing::part_of(limit), step_flops);
    const Index steps_before = engine.totals().steps;
    const Index most = alone ? 1 : fixed ? std::numeric_limits<Index>::max() : tuner.steps();
    const auto start = std::chrono::steady_clock::now();
    const Verdict verdict =
        spec.own_loss ? own_step(engine, run.own, *spec.own_loss, n, hooks.poll()) : engine.run(most, n, hooks.poll());
    if (!fixed) tuner.record(engine.totals().steps - steps_before, seconds_since(start));
    keep(engine);
    run.report.threads_used = std::max(engine.threads_used(), run.report.threads_used);
    if (verdict != Verdict::kGood) {
      if (verdict != Verdict::kStopped) give_up(spec);
      raise("fit", verdict, engine, piece.data, engine.order(),
            " in epoch " + std::to_string(epoch) + ", batch " + std::to_string(engine.totals().steps));
    }
    run.own_loss += engine.batch_weight() * engine.last_loss();
    run.own_weight += engine.batch_weight();
    if (seen && !go_on(steps_before, engine.last_loss())) return false;
  }
  return true;
}

template <class T>
const std::int64_t* Trainer<T>::order_of(RunningFit& run, const Piece& piece, Index used, Index epoch) {
  const FitSpec& spec = run.spec;
  const std::int64_t* order = run.hooks.order(epoch, piece.rows);
  const bool callers = order != nullptr;
  if (!callers && spec.shuffle) {
    const parallel::Poll poll = run.hooks.poll();
    const auto stopped = [&] { return poll.ask && poll.ask(poll.context); };
    order = run.shuffled.data();
    if (!permute(run.shuffled.data(), piece.rows, spec.seed, spec.order_of(epoch), stopped)) throw Interrupted();
  }
  if (callers && run.full->goal.row_cells > 0) {
    // The caller may give a row several times, so that a batch has more cells than so many different rows.
    const kernels::SparseCells& cells = *piece.data.x.cells;
    Index most = 0;
    for (Index first = 0; first < used; first += run.batch) {
      Index of_batch = 0;
      for (Index r = first; r < std::min(first + run.batch, used); ++r)
        of_batch += cells.start(order[r] + 1) - cells.start(order[r]);
      most = std::max(most, of_batch);
    }
    for (const Plan* plan : {run.full, run.ragged}) workspace_->need_cells(most, *plan, net_.n_features());
  }
  if (order && epoch == spec.initial_epoch && (callers || used < piece.rows)) {
    // The first epoch may leave out rows that are trained on in later ones. They are checked before anything is trained.
    std::vector<std::int64_t> others;
    std::vector<bool> taken(static_cast<std::size_t>(piece.rows));
    for (Index r = 0; r < used; ++r) taken[static_cast<std::size_t>(order[r])] = true;
    for (Index r = 0; r < piece.rows; ++r)
      if (!taken[static_cast<std::size_t>(r)]) others.push_back(r);
    const auto count = static_cast<Index>(others.size());
    search("fit", piece.data, {others.data()}, count, run.engine->outside()).raise_if_any();
  }
  return order;
}

// The loss of rows whose weights are all zero is undefined: a loss of 0 would count as the best possible.
template <class T>
void Trainer<T>::need_weight(const FitSpec& spec, const Data& data, const Scores& scores) {
  if (scores.weight > 0) return;
  give_up(spec);
  refuse_unless(false, "fit", reason::kNoWeight, data.names->weights);
}

// Wrong validation data is found at the end of the first epoch; the model then returns to its state before the call.
template <class T>
Scores Trainer<T>::validate(const FitSpec& spec, parallel::Poll poll) {
  try {
    Scores scores =
        score("fit", spec.validation, spec.validation_rows, spec.metrics, spec.predictions, spec.n_threads, poll);
    need_weight(spec, spec.validation, scores);
    return scores;
  } catch (const Refused&) {
    give_up(spec);
    throw;
  }
}

template FitReport Trainer<float>::fit(const FitSpec&, Hooks&);
template FitReport Trainer<double>::fit(const FitSpec&, Hooks&);

}  // namespace fastnn::train

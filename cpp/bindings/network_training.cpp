// _core.Network: whole fits, single steps and the parts of a step.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <chrono>
#include <cstring>

#include "bindings/batch_args.h"
#include "bindings/network.h"
#include "bindings/numpy_draws.h"
#include "bindings/python_loss.h"
#include "bindings/values.h"

namespace fastnn::bindings {

// What a running fit asks of Python. The GIL is taken for each of these calls and released again.
class FitHooks final : public train::Hooks {
 public:
  FitHooks(Network& network, const py::object& orders, const py::object& on_epoch, const py::object& on_batch,
           bool metrics, bool validates)
      : network_(network),
        orders_(orders),
        numpy_orders_(py::isinstance<NumpyOrders>(orders) ? orders.cast<NumpyOrders*>() : nullptr),
        on_epoch_(on_epoch),
        on_batch_(on_batch),
        metrics_(metrics),
        validates_(validates) {}
  // All rows of an epoch are one piece, or they come from a function.
  void train_on(const BatchArgs& rows) { whole_ = {rows.data, rows.rows, true}; }
  void train_on(const py::object& pieces, const py::object& class_weight, bool own_loss) {
    pieces_ = pieces, class_weight_ = class_weight, own_loss_ = own_loss;
  }
  parallel::Poll poll() override {
    return {[](void* self) noexcept {
              const auto& hooks = *static_cast<const FitHooks*>(self);
              if (hooks.stopped()) return true;
              const auto signals = signal_poll();
              return signals.ask(signals.context) || hooks.stopped();  // a signal handler may have set stop
            },
            this, network_.deadline()};
  }
  bool stopped() const override { return network_.asked_to_stop(); }

  train::Piece piece(Index epoch, bool first) override {
    if (!pieces_) return whole_;
    bool last = true;
    in_window([&] {
      piece_.reset();  // before the next arrays are made
      try {
        const py::object answer = pieces_(epoch, first);
        const bool fits = py::isinstance<py::tuple>(answer) && py::len(answer) == 4;
        if (!fits || !py::isinstance<py::bool_>(answer[py::int_(3)]))
          throw py::type_error("[fit] pieces returned " + std::string(py::repr(answer)) +
                               "; expected X, y, sample_weight and whether it is the last");
        const auto given = py::reinterpret_borrow<py::tuple>(answer);
        require(given[1].is_none() == own_loss_, "[fit] expected either targets y or own_loss");
        piece_ = std::make_unique<BatchArgs>("fit", network_, given[0], given[1], given[2]);
        last = given[3].cast<bool>();
      } catch (py::error_already_set& error) {
        if (error.matches(PyExc_Exception)) throw;
        error.restore();  // Ctrl-C while a piece is made is Ctrl-C between two batches
        throw train::Interrupted();
      }
      piece_->need_rows("fit");
      if (!class_weight_.is_none()) piece_->weigh_classes("fit", class_weight_, false);
    });
    return {piece_->data, piece_->rows, last};
  }

  const std::int64_t* order(Index epoch, Index rows) override {
    if (orders_.is_none()) return nullptr;
    if (numpy_orders_) {
      require(numpy_orders_->rows() == rows, "[fit] orders are of ", numpy_orders_->rows(), " rows; expected ", rows);
      return numpy_orders_->next();
    }
    const WithGil gil;
    const std::string name = "the order of epoch " + std::to_string(epoch);
    const py::object given = orders_(epoch);
    const NumpyView checked("fit", name.c_str(), given, {.cols = 1, .vector = true});
    const char kind = py::reinterpret_borrow<py::array>(given).dtype().kind();
    if (kind != 'i' && kind != 'u') throw py::type_error("[fit] " + name + " is not of integers; expected row numbers");
    require(checked.rows() == rows, "[fit] ", name, " has ", checked.rows(), " entries; expected ", rows);
    order_.resize(static_cast<std::size_t>(rows));  // a copy: the caller's array may change meanwhile
    if (py::isinstance<py::array_t<std::int64_t, py::array::c_style>>(given) && copied(given, rows))
      return order_.data();
    for (Index r = 0; r < rows; ++r) {
      const double row = kernels::element(checked.source(), r, 0);
      require(row >= 0 && row < static_cast<double>(rows), "[fit] ", name, " has ", row, " at ", r, "; expected 0 to ",
              rows - 1);
      order_[static_cast<std::size_t>(r)] = static_cast<std::int64_t>(row);
    }
    return order_.data();
  }

  bool epoch_end(Index epoch, const train::EpochLog& log) override {
    logs_.push_back(log);
    ++network_.epochs_;
    if (on_epoch_.is_none()) return true;
    return ask("on_epoch", [&] { return on_epoch_(epoch, figures(log)); });
  }

  bool sees_batches() const override { return !on_batch_.is_none(); }
  bool between(Index ended, double loss, bool another) override {
    return ask("on_batch", [&] { return on_batch_(ended, loss, another); });
  }

  // Calls take(name, figure) for the figures of an epoch, the same ones in each epoch. sums: with those of the metrics.
  template <class Take>
  void each_figure(const train::EpochLog& log, bool sums, Take take) const {
    take("loss", log.train.loss);
    if (network_.model().penalty_in_loss()) take("penalty", log.penalty);
    if (metrics_) take("accuracy", log.train.accuracy);
    if (sums && !log.train.sums.empty()) take("sums", network_.metric_sums(log.train));
    if (validates_) take("val_loss", log.validation.loss);
    if (validates_ && metrics_) take("val_accuracy", log.validation.accuracy);
    if (sums && !log.validation.sums.empty()) take("val_sums", network_.metric_sums(log.validation));
    take("lr", log.lr);
  }
  py::dict figures(const train::EpochLog& log) const {
    py::dict d;
    each_figure(log, true, [&](const char* name, const auto& figure) { d[name] = figure; });
    return d;
  }
  // on_epoch has got the sums of the metrics already.
  py::dict history() const {
    py::dict lists;
    std::vector<py::list> curves;
    for (const auto& log : logs_) {
      std::size_t k = 0;
      each_figure(log, on_epoch_.is_none(), [&](const char* name, const auto& figure) {
        if (k == curves.size()) lists[name] = curves.emplace_back();
        curves[k++].append(figure);
      });
    }
    return lists;
  }

 private:
  // Copies the numbers of rows of a contiguous array; false if one of them is no number of a row.
  bool copied(const py::object& given, Index rows) {
    const auto* numbers = static_cast<const char*>(py::reinterpret_borrow<py::array>(given).data());
    std::uint64_t most = 0;  // a negative number is a large one here
    for (Index r = 0; r < rows; ++r) {
      std::int64_t row;  // read once, since it may change meanwhile, and wherever it lies: arrays need not be aligned
      std::memcpy(&row, numbers + r * static_cast<Index>(sizeof(row)), sizeof(row));
      order_[static_cast<std::size_t>(r)] = row;
      most = std::max(most, static_cast<std::uint64_t>(row));
    }
    return most < static_cast<std::uint64_t>(rows);
  }

  // Calls Python while the model admits readers and changes of settings.
  template <class Call>
  void in_window(Call call) {
    train::Gate& gate = network_.model().gate();
    gate.open_window();
    try {
      const WithGil gil;
      call();
    } catch (...) {
      gate.close_window();
      throw;
    }
    gate.close_window();
  }
  // The answer of a function of Python.
  template <class Call>
  bool ask(const char* name, Call call) {
    bool go_on = true;
    in_window([&] {
      const py::object answer = call();
      if (!py::isinstance<py::bool_>(answer))
        throw py::type_error("[fit] " + std::string(name) + " returned " + std::string(py::repr(answer)) +
                             "; expected True or False");
      go_on = answer.cast<bool>();
    });
    return go_on;
  }

  Network& network_;
  py::object orders_, on_epoch_, on_batch_, pieces_, class_weight_;
  NumpyOrders* numpy_orders_;
  train::Piece whole_;
  std::unique_ptr<BatchArgs> piece_;
  bool own_loss_ = false;
  std::vector<std::int64_t> order_;
  bool metrics_, validates_;
  std::vector<train::EpochLog> logs_;
};

void Network::stop_after(double seconds) {
  model();
  require(seconds >= 0, "[stop] after = ", seconds, "; expected a number of seconds >= 0");
  constexpr double kLongest = 1e9;  // seconds, more than thirty years: no overflow
  const auto wait = std::chrono::duration<double>(std::min(seconds, kLongest));
  deadline_ =
      (parallel::Clock::now() + std::chrono::duration_cast<parallel::Clock::duration>(wait)).time_since_epoch().count();
}

Index Network::check(const py::object& x, const py::object& y, const py::object& w, bool validation, bool part) {
  const BatchArgs args("fit", *this, x, y, w, Py_None, validation ? run::kValidationNames : run::kNames, true);
  if (part) return args.rows;
  args.need_rows("fit");
  refuse_unless(!args.data.weights || kernels::extent(args.data.weights, {}, args.rows).size > 0, "fit",
                reason::kNoWeight, args.data.names->weights);
  return args.rows;
}

py::dict Network::fit(const py::object& x, const py::object& y, const py::object& w, const py::object& orders,
                      const py::object& validation, const py::object& class_weight, const py::object& on_epoch,
                      const py::object& on_batch, const py::object& own_loss, const py::object& pieces, Index rows,
                      const py::object& predictions, const py::object& standstill, const py::kwargs& settings) {
  if (!model().gate().writing()) history_ = py::dict();  // so that a fit that is refused leaves an empty history
  train::FitSpec spec;
  PythonLoss own("fit", own_loss, model().is_double());
  if (!own_loss.is_none()) spec.own_loss = &own;
  static_cast<run::FitSettings&>(spec) = settings_of<run::FitSettings>("fit", settings);
  if (!standstill.is_none()) spec.standstill = settings_of<run::Standstill>("standstill", standstill.cast<py::dict>());
  std::unique_ptr<BatchArgs> args, held_out;
  if (pieces.is_none()) {
    args = std::make_unique<BatchArgs>("fit", *this, x, y, w);
    args->need_rows("fit");
    require(y.is_none() != own_loss.is_none(), "[fit] expected either targets y or own_loss");
    if (!class_weight.is_none()) args->weigh_classes("fit", class_weight, !model().loss_is_sum());
    rows = args->rows;
  } else {
    require(x.is_none() && y.is_none() && w.is_none() && orders.is_none() && !spec.shuffle,
            "[fit] pieces came with arrays, orders or shuffle; expected them alone");
    require(rows >= 0, "[fit] rows = ", rows, "; expected 0 or the number of rows of an epoch");
  }
  spec.rows = rows;
  spec.in_pieces = !pieces.is_none();
  if (!validation.is_none()) {
    const auto parts = validation.cast<py::tuple>();
    require(parts.size() == 3, "[fit] validation has ", parts.size(), " parts, expected (X, y, sample_weight or None)");
    held_out = std::make_unique<BatchArgs>("fit", *this, parts[0], parts[1], parts[2], Py_None, run::kValidationNames);
    held_out->need_rows("fit");
    require(!parts[1].is_none(), "[fit] validation y is None; expected targets");
    spec.validation = held_out->data;
    spec.validation_rows = held_out->rows;
    spec.predictions = memory_for_predictions("fit", predictions, held_out->rows);
  }
  FitHooks hooks(*this, orders, on_epoch, on_batch, spec.metrics, held_out != nullptr);
  if (args)
    hooks.train_on(*args);
  else
    hooks.train_on(pieces, class_weight, spec.own_loss != nullptr);
  const auto start = std::chrono::steady_clock::now();
  train::FitReport report;
  const train::Gate::Writer writer(model().gate(), "fit");
  const ReadOnly locked(lent_.held());
  try {
    {
      const WithoutGil free;
      report = model().fit(spec, hooks);
    }
    if (PyErr_Occurred()) throw py::error_already_set();  // a signal handler raised while another request ended fit
  } catch (...) {
    const py::error_scope pending;  // no Python object may be made while an exception of a signal handler is set
    try {
      history_ = hooks.history();  // of the epochs that ended before
    } catch (...) {                // Without memory for the history, the first exception is still the one to report.
    }
    throw;
  }
  history_ = hooks.history();
  py::dict result = history_.attr("copy")();
  result["threads_used"] = report.threads_used;
  result["steps"] = report.steps;
  result["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

double Network::step(const BatchArgs& args, int n_threads) {
  args.need_rows("train_step");
  checked_threads("train_step", n_threads);
  Model& net = model();
  const train::Gate::Writer writer(net.gate(), "train_step");
  if (brief(3, args.rows)) return net.train_step(args.data, args.rows, n_threads, {});
  const WithoutGil free;
  return net.train_step(args.data, args.rows, n_threads, signal_poll());
}

double Network::train_step(py::handle x, py::handle y, py::handle w, int n_threads) {
  const BatchArgs args("train_step", *this, x, y, w);
  require(!y.is_none(), "[train_step] y is None; expected targets (or a gradient: train_step_grad)");
  return step(args, n_threads);
}

double Network::train_step_own(const py::object& x, const py::object& w, const py::object& own_loss, int n_threads) {
  const BatchArgs args("train_step", *this, x, Py_None, w);
  args.need_rows("train_step");
  checked_threads("train_step", n_threads);
  PythonLoss own("train_step", own_loss, model().is_double());
  const train::Gate::Writer writer(model().gate(), "train_step");
  const WithoutGil free;
  return model().train_step_own(args.data, args.rows, own, n_threads, signal_poll());
}

double Network::train_step_grad(py::handle x, py::handle grad, int n_threads) {
  const BatchArgs args("train_step", *this, x, Py_None, Py_None, grad);
  require(!grad.is_none(), "[train_step] grad is None; expected dl/dlogits");
  return step(args, n_threads);
}

double Network::loss_and_grad(const py::object& x, const py::object& y, const py::object& w, int n_threads,
                              bool training) {
  BatchArgs args("loss_and_grad", *this, x, y, w);
  args.need_rows("loss_and_grad");
  require(!y.is_none(), "[loss_and_grad] y is None; expected targets");
  checked_threads("loss_and_grad", n_threads);
  const train::Gate::Writer writer(model().gate(), "loss_and_grad");
  const WithoutGil free;
  return model().loss_and_grad(args.data, args.rows, training, n_threads, signal_poll());
}

py::array Network::forward(const py::object& x, bool training, int n_threads) {
  BatchArgs args("forward", *this, x, py::none(), py::none());
  args.need_rows("forward");
  checked_threads("forward", n_threads);
  py::array out = new_output(args.rows, model().n_outputs());
  void* memory = out.mutable_data();
  const train::Gate::Writer writer(model().gate(), "forward");
  const WithoutGil free;
  model().forward(args.data, args.rows, training, memory, n_threads, signal_poll());
  return out;
}

py::object Network::backward(const py::object& grad, bool need_dx, int n_threads) {
  const Index k = model().n_outputs();
  const run::Names& names = run::kBackwardNames;
  NumpyView rows("backward", names.grad, grad, {.cols = k, .vector = k == 1});
  checked_threads("backward", n_threads);
  run::Data data;
  data.names = &names;
  data.grad = rows.source();
  py::object dx = py::none();
  void* memory = nullptr;
  if (need_dx) {
    py::array array = new_output(rows.rows(), model().n_features());
    memory = array.mutable_data();
    dx = array;
  }
  const train::Gate::Writer writer(model().gate(), "backward");
  const WithoutGil free;
  model().backward(data, rows.rows(), memory, n_threads, signal_poll());
  return dx;
}

double Network::clip_grad_norm(double max_norm) {
  require(max_norm > 0, "[clip_grad_norm] max_norm = ", max_norm, "; expected a number > 0");
  const train::Gate::Writer writer(model().gate(), "clip_grad_norm");
  return model().clip_grad_norm(max_norm);
}

void Network::apply_gradients(int n_threads) {
  checked_threads("apply_gradients", n_threads);
  const train::Gate::Writer writer(model().gate(), "apply_gradients");
  const WithoutGil free;
  model().apply_gradients(n_threads, signal_poll());
}

}  // namespace fastnn::bindings

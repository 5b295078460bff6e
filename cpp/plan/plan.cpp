// SPDX-License-Identifier: BSD-3-Clause
#include "plan/plan.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "core/faults.h"

namespace fastnn::plan {

namespace {

// Constants instead of the sizes of the machine's caches, because the division of a batch into chunks affects the order
// of sums and so the bits of the results.
constexpr Index kChunkBytes = 128 * 1024;  // activations and gradients of a chunk stay in a core's L2
constexpr Index kWideBytes = 512 * 1024;   // larger weights are not read again for every chunk
constexpr Index kMinItems = 8;             // a phase of a batch of 128 rows or more has work for eight cores
constexpr Index kBlockRows = 96;
// With a larger share of stored cells, gathering the rows and a dense product are faster (python -m bench.sparse).
constexpr double kMostCells = 0.1;
// x^T is made for wide layers with at least so many outputs. With fewer, making it takes as long as it saves.
constexpr Index kTransposedOutputs = 256;
// Gradients are summed by parts of the rows in batches of at least so many rows whose activations and gradients are at
// least so many times as many numbers as the parameters, if these stay in a core's L2.
constexpr Index kPartRows = 128, kPartNumbers = 2, kPartBytes = 1024 * 1024;
// A share of the tiles may have a fifth of a share more or less work than others if it has a good end there.
constexpr Index kGoodEndSlack = 5;
template <class T>
constexpr double kUpdateFlops = 20.0 * kTileBytes / sizeof(T);
constexpr double kMaxItemFlops = 268435456.0;  // 2^28: limits how long a stop has to wait for an item

template <class T>
class Builder {
 public:
  Builder(const Network<T>& network, Index rows, const Goal& goal) : net_(network) {
    plan_.goal = goal;
    plan_.rows = rows;
    plan_.chunk = chunk_rows(network, rows);
    plan_.chunks = ceil_div(rows, plan_.chunk);
    if (goal.row_cells > 0) plan_.sparse_reader = network.sparse_reader();
  }

  Plan build() {
    plan_.wanted = net_.wanted_gradients(plan_.goal.need_dx);
    const bool backward = plan_.goal.gradient != Gradient::kNone;
    add_repacking(backward);
    open_rows();
    if (plan_.goal.forward) forward();
    if (backward) {
      if (plan_.goal.gradient != Gradient::kStored)
        add({plan_.goal.gradient == Gradient::kLoss ? Op::kLoss : Op::kGiven, net_.depth() - 1});
      this->backward();
    }
    if (backward && plan_.goal.guard)
      for (const auto& p : net_.parameters())
        if (p.role == Role::kProductMatrix && net_.trains(p)) add({Op::kBoundGradient, p.layer});
    close_rows();
    make_tiles();
    if (backward) {
      add_transpositions();
      make_parts();
      if (plan_.parts() > 0) add_parts();
      add_items(Phase::kTiles, plan_.parts() > 0 ? kUpdateFlops<T> : tile_flops());
    }
    const bool update_phase = plan_.goal.update && (plan_.goal.form == Form::kMaterialised || !backward);
    if (update_phase) add_items(Phase::kUpdate, kUpdateFlops<T>);
    for (const auto& phase : plan_.phases) plan_.flops += phase.item_flops * static_cast<double>(phase.items);
    return std::move(plan_);
  }

 private:
  void open_rows() { rows_ = Phase{.kind = Phase::kRows}; }
  void add(Op op) { rows_.ops.push_back(op); }

  void close_rows() {
    if (rows_.ops.empty()) return;
    rows_.items = plan_.chunks;
    rows_.row_step = plan_.chunk;
    double flops = 0;
    const Index features = plan_.goal.row_cells > 0 ? plan_.goal.row_cells : net_.n_features();
    for (const Op& op : rows_.ops)
      flops += op.kind == Op::kGather || op.kind == Op::kBoundGradient ? static_cast<double>(features)
               : reads_sparse(op.layer) ? 2.0 * static_cast<double>(features * net_.layer(op.layer).out())
                                        : net_.layer(op.layer).flops_per_row();
    rows_.item_flops = flops * static_cast<double>(plan_.chunk);
    plan_.phases.push_back(std::move(rows_));
    open_rows();
  }

  // Adds a phase for one wide product and the elementwise layers of `ops` after it, with items of rows x columns.
  void add_blocks(std::vector<Op> ops, Index cols) {
    close_rows();
    Phase phase{.kind = Phase::kBlocks, .ops = std::move(ops)};
    phase.cols = cols;
    phase.col_step = static_cast<Index>(512 / sizeof(T));
    phase.col_blocks = ceil_div(cols, phase.col_step);
    const Index depth = net_.layer(phase.ops[0].layer).in() * net_.layer(phase.ops[0].layer).out() / cols;
    const double row_flops = 2.0 * static_cast<double>(depth) * static_cast<double>(std::min(cols, phase.col_step));
    const Index most = std::max<Index>(1, static_cast<Index>(kMaxItemFlops / row_flops));
    const Index wanted = ceil_div(kMinItems, phase.col_blocks);
    phase.row_step = std::clamp(ceil_div(plan_.rows, wanted), std::min(kMinChunk, most), std::min(kBlockRows, most));
    phase.items = ceil_div(plan_.rows, phase.row_step) * phase.col_blocks;
    // If W is read from a packed copy, items of one column block share a panel, which then stays in cache.
    phase.column_major = plan_.packs_w || phase.ops[0].kind == Op::kBackward;
    phase.item_flops = row_flops * static_cast<double>(phase.row_step);
    plan_.phases.push_back(std::move(phase));
  }

  void forward() {
    add({Op::kGather});
    for (int k = 0; k < net_.depth(); ++k) {
      const auto& layer = net_.layer(k);
      if (is_wide(layer) && !reads_sparse(k)) {
        // Each block of its output also goes through the elementwise nodes that follow. All other values that these
        // nodes read have been computed in earlier phases.
        std::vector<Op> ops{{Op::kForward, k}};
        while (k + 1 < net_.depth() && net_.layer(k + 1).traits().elementwise && net_.node(k + 1).inputs[0] == k)
          ops.push_back({Op::kForward, ++k});
        add_blocks(std::move(ops), layer.out());
        continue;
      }
      if (!layer.traits().row_local && layers::Batch::has_statistics(plan_.goal.training, plan_.rows)) {
        add({Op::kForwardPartial, k});
        close_rows();
      }
      add({Op::kForward, k});
    }
  }

  // The backward pass ends at the lowest nodes that train, whose dx is not needed.
  void backward() {
    for (int k = net_.depth() - 1; k >= 0; --k) {
      const auto& layer = net_.layer(k);
      if (!wanted(k)) continue;
      const bool row_local = layer.traits().row_local;
      if (layer.partial_size() > 0 && (net_.trains(k) || (needs_dx(k) && !row_local))) {
        add({Op::kBackwardPartial, k});
        if (!row_local) close_rows();
      }
      if (!needs_dx(k)) continue;
      if (is_wide(layer)) {
        const int wide = k;
        std::vector<Op> ops{{Op::kBackward, k}};
        while (follows_alone(k)) ops.push_back({Op::kBackward, --k});
        add_blocks(std::move(ops), net_.layer(wide).in());
      } else {
        add({Op::kBackward, k});
      }
      accumulate(k);
    }
  }

  bool reads_sparse(int k) const { return plan_.sparse_reader == k; }
  // Is the gradient of the output of node k (or of the input rows, kInput) needed?
  bool wanted(int k) const { return plan_.wanted[static_cast<std::size_t>(k + 1)]; }
  bool needs_dx(int k) const {
    return std::ranges::any_of(net_.node(k).inputs, [&](int value) { return wanted(value); });
  }
  // Is the backward of the node before k elementwise, so that it can process each block of the dx of k in the same
  // item?
  bool follows_alone(int k) const {
    if (k == 0 || net_.node(k).inputs != std::vector{k - 1} || net_.readers(k - 1).size() > 1) return false;
    const auto& inputs = net_.node(k - 1).inputs;
    return net_.layer(k - 1).traits().elementwise && inputs.size() == 1 && needs_dx(k - 1);
  }
  void accumulate(int k) {
    const auto& inputs = net_.node(k).inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (wanted(inputs[i]) && net_.adds_gradient(k, i)) add({Op::kAccumulate, k, static_cast<int>(i)});
  }

  bool needs_transpose(const Parameter& p) const { return plan_.rows > layers::Batch::kFewRows && needs_dx(p.layer); }
  bool needs_packing(const Parameter& p) const {
    return plan_.goal.forward && plan_.rows >= kPackRows && is_wide(net_.layer(p.layer)) && !reads_sparse(p.layer);
  }

  void add_repacking(bool backward) {
    plan_.packed_copies.resize(static_cast<std::size_t>(net_.depth()));
    for (std::size_t i = 0; i < net_.parameters().size(); ++i) {
      const auto& p = net_.parameters()[i];
      if (p.role != Role::kProductMatrix) continue;
      const bool wt = backward && needs_transpose(p), shared = is_wide(net_.layer(p.layer));
      const Plan::PackedCopies read{
          .w = needs_packing(p), .wt = wt && shared, .own_wt = wt && !shared ? static_cast<int>(i) : -1};
      plan_.packed_copies[static_cast<std::size_t>(p.layer)] = read;
      if (!read.w && !read.wt) continue;
      plan_.packs_w = plan_.packs_w || read.w;
      for (Index r = 0; r < p.rows; r += kTileRows)
        plan_.repack_tiles.push_back({static_cast<int>(i), {r, std::min(kTileRows, p.rows - r)}, {0, p.cols}});
    }
    add_copies(Phase::kRepack, plan_.repack_tiles.size());
    if (plan_.goal.update && !plan_.repack_tiles.empty())
      plan_.loop_start = 1;  // in later steps the tiles that update W update the packed copies
  }

  // Takes the largest tiles of which there are enough for every core; in steps of a few microseconds, the largest
  // tiles. (Not in the materialised form, in which norms are sums over tiles that must not depend on the batch.)
  void make_tiles() {
    for (std::size_t i = 0; i < net_.parameters().size(); ++i)
      if (net_.trains(net_.parameters()[i])) plan_.trained.push_back(static_cast<int>(i));
    const bool few = plan_.goal.form == Form::kFused && plan_.rows <= layers::Batch::kFewRows;
    for (Index height : {kWideTileRows, kTileRows, Index{48}, Index{32}, Index{16}}) {
      plan_.tiles.clear();
      plan_.tile_size = 0;
      for (const int i : plan_.trained) {
        const auto& p = net_.parameters()[static_cast<std::size_t>(i)];
        const bool large = height == kWideTileRows && p.role == Role::kProductMatrix && is_wide(net_.layer(p.layer));
        const Index row_bytes = std::min(padded<T>(p.cols), kTileCols<T>) * static_cast<Index>(sizeof(T));
        add_tiles(i, large ? height : std::min({height, kTileRows, kTileBytes / row_bytes}));
      }
      if (static_cast<Index>(plan_.tiles.size()) >= 2 * kMinItems || few) break;
    }
  }

  void add_tiles(int param, Index height) {
    constexpr Index width = kTileCols<T>;
    const auto& p = net_.parameters()[static_cast<std::size_t>(param)];
    if (reads_sparse(p.layer) && p.role == Role::kProductMatrix) plan_.cell_block = height;
    plan_.tile_size = std::max(plan_.tile_size, std::min(height, p.rows) * padded<T>(std::min(width, p.cols)));
    for (Index r = 0; r < p.rows; r += height)
      for (Index c = 0; c < p.cols; c += width)
        plan_.tiles.push_back({param, {r, std::min(height, p.rows - r)}, {c, std::min(width, p.cols - c)}});
  }

  void add_transpositions() {
    const Index lines = plan_.rows / kMinItems / kPad<T>;  // whole ones, so that no two items write to the same line
    const Index step = std::clamp(lines * kPad<T>, kPad<T>, kBlockRows);
    for (const int i : plan_.trained) {
      const auto& p = net_.parameters()[static_cast<std::size_t>(i)];
      if (p.role != Role::kProductMatrix || reads_sparse(p.layer)) continue;
      if (!transposes_x(net_.layer(p.layer), plan_.rows)) continue;
      for (Index r = 0; r < plan_.rows; r += step)
        plan_.transpositions.push_back({p.layer, {r, std::min(step, plan_.rows - r)}});
    }
    add_copies(Phase::kTranspose, plan_.transpositions.size());
  }

  void add_copies(Phase::Kind kind, std::size_t items) {
    if (items == 0) return;
    Phase phase{.kind = kind};
    phase.items = static_cast<Index>(items);
    phase.item_flops = 1e4;
    plan_.phases.push_back(std::move(phase));
  }

  // Parts save that activations and gradients of their rows move from one core's cache to another's, for which the
  // gradients of the parameters do.
  void make_parts() {
    if (plan_.rows < kPartRows) return;
    Index parameters = 0, row = 0;
    for (const Tile& tile : plan_.tiles) parameters += numbers(tile);
    for (int k = 0; k < net_.depth(); ++k)
      if (net_.layer(k).traits().sums_rows) row += padded<T>(net_.layer(k).in()) + padded<T>(net_.layer(k).out());
    if (plan_.rows * row < kPartNumbers * parameters) return;
    if (parameters * static_cast<Index>(sizeof(T)) > kPartBytes) return;
    const Index half = plan_.rows / 2;
    plan_.row_parts = {{0, half}, {half, plan_.rows - half}};
    for (Tile& tile : plan_.tiles) {
      const auto& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
      if (!net_.layer(p.layer).traits().sums_rows) continue;
      tile.parts_at = plan_.part_size;
      plan_.part_size += numbers(tile);
    }
  }

  // Part by part, so that of two threads each takes the part whose rows it has carried through the layers.
  void add_parts() {
    Phase phase{.kind = Phase::kParts};
    phase.work_before = {0};
    for (Index part = 0; part < plan_.parts(); ++part) {
      if (part > 0) phase.good_ends.push_back(phase.items);
      for (std::size_t k = 0; k < plan_.tiles.size(); ++k) {
        const Tile& tile = plan_.tiles[k];
        if (tile.parts_at == Tile::kAtOnce) continue;
        plan_.part_items.push_back({static_cast<Index>(k), part});
        phase.work_before.push_back(phase.work_before.back() + numbers(tile));
        ++phase.items;
      }
    }
    phase.item_flops = tile_flops() / static_cast<double>(plan_.parts());
    plan_.phases.push_back(std::move(phase));
  }

  static Index numbers(const Tile& tile) { return tile.rows.count * padded<T>(tile.cols.count); }

  double tile_flops() const {
    double flops = 0;
    for (const auto& tile : plan_.tiles) {
      const auto& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
      const auto numbers = static_cast<double>(tile.rows.count * tile.cols.count);
      if (reads_sparse(p.layer) && p.role == Role::kProductMatrix)
        flops +=
            numbers * (20 + 2.0 * static_cast<double>(plan_.rows * plan_.goal.row_cells) / static_cast<double>(p.rows));
      else
        flops += 2.0 * numbers * static_cast<double>(plan_.rows);
    }
    return plan_.tiles.empty() ? 0 : flops / static_cast<double>(plan_.tiles.size());
  }

  void add_items(Phase::Kind kind, double flops) {
    if (plan_.tiles.empty()) return;
    Phase phase{.kind = kind};
    phase.items = static_cast<Index>(plan_.tiles.size());
    phase.item_flops = flops;
    phase.work_before = {0};
    const auto layer_of = [&](const Tile& tile) {
      return net_.parameters()[static_cast<std::size_t>(tile.param)].layer;
    };
    for (std::size_t k = 0; k < plan_.tiles.size(); ++k) {
      const Tile& tile = plan_.tiles[k];
      if (k > 0 && layer_of(tile) != layer_of(plan_.tiles[k - 1])) phase.good_ends.push_back(static_cast<Index>(k));
      phase.work_before.push_back(phase.work_before.back() + numbers(tile));
    }
    plan_.phases.push_back(std::move(phase));
  }

  const Network<T>& net_;
  Plan plan_;
  Phase rows_{.kind = Phase::kRows};
};

}  // namespace

Index Phase::share_end(int t, int threads) const {
  if (work_before.empty() || t + 1 == threads) return items * (t + 1) / threads;
  const Index all = work_before.back(), wanted = all * (t + 1) / threads;
  for (const Index start : good_ends)
    if (std::abs(work_before[static_cast<std::size_t>(start)] - wanted) * kGoodEndSlack * threads <= all) return start;
  const auto after = std::ranges::lower_bound(work_before, wanted);
  const bool before_is_nearer = after != work_before.begin() && wanted - after[-1] < *after - wanted;
  return after - work_before.begin() - (before_is_nearer ? 1 : 0);
}

template <class T>
Index row_cells(const Network<T>& network, const kernels::Source& x) {
  if (!x.cells || x.rows == 0 || network.sparse_reader() == graph::kNoNode) return 0;
  const double mean = kernels::mean_cells(x);
  if (mean > kMostCells * static_cast<double>(x.cols)) return 0;
  return static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(std::max(mean, 1.0))));
}

template <class T>
bool is_wide(const Layer<T>& layer) {
  if (!layer.traits().column_blocks) return false;
  const auto matrix = layer.product_matrix();
  return matrix.rows * padded<T>(matrix.cols) > kWideBytes / static_cast<Index>(sizeof(T));
}

template <class T>
bool transposes_x(const Layer<T>& layer, Index rows) {
  return is_wide(layer) && layer.out() >= kTransposedOutputs && rows > layers::Batch::kFewRows;
}

template <class T>
Index chunk_rows(const Network<T>& network, Index rows) {
  if (const int parts = faults::split.load(std::memory_order_relaxed)) return ceil_div(rows, parts);
  Index row_bytes = static_cast<Index>(sizeof(T)) * padded<T>(network.n_features());
  for (int k = 0; k < network.depth(); ++k)
    row_bytes += 2 * static_cast<Index>(sizeof(T)) * padded<T>(network.layer(k).out());
  const Index cap = std::clamp(kChunkBytes / std::max<Index>(row_bytes, 1), kMinChunk, kMaxChunk);
  // For less than 128 rows, an even number of chunks of at least kMinChunk rows; from 128 rows on, at least kMinItems.
  Index chunks = rows >= 128 ? kMinItems : std::max<Index>(1, rows / kMinChunk / 2 * 2);
  chunks = std::max(chunks, ceil_div(rows, cap));
  return std::max<Index>(1, ceil_div(rows, chunks));
}

template <class T>
Plan make_plan(const Network<T>& network, Index rows, const Goal& goal) {
  return Builder<T>(network, rows, goal).build();
}

template Index row_cells(const Network<float>&, const kernels::Source&);
template Index row_cells(const Network<double>&, const kernels::Source&);
template bool is_wide(const Layer<float>&);
template bool is_wide(const Layer<double>&);
template bool transposes_x(const Layer<float>&, Index);
template bool transposes_x(const Layer<double>&, Index);
template Index chunk_rows(const Network<float>&, Index);
template Index chunk_rows(const Network<double>&, Index);
template Plan make_plan(const Network<float>&, Index, const Goal&);
template Plan make_plan(const Network<double>&, Index, const Goal&);

}  // namespace fastnn::plan

// Plan: the phases of one training step of a network. A phase consists of independent items, and begins when all items
// of the previous phase are done. A plan is made from shapes alone (layers, rows of the batch, which layers train),
// never from the number of threads, the machine or measured times. It has no values; run/engine.h runs it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <vector>

#include "graph/network.h"

namespace fastnn::plan {

using graph::Network;
using graph::Parameter;
using layers::Layer;
using layers::Range;
using layers::Role;

// In the fused form the tiles phase also updates the parameters; in the materialised form it stores the gradients, and
// a later phase updates.
enum class Form { kFused, kMaterialised };
// Where the gradient of the outputs comes from: nowhere, the loss, an argument of the call, or what the caller has stored
// in the workspace.
enum class Gradient { kNone, kLoss, kGiven, kStored };

// The parts of a step that are to be done: all of them in fit and train_step, some in forward, backward and
// apply_gradients.
struct Goal {
  bool training = true;
  bool forward = true;
  Gradient gradient = Gradient::kLoss;
  bool need_dx = false;
  bool update = true;
  Form form = Form::kFused;
  bool clip = false;  // clip by norms of whole gradients, which needs the materialised form
  // Add the gradients of several batches before an update, which needs the materialised form. The engine leaves out the
  // update phase of all batches but the last.
  bool accumulate = false;
  // Overflow guard: bound the gradients before they are computed, and stop before an update that may overflow.
  bool guard = false;
  // The mean number of stored cells of a row of X, rounded up to a power of two, if the first layer reads sparse rows;
  // 0 if they are gathered.
  Index row_cells = 0;
  bool operator==(const Goal&) const = default;
};

struct Op {
  enum Kind {
    kGather,
    kForward,
    kForwardPartial,
    kLoss,
    kGiven,
    kBackward,
    kBackwardPartial,
    kAccumulate,  // add the layer's dx, or dx2, to the gradient of a value that several nodes read
    kBoundGradient
  } kind;
  int layer = 0;
  int input = 0;  // of kAccumulate: 1 for dx2
};

struct Phase {
  enum Kind {
    kRows,       // item: a chunk of rows carried through `ops`
    kBlocks,     // item: rows x columns of one wide product and the elementwise layers after it
    kRepack,     // item: a block of rows of some W, copied to the packed W^T and W that products read
    kTranspose,  // item: some rows of x of a wide layer, copied to columns of x^T
    kParts,      // item: the gradient of a tile, summed over a part of the rows of the batch
    kTiles,      // item: a tile of some parameter: its gradient and, in the fused form, its update
    kUpdate      // item: the update of a tile from the materialised gradient
  } kind;
  std::vector<Op> ops = {};
  Index items = 0;
  Index row_step = 1;
  Index col_step = 1, col_blocks = 1, cols = 0;
  // Order of the items. true: all row blocks of one column block first, so that its panel of W stays in cache. false:
  // row block by row block.
  bool column_major = false;
  double item_flops = 0;
  // Of tiles: the work of the items before each item and of all items, in numbers of the parameters, and the items
  // before which a share ends well, because another layer or another part of the rows begins. Empty if all items take
  // about the same time.
  std::vector<Index> work_before = {}, good_ends = {};

  // The end of the items that thread t of `threads` takes first. The shares are of the same work, so that no thread has
  // to help another one: from step to step each updates the same tiles, whose memory its caches still hold. A share ends
  // well if it can, because the tiles of a layer read the same activations and gradients, those of a part of the rows.
  Index share_end(int t, int threads) const;
};

struct Tile {
  int param = 0;
  Range rows, cols;
  // The place of its gradient in the memory for those of a part of the rows; kAtOnce if it is summed over all rows.
  Index parts_at = kAtOnce;
  static constexpr Index kAtOnce = -1;
};

struct Plan {
  Goal goal;
  Index rows = 0;   // of the batch
  Index chunk = 0;  // rows of a chunk
  Index chunks = 0;
  std::vector<Phase> phases;
  int loop_start = 0;    // the first phase of later steps, in which the tiles update the packed copies
  bool packs_w = false;  // W of wide layers has a packed copy as well
  struct PackedCopies {
    bool w = false, wt = false;
    int own_wt = -1;  // the parameter of which each thread makes a W^T for itself, not packed, or -1
  };
  std::vector<bool> wanted;                 // gradients that the backward pass computes, as Network::wanted_gradients
  std::vector<PackedCopies> packed_copies;  // by layer; w and wt are shared, and have to be updated with W
  std::vector<int> trained;                 // parameters that have tiles
  std::vector<Tile> tiles;
  Index tile_size = 0;  // numbers in the largest tile, with padding
  // Two parts of the rows, over each of which gradients are summed before the two sums are added, or none. The thread
  // that has carried most rows of a part through the layers reads their activations again; only the sums move between
  // the caches of cores.
  std::vector<Range> row_parts;
  Index parts() const { return static_cast<Index>(row_parts.size()); }
  struct PartOfTile {
    Index tile = 0, part = 0;
  };
  std::vector<PartOfTile> part_items;  // of the phase kParts
  Index part_size = 0;                 // numbers in all tiles that are summed by parts
  struct RowsOfLayer {
    int layer = 0;
    Range rows;
  };
  std::vector<RowsOfLayer> transpositions;  // of the phase kTranspose
  std::vector<Tile> repack_tiles;
  // The node that reads sparse rows, and the rows of the tiles of its matrix: blocks of columns of X. 0 if it does not
  // train.
  int sparse_reader = graph::kNoNode;
  Index cell_block = 0;
  double flops = 0;  // of a step
};

// The number for Goal::row_cells: 0 for dense X, for networks that have to gather, and for so many stored cells that
// the dense product is faster.
template <class T>
Index row_cells(const Network<T>& network, const kernels::Source& x);

// Does the layer have phases of its own, because its product matrix is too large to be read again for every chunk?
template <class T>
bool is_wide(const Layer<T>& layer);

// Does the gradient of W read x^T instead of x in batches of so many rows?
template <class T>
bool transposes_x(const Layer<T>& layer, Index rows);

// In batches of at least so many rows, W of wide layers is packed once instead of copied for every block of rows.
inline constexpr Index kPackRows = 512;

// The number of rows of a chunk for these shapes.
template <class T>
Index chunk_rows(const Network<T>& network, Index rows);

template <class T>
Plan make_plan(const Network<T>& network, Index rows, const Goal& goal);

// The plans that a model has used recently, so that train_step makes a plan only once per shape.
template <class T>
class PlanCache {
 public:
  const Plan& get(const Network<T>& network, Index rows, const Goal& goal) {
    for (const auto& known : plans_)
      if (known->rows == rows && known->goal == goal) return *known;
    if (plans_.size() >= kMost) plans_.clear();
    plans_.push_back(std::make_unique<Plan>(make_plan(network, rows, goal)));
    return *plans_.back();
  }
  void clear() { plans_.clear(); }
  // The plans of the next so many calls of get() stay together.
  void make_room(std::size_t count) {
    if (plans_.size() + count > kMost) plans_.clear();
  }

 private:
  static constexpr std::size_t kMost = 16;
  std::vector<std::unique_ptr<Plan>> plans_;
};

// Rows and columns of the largest tiles. They are wide, because products that skip zeros look at x once for all columns of
// a tile, and have fewer rows the wider they are: their scratch takes up to 24 KB and stays in L1. For wide layers it
// takes 96 KB in L2, because larger tiles read x and dy, which are not in L1 there, less often.
inline constexpr Index kTileRows = 96, kWideTileRows = 192, kTileBytes = 24 * 1024;
template <class T>
inline constexpr Index kTileCols = static_cast<Index>(512 / sizeof(T));
inline constexpr Index kMinChunk = 12, kMaxChunk = 96;

// The largest number of chunks of any batch of at most `rows` rows.
constexpr Index max_chunks(Index rows) { return ceil_div(rows, kMinChunk) + 8; }

}  // namespace fastnn::plan

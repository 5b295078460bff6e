// Plan: what one training step of a network consists of, as phases of independent items with a barrier after each.
// Made from shapes alone (layers, batch rows, which layers train): never from the thread count, the machine or time.
// It knows no values and runs nothing; engine.h does.
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

enum class Form { kFused, kMaterialised };     // tiles update at once | tiles write gradients, then a phase updates
enum class Gradient { kNone, kLoss, kGiven };  // where dl/dout comes from

// What a step is asked for. fit and train_step: everything; forward, backward and apply_gradients: a part.
struct Goal {
  bool training = true;
  bool forward = true;
  Gradient gradient = Gradient::kLoss;
  bool need_dx = false;
  bool update = true;
  Form form = Form::kFused;
  bool clip = false;  // needs kMaterialised
  bool guard =
      false;  // overflow guard: bound the gradients before they are made, and stop where an update may overflow
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
    kAccumulate,  // add the layer's dx, or dx2, onto the gradient of a value that several nodes read
    kBoundGradient
  } kind;
  int layer = 0;
  int input = 0;  // of kAccumulate: 1 for dx2
};

struct Phase {
  enum Kind {
    kRows,    // item: a chunk of rows carried through `ops`
    kBlocks,  // item: rows x columns of one wide product and the elementwise layers after it
    kPanels,  // item: a block of rows of some W, repacked into the panels of W^T and W that products read
    kTiles,   // item: a tile of some parameter: its gradient and, fused, its update
    kUpdate   // item: the same tile, from the materialised gradient
  } kind;
  std::vector<Op> ops = {};
  Index items = 0;
  Index row_step = 1;
  Index col_step = 1, col_blocks = 1, cols = 0;
  // Order of the items. true: all row blocks of one column block first, so that its panel of W stays in cache. false: row
  // block by row block.
  bool down = false;
  double item_flops = 0;
};

struct Tile {
  int param = 0;
  Range rows, cols;
};

struct Plan {
  Goal goal;
  Index rows = 0;   // of the batch
  Index chunk = 0;  // rows of a chunk
  Index chunks = 0;
  std::vector<Phase> phases;
  int loop_start = 0;   // the first phase of the second and later steps: tiles keep panels up to date
  bool packed = false;  // wide layers' W is in panels as well
  struct PanelsRead {
    bool w = false, wt = false;
  };
  std::vector<PanelsRead> panels_read;  // by layer; who changes its W repacks these and no others
  std::vector<int> trained;             // parameters that have tiles
  std::vector<Tile> tiles;
  Index tile_size = 0;  // numbers in the largest tile, rows padded
  std::vector<Tile> panels;
  double flops = 0;  // of a step
};

// Does the layer take phases of its own, because its product matrix is too large to be read again for every chunk?
template <class T>
bool is_wide(const Layer<T>& layer);

// Batches of so many rows copy W of wide layers into panels once, not for every block of rows.
inline constexpr Index kPackRows = 512;

// Rows of a chunk and height of a tile for these shapes; tests rely on their lower bounds of items.
template <class T>
Index chunk_rows(const Network<T>& network, Index rows);

template <class T>
Plan make_plan(const Network<T>& network, Index rows, const Goal& goal);

// The plans that a model met lately: train_step of the same shape plans once.
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

 private:
  static constexpr std::size_t kMost = 16;
  std::vector<std::unique_ptr<Plan>> plans_;
};

// Rows and columns of the largest tiles: 24 KB of scratch, which stay in L1; 72 KB (L2) for wide layers, where x and dy
// come from farther and are read once a tile.
inline constexpr Index kTileRows = 96, kWideTileRows = 192;
template <class T>
inline constexpr Index kTileCols = static_cast<Index>(256 / sizeof(T));
template <class T>
inline constexpr Index kWideTileCols = static_cast<Index>(384 / sizeof(T));
inline constexpr Index kMinChunk = 12, kMaxChunk = 96;

// Most chunks that any batch of at most `rows` rows is cut into.
constexpr Index max_chunks(Index rows) { return ceil_div(rows, kMinChunk) + 8; }

}  // namespace fastnn::plan

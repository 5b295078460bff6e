// Times contestants in turns, round by round: a disturbance of the machine then affects all of them, and the ratios within
// a round remain valid.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace ladder {

// The loop is inside of `run`, so that the call through std::function does not count. An empty `run` means that the
// contestant does not support this shape.
struct Contestant {
  std::string name;
  std::function<void(int repeats)> run;
};

template <class F>
Contestant contestant(std::string name, F once) {
  return {std::move(name), [once](int repeats) mutable {
            for (int r = 0; r < repeats; ++r) once();
          }};
}

inline constexpr int kRounds = 25;
inline constexpr double kTurn = 2e-3;  // least number of seconds that each contestant runs in a round

// In processor time, which excludes the time of other processes on the core and would include that of further threads.
inline double seconds(const Contestant& contestant, int repeats) {
  const std::clock_t start = std::clock();
  contestant.run(repeats);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / repeats;
}

// Seconds per call, [contestant][round]; empty for a contestant that does not run.
inline std::vector<std::vector<double>> take_turns(const std::vector<Contestant>& contestants) {
  std::vector<std::vector<double>> times(contestants.size());
  std::vector<int> repeats(contestants.size());
  for (std::size_t i = 0; i < contestants.size(); ++i)
    if (contestants[i].run) {
      // Doubles the number of calls until they last a turn, because single calls are shorter than the clock's resolution.
      // This is also the warm-up: the first call may allocate memory or compile.
      for (repeats[i] = 1; seconds(contestants[i], repeats[i]) * repeats[i] < kTurn;) repeats[i] *= 2;
    }
  for (std::size_t round = 0; round < kRounds; ++round)
    for (std::size_t turn = 0; turn < contestants.size(); ++turn) {
      const std::size_t i = (round + turn) % contestants.size();  // another contestant begins each round
      if (contestants[i].run) times[i].push_back(seconds(contestants[i], repeats[i]));
    }
  return times;
}

// The shortest time; NaN if there are none.
inline double best(const std::vector<double>& times) {
  return times.empty() ? std::numeric_limits<double>::quiet_NaN() : *std::min_element(times.begin(), times.end());
}

// How many times as fast as `other` `own` is: the median of the ratios of the rounds.
inline double ratio(const std::vector<double>& own, const std::vector<double>& other) {
  if (other.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> ratios(own.size());
  for (std::size_t r = 0; r < own.size(); ++r) ratios[r] = other[r] / own[r];
  std::nth_element(ratios.begin(), ratios.begin() + kRounds / 2, ratios.end());
  return ratios[kRounds / 2];
}

}  // namespace ladder

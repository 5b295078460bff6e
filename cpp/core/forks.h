// Which process this is: a forked child has the memory of its parent, but only the thread that forked.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fastnn {

// How many forks lie between this process and the one that loaded us.
std::uint32_t forks() noexcept;

// A number of this thread alone, kept by the thread that forks; never 0.
std::uint64_t thread_number() noexcept;

// Is the thread of this number, which ran when there had been `before` forks, still there as far as forks go?
bool outlived_forks(std::uint64_t thread, std::uint32_t before) noexcept;

}  // namespace fastnn

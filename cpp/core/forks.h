// Detects forked children. A child has a copy of its parent's memory, but of its threads only the one that forked, so
// whatever the other threads held or were doing has to be discarded there.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace fastnn {

// Number of forks between the process that loaded the library and this one.
std::uint32_t forks() noexcept;

// A number that identifies this thread and is never 0. The thread that forks has the same number in the child.
std::uint64_t thread_number() noexcept;

// Does the thread with this number exist in this process, given that it ran when there had been `before` forks?
bool outlived_forks(std::uint64_t thread, std::uint32_t before) noexcept;

}  // namespace fastnn

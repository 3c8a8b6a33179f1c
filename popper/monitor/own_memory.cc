// SPDX-License-Identifier: MIT
// Runs as: root, or the user who started the server.
// Source: madvise(2).
#include "popper/monitor/own_memory.h"

#include <sys/mman.h>

#include <new>

namespace qpop::monitor {

void* UnsharedPages::do_allocate(std::size_t bytes, std::size_t) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  // Where this does not work the pages are shared as all others are.
  (void)::madvise(memory, bytes, MADV_DONTFORK);
  return memory;
}

void UnsharedPages::do_deallocate(void* memory, std::size_t bytes, std::size_t) { ::munmap(memory, bytes); }

}  // namespace qpop::monitor

// The heap of commands that make a program: hundreds of thousands of small things, gone at the end.
#pragma once

namespace cortland::cli {

// Takes large pages where the system has them, and from then on keeps small blocks by size and thread, without looking for neighbours
// to merge with: glibc's malloc took a fifth of the instructions of lowering a small model. To be called first, by one thread. Does
// nothing on other systems, and under the sanitizers that watch the heap.
void prepare_heap();

}  // namespace cortland::cli

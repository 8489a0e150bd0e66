// Buffers that several methods of a program use. Each loaded method has its own, on devices and here: Core ML makes the
// states of a model anew for every method that is loaded, and ExecuTorch plans the memory of each method by itself.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "torch/graph.h"

namespace cortland::driver {

struct BufferUse {
  std::string method;
  struct Buffer {
    std::string contents;  // Weight::key() of its initial value
    bool written = false;
  };
  std::map<std::string, Buffer> buffers;  // by fully qualified name
};

// Of a functional graph.
BufferUse buffer_use(std::string method, const torch::Graph& graph);

// What the user may expect and does not get: a method that sees what another one wrote. Empty when there is no such buffer.
std::string unshared_buffers(std::span<const BufferUse> methods);

}  // namespace cortland::driver

// Reads the symbolic expressions of a program as Dims of its DimTable: "FloorDiv(Symbol('s73', positive=True), Integer(2))"
// (torch 2.6 and newer) and "s0//2 + 1" (before, and in range constraints). Expressions are text from a file: they are
// parsed by a closed grammar with limits and never evaluated. One per program; not synchronised.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/dim.h"

namespace cortland::torch {

class SymbolicSizes {
 public:
  explicit SymbolicSizes(DimTable& dims) : dims_(dims) {}

  // nullopt: well-formed, but not a Dim (floats, conditions, functions of other kinds). The same text is parsed once.
  Result<std::optional<Dim>> parse(std::string_view text);
  // As parse(), for the size of a tensor: what is not a Dim becomes a symbol of its own, named by the text.
  Result<Dim> parse_size(std::string_view text);
  // A range constraint; ignored unless `text` is one symbol. Comes before the first parse().
  Status constrain(std::string_view text, DimRange range);
  // The symbols read so far, without those that stand for what is not a Dim.
  std::vector<std::string> symbols() const;

 private:
  friend class ExpressionParser;
  Dim symbol(const std::string& name, bool positive);

  DimTable& dims_;
  std::unordered_map<std::string, Dim> symbols_;
  std::unordered_map<std::string, std::optional<Dim>> parsed_;
  std::unordered_map<std::string, Dim> sizes_;
};

}  // namespace cortland::torch

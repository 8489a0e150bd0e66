// The MIL function under construction while a torch graph is lowered: which operand stands for each torch value, and the
// casts and sizes made so far, so that each is made once. Owned by whoever lowers a graph; one thread.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "torch_ops/lowering.h"

namespace cortland::torch_ops {

constexpr int64_t kFoldLimit = int64_t{1} << 20;  // elements of a constant that is computed, or looked into, while lowering
inline bool fits_int32(int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; }

// Which large constants have finite numbers beyond float16. Found out once, though a program reads a constant more than once and a
// graph is lowered more than once. Keeps every weight it was asked about, since a weight's key names its file by address.
// For one thread.
class Float16Range {
 public:
  Float16Range() = default;
  ~Float16Range();
  bool left_by(const Weight& w);
  // Finds out about these on a thread of its own, in this order, while the caller goes on. Once only.
  void look_ahead(const std::vector<Weight>& weights);

 private:
  enum class Answer { Unknown, Sought, Stays, Leaves };
  struct Known {
    explicit Known(Weight w) : weight(std::move(w)) {}
    Weight weight;
    std::atomic<Answer> answer = Answer::Unknown;
  };
  Known& known(const Weight& w) { return known_.try_emplace(w.key(), w).first->second; }
  bool find_out(Known& known);  // from both threads

  std::unordered_map<std::string, Known> known_;  // by Weight::key()
  std::atomic<uint64_t> read_ = 0;                // bytes
  std::atomic<bool> over_ = false;
  std::future<void> ahead_;
};

class LoweringState {
 public:
  LoweringState(mil::Program& program, mil::BlockId block, LoweringOptions options)
      : program(program), block(block), options(options) {}

  mil::Program& program;
  mil::BlockId block;
  const LoweringOptions options;
  // Torch values known so far. Float constants keep their stored type until a node reads them.
  std::unordered_map<torch::ValueId, Operand> operands;
  // Nodes that compute in float32 although options.float_type is float16. lower_node() adds those whose constants need it.
  std::unordered_set<torch::NodeId> float32_nodes;
  // May be shared with those who lower the same graph before or after; one thread all the same.
  std::shared_ptr<Float16Range> float16_range = std::make_shared<Float16Range>();

  // Sizes of `input` (a function input whose torch shape is `shape`) become sources for the symbols in them.
  void add_size_source(mil::ValueId input, const Shape& shape);
  // The tensor `holder`, of one integer, is known or will be when the symbol is needed: it is its source if no size is.
  void add_number_source(const std::string& symbol, torch::ValueId holder) { holders_[symbol] = holder; }

  Result<Operand> cast(Operand o, DType to, int32_t origin);
  // int32 [1] holding the size.
  Result<Operand> size_vector(Dim d, int32_t origin);

  bool is_used(const torch::Graph& graph, torch::ValueId v);

  // Opens a block inside the current one. The casts and sizes made in it are forgotten when it closes, those made before serve
  // in it too. Closes when it goes out of scope.
  class Nested {
   public:
    explicit Nested(LoweringState& state);
    ~Nested();
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    LoweringState& state_;
    mil::BlockId outer_;
    std::map<std::pair<int32_t, DType>, Operand> casts_;
    std::map<int64_t, Operand> sizes_;
  };

  struct Mark {
    mil::Program::Mark program;
  };
  Mark mark() const { return {program.mark(block)}; }
  void roll_back(const Mark& mark);

  // Set when a constant did not fit float16 during the lowering of the current node.
  bool float16_overflow = false;

 private:
  struct SizeSource {
    mil::ValueId input;
    int axis = 0;
    int64_t coefficient = 1, offset = 0;  // size = coefficient * symbol + offset
  };
  Result<Operand> symbol_size(const std::string& name, int32_t origin);
  Result<Operand> number_in(torch::ValueId holder, int32_t origin);
  Result<Operand> emit(std::string_view op, std::vector<mil::NamedOperand> inputs, int32_t origin);

  std::map<std::string, SizeSource> sources_;
  std::map<std::string, torch::ValueId> holders_;
  std::map<std::pair<int32_t, DType>, Operand> casts_;  // of values
  std::map<int64_t, Operand> sizes_;                    // by Dim code
  const torch::Graph* used_in_ = nullptr;               // the graph that used_ was made from
  std::vector<bool> used_;                              // by torch value
};

// Arguments and results as the operator's schema has them, so that lowerings and decompositions need not ask. BadProgram; unknown
// operators pass.
Status check_signature(const torch::Graph& graph, torch::NodeId node);

// Lowers one node, all or nothing: on failure the program is as it was and the Diagnostic names the node.
Status lower_node(LoweringState& state, const torch::Graph& graph, torch::NodeId node);

// Copies of a float constant as float16: nullopt when a finite value does not fit. Values of at least 1e38 stand for
// infinity (masks) and are saturated to the largest float16, which softmax treats the same and sums survive. A single number
// too small for float16 (an epsilon) becomes 2^-23 instead of 0.
std::optional<Weight> to_float16(const Weight& w, Float16Range& range);

}  // namespace cortland::torch_ops

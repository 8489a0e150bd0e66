// Reading and writing states (iOS18). The engine keeps their contents; here are only the type rules.
#include <fmt/format.h>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

Status check_state(const InferContext& c, std::string_view state) {
  if (c.type(state).kind != Type::Kind::State) return c.error(fmt::format("'{}' must be a state", state));
  return {};
}

Status check_written(const InferContext& c, std::string_view state, std::string_view value) {
  TRY_DO(check_state(c, state));
  const TensorType &held = c.type(state).tensor, &written = c.type(value).tensor;
  if (held.dtype != written.dtype || !compatible(c.dims, held.shape, written.shape))
    return c.error(fmt::format("a state of {} cannot take {}", str(held, c.dims), str(written, c.dims)));
  return {};
}

Types infer_read_state(InferContext& c) {
  TRY_DO(check_state(c, "input"));
  return one(c.type("input").tensor);
}

Types infer_write_state(InferContext& c) {
  TRY_DO(check_written(c, "input", "data"));
  return std::vector<Type>{};
}

Types infer_update_state(InferContext& c) {
  TRY_DO(check_written(c, "state", "value"));
  return one(c.type("value"));
}

constexpr Input kRead[] = {value("input", kAnyType, 0)};
constexpr Input kWrite[] = {value("input", kAnyType, 0), value("data", kMovable)};
constexpr Input kUpdate[] = {value("state", kAnyType, 0), value("value", kMovable)};

}  // namespace

// An authoring form only: in a file it is write_state, followed by read_state where the result is used.
const MilOp coreml_update_state{
    .name = "coreml_update_state", .since = Target::iOS18, .inputs = kUpdate, .infer = infer_update_state, .pure = false};
const MilOp read_state{
    .name = "read_state", .since = Target::iOS18, .inputs = kRead, .infer = infer_read_state, .pure = false};
const MilOp write_state{
    .name = "write_state", .since = Target::iOS18, .inputs = kWrite, .infer = infer_write_state, .pure = false};

}  // namespace cortland::mil_ops

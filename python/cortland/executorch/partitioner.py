"""CoreMLPartitioner of ExecuTorch's own flow. The native lowering of the whole program says what Core ML can run; torch's
capability-based partitioner draws the borders."""

import logging
import operator
import sys
import warnings

import torch
from executorch.exir.backend.backend_details import BackendDetails
from executorch.exir.backend.compile_spec_schema import CompileSpec
from executorch.exir.backend.partitioner import DelegationSpec, Partitioner, PartitionResult
from executorch.exir.backend.utils import tag_constant_data
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupportBase
from torch.utils._sympy.numbers import int_oo

from .. import exir, partition
from ..compiler import COMPILE_SPEC_KEYS, FLOAT32_OPS
from ..enums import target
from ..errors import LoweringError, LoweringWarning, NotDelegatedError
from .backend import CoreMLBackend
from .program import Program

logger = logging.getLogger(__name__)


class CoreMLPartitioner(partition.CoreMLPartitioner, Partitioner):
    """The options are those of cortland.CoreMLPartitioner."""

    def __init__(self, **options):
        Partitioner.__init__(self)
        partition.CoreMLPartitioner.__init__(self, **options)
        specs = [CompileSpec(spec.key, bytes(spec.value)) for spec in self.compile_specs]
        if self.float32_ops:  # the backend is given the specs alone
            specs.append(CompileSpec(FLOAT32_OPS, ",".join(self.float32_ops).encode()))
        self.delegation_spec = DelegationSpec(CoreMLBackend.__name__, specs)

    def ops_to_not_decompose(self, ep):
        """Operators that are lowered whole wherever they occur. One that is refused somewhere is taken apart everywhere."""
        if ep.verifier.dialect == "EDGE":
            return [], None
        verdicts, *_ = Program(ep).survey(self.options())
        whole = {node.target for node, verdict in verdicts.items() if verdict.place == "coreml" and not _mixes_types(node)}
        refused = {node.target for node, verdict in verdicts.items() if verdict.place == "cpu" or _mixes_types(node)}
        return [op for op in whole - refused if isinstance(op, torch._ops.OpOverload) and not _is_view(op)], None

    def partition(self, exported_program):
        _check_backend()
        if _called_from_to_backend():
            logger.warning(
                "DEPRECATION WARNING: the flow 'to_edge() + to_backend()' takes operators apart that Core ML runs whole, such as "
                "scaled dot product attention. Use to_edge_transform_and_lower() with this partitioner instead.")
        program = Program(exported_program, _real_weights(exported_program))
        verdicts, buffers, version, parts = self._parts(exported_program, program)
        self._tell_choices(exported_program, version)
        self._tell(verdicts)
        spec, tags = self._spec_for(version), {}
        for part in parts:
            tag = f"tag{part.id}"
            tags[tag] = spec
            for node in part.nodes:
                node.meta["delegation_tag"] = tag
        if self.take_over_constant_data:
            tag_constant_data(exported_program)
        self._take_over_buffers(exported_program, buffers)
        return PartitionResult(tagged_exported_program=exported_program, partition_tags=tags)

    def _parts(self, ep, program):
        """The verdicts and the parts. A size or constant that two parts share cannot be handed from one to the other as what it
        is, so it stays outside, and the next survey says who can do without."""
        options, outside = self.options(), set()
        skipped = {node for node in ep.graph.nodes if self._is_skipped(node)}
        while True:
            verdicts, buffers, version = program.survey(options, outside | skipped)
            # Of nodes that a pass made unnecessary, the native side has nothing left to keep outside: those who read them stay there.
            outside |= {user for node in outside if verdicts[node].place == "anywhere" for user in node.users if user in verdicts}
            support = _Support({node for node, verdict in verdicts.items() if verdict.place != "cpu" and (node.users or node.is_impure())} - outside)
            parts = CapabilityBasedPartitioner(ep.graph_module, support, allows_single_node_partition=True).propose_partitions()
            shared = _shared_leftovers(parts, verdicts)
            if shared <= outside:
                return verdicts, buffers, version, self._useful(ep, parts, verdicts, version)
            outside |= shared

    def _is_skipped(self, node):
        """Whether the node is what an operator to skip was taken apart into."""
        names = {name.lower() for name in self.skip_ops_for_coreml_delegation}
        return not names.isdisjoint(_origins(node.meta.get("from_node")))

    def _useful(self, ep, parts, verdicts, version):
        """Parts that compute something. Core ML before iOS18 has no model without inputs."""
        signature = ep.graph_signature
        data = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
        kept = []
        for part in parts:
            inside = set(part.nodes)
            if not any(verdicts[node].place == "coreml" for node in inside):
                continue
            inputs = {arg for node in inside for arg in node.all_input_nodes if arg not in inside}
            if version < target.iOS18 and self.take_over_constant_data and all(arg.name in data for arg in inputs):
                continue
            kept.append(part)
        return kept

    def _spec_for(self, version):
        """The specs of a delegate say for which target it was lowered, chosen by the user or not."""
        key = COMPILE_SPEC_KEYS.MIN_DEPLOYMENT_TARGET.value
        specs = list(self.delegation_spec.compile_specs)
        if not any(spec.key == key and spec.value for spec in specs):
            specs = [spec for spec in specs if spec.key != key] + [CompileSpec(key, str(version).encode())]
        return DelegationSpec(self.delegation_spec.backend_id, specs)

    def _tell_choices(self, ep, version):
        """What the options left open, or named in vain."""
        if not any(spec.key == COMPILE_SPEC_KEYS.MIN_DEPLOYMENT_TARGET.value and spec.value for spec in self.compile_specs):
            _warn(f"no deployment target was given: {target(version).name} with Core ML specification version {int(version)} was chosen, "
                  "the lowest that delegates as much as the newest does; set minimum_deployment_target to choose another")
        names = {str(getattr(node.target, "_op", node.target)).lower() for node in ep.graph.nodes}
        names.update(name for node in ep.graph.nodes for name in _origins(node.meta.get("from_node")))
        for skip in self.skip_ops_for_coreml_delegation:
            if skip != "*" and skip.lower() not in names:
                _warn(f"nothing was skipped for '{skip}': the program has no operator of that name")
        free = sorted(str(symbol) for symbol, bounds in ep.range_constraints.items() if bounds.upper == int_oo)
        if free:
            _warn(f"sizes without an upper bound are held to those of the example that was traced: {', '.join(free)}; "
                  "export with Dim(name, max=...)")

    def _tell(self, verdicts):
        """One warning a kind of operator and reason; with lower_full_graph, an error that has them all."""
        kinds = {}
        for node, verdict in verdicts.items():
            if verdict.place == "cpu" and node.target is not operator.getitem:
                kinds.setdefault((verdict.error.op, verdict.error.what), []).append(verdict)
        if kinds and self.lower_full_graph:
            lines = [f"  {v.error.node} ({v.error.op}): {v.error.what}" + (f"; at {v.error.source}" if v.error.source else "")
                     for group in kinds.values() for v in group]
            raise NotDelegatedError("\n".join(["these operators cannot be lowered to Core ML, and the whole graph was asked for:", *lines]),
                                    "not-delegated")
        for (op, what), group in kinds.items():
            if group[0].kind != "skipped-by-user":
                times = "" if len(group) == 1 else f" ({len(group)} times)"
                _warn(f"{op}{times} does not run on Core ML: {what} [{group[0].error.source or group[0].error.node}]")

    def _take_over_buffers(self, ep, why_not):
        """Buffers that one part alone reads and writes become its state. The others keep the values they start with, which
        ExecuTorch would otherwise leave out of the file."""
        outputs = next(node for node in ep.graph.nodes if node.op == "output").args[0]
        specs = list(zip(outputs, ep.graph_signature.output_specs))
        placeholders = {node.name: node for node in ep.graph.nodes if node.op == "placeholder"}
        for value, spec in specs:
            if spec.kind != OutputKind.BUFFER_MUTATION:
                continue
            for name in (name for name, buffer in ep.graph_signature.inputs_to_buffers.items() if buffer == spec.target):
                node = placeholders[name]
                tags = {user.meta.get("delegation_tag") for user in node.users}
                tag = value.meta.get("delegation_tag")
                why = why_not.get(spec.target, "")
                if not why and (tag is None or tags - {tag} or sum(other is value for other, _ in specs) > 1):
                    why = "more than one part of the program uses it"
                if self.take_over_mutable_buffer and not why:
                    node.meta["delegation_tag"] = tag
                    continue
                node.meta["et_init_buffer"] = True
                if self.take_over_mutable_buffer:
                    self._keep_outside(spec.target, why)

    def _keep_outside(self, buffer, why):
        what = f"the mutable buffer '{buffer}' stays with ExecuTorch: {why}"
        if self.lower_full_graph:
            raise LoweringError(what, "unsupported-target", help="choose what it needs, or leave lower_full_graph out")
        _warn(what)


class _Support(OperatorSupportBase):
    def __init__(self, nodes):
        self._nodes = nodes

    def is_node_supported(self, submodules, node):
        return node in self._nodes


def _shared_leftovers(parts, verdicts):
    """Nodes without work of their own that a part has and another part wants; of sizes, that anybody else wants."""
    part_of = {node: part.id for part in parts for node in part.nodes}
    shared = set()
    for node, part in part_of.items():
        if verdicts[node].place != "anywhere":
            continue
        users = {part_of.get(user) for user in node.users} - {part}
        is_size = not isinstance(node.meta.get("val"), (torch.Tensor, list, tuple))
        if users - {None} or (is_size and users):
            shared.add(node)
    return shared


def _origins(sources):
    """Names of the operators that a node was made of, all the way back to the export."""
    for source in sources or []:
        yield str(getattr(source, "target", "")).lower()
        yield from _origins(source.from_node)


def _mixes_types(node):
    """Whether a number stands where the operator has a tensor: what ExecuTorch makes of it has another type than its neighbours,
    which the edge dialect allows only of what an operator is taken apart into."""
    parameters = getattr(getattr(node.target, "_schema", None), "arguments", ())
    return any(isinstance(value, (int, float)) and isinstance(parameter.type, torch.TensorType) for value, parameter in zip(node.args, parameters))


def _is_view(op):
    return any(argument.alias_info is not None for argument in op._schema.arguments)


def _warn(message):
    warnings.warn(message, LoweringWarning, stacklevel=2)


def _check_backend():
    """ExecuTorch finds a backend by the name of its class, and takes the one that was defined last."""
    others = [cls for cls in BackendDetails.__subclasses__() if cls.__name__ == CoreMLBackend.__name__]
    if others[-1] is not CoreMLBackend:
        raise RuntimeError(f"{others[-1].__module__} was imported after cortland.executorch, and its CoreMLBackend would be used: "
                           "import cortland.executorch last, or only one of them")


def _frames():
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _called_from_to_backend():
    names = [frame.f_code.co_name for frame in _frames()]
    return "to_edge_transform_and_lower" not in names and "to_backend" in names


def _real_weights(ep):
    """to_backend() hands partitioners a copy with fake weights. Lowering reads values (scales, zero points, what a buffer starts
    with), so they are taken from the program that was copied, which is in a caller's hands."""
    if not any(isinstance(tensor, FakeTensor) for tensor in ep.state_dict.values()):
        return ep.state_dict
    for frame in _frames():
        for value in frame.f_locals.values():
            if (isinstance(value, ExportedProgram) and value is not ep and value.state_dict.keys() == ep.state_dict.keys()
                    and not any(isinstance(tensor, FakeTensor) for tensor in value.state_dict.values())):
                return value.state_dict
    raise LoweringError("the program's weights hold no values", "weights-missing", help="partition the program itself, not one with fake weights")

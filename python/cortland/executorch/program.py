"""A program of ExecuTorch's edge dialect for the native side: its operators under their ATen names, so that torch.export.save
can write it. What torch cannot write (delegates of others, control flow) becomes inputs and outputs."""

import operator

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from torch._export.verifier import Verifier
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import ExportGraphSignature, InputKind, InputSpec, OutputKind, OutputSpec, TensorArgument
from torch.utils import _pytree as pytree

from .. import _cortland, handover
from ..errors import from_diagnostic


class _Verifier(Verifier):
    dialect = "CORTLAND"


class Verdict:
    """What the lowering of one node gave. `place` is "coreml", "cpu" or "anywhere": Core ML runs it, cannot run it, or nothing is
    left to run (sizes, constants). `error` and its `kind` are of one that Core ML cannot run."""

    def __init__(self, place, kind, *error):
        self.place = place
        self.kind = kind
        self.error = from_diagnostic(kind, *error)


class Program:
    """`program` is an ExportedProgram and stays as it is. `weights` has its state dict, should it hold fake tensors only."""

    def __init__(self, program, weights=None):
        self._nodes = []     # that the native side sees, in its order
        self._getitems = {}  # node that takes one of several results -> the node they are of
        self._archive, self._tensors = handover.exported(self._writable(program, program.state_dict if weights is None else weights))

    def survey(self, options, outside=()):
        """({call_function node: Verdict}, {buffer: why it cannot be a state}, specification version that is lowered for), if the
        nodes in `outside` are not delegated."""
        positions = [i for i, node in enumerate(self._nodes) if node in outside]
        nodes, buffers, version = _cortland.survey(self._archive, self._tensors, options, positions)
        if len(nodes) != len(self._nodes):
            raise RuntimeError(f"torch wrote {len(nodes)} of {len(self._nodes)} nodes")
        verdicts = {node: Verdict(*verdict) for node, verdict in zip(self._nodes, nodes)}
        verdicts.update({item: verdicts[node] for item, node in self._getitems.items()})
        return verdicts, dict(buffers), version

    def part(self):
        """As _cortland.lower_delegates() takes it."""
        return self._archive, self._tensors

    def _writable(self, program, weights):
        nodes = list(program.graph.nodes)
        readable = _readable(nodes)
        graph, copies = torch.fx.Graph(), {}
        inputs = _copy_inputs(program, nodes, graph, copies)
        for node in nodes:  # results of what torch cannot write
            if node.op == "call_function" and node not in readable and isinstance(node.meta.get("val"), torch.Tensor):
                copies[node] = graph.placeholder(node.name)
                copies[node].meta["val"] = node.meta["val"]
                inputs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(copies[node].name), None))
        for node in nodes:
            if node.op == "call_function" and node in readable:
                self._copy(node, graph, copies)
        outputs = _copy_outputs(program, nodes, readable, graph, copies)
        kept = {spec.target for spec in inputs if spec.target}
        module = torch.fx.GraphModule(torch.nn.Module(), graph)
        return ExportedProgram(
            root=module, graph=graph, graph_signature=ExportGraphSignature(inputs, outputs),
            state_dict={name: tensor for name, tensor in weights.items() if name in kept},
            constants={name: tensor for name, tensor in program.constants.items() if name in kept},
            range_constraints=program.range_constraints, module_call_graph=[_signature(inputs, outputs)], verifiers=[_Verifier])

    def _copy(self, node, graph, copies):
        copies[node] = copy = graph.node_copy(node, copies.__getitem__)
        if isinstance(node.target, EdgeOpOverload):
            copy.target = node.target._op
        if node.target is operator.getitem:
            self._getitems[node] = node.args[0]
        else:
            self._nodes.append(node)


def _readable(nodes):
    """Nodes that torch can write, all of whose arguments it can. Tensors come in as inputs if nothing else."""
    known = {}
    for node in nodes:
        plain = isinstance(node.target, (torch._ops.OpOverload, EdgeOpOverload)) or not isinstance(node.target, torch._ops.OperatorBase)
        known[node] = node.op == "placeholder" or (node.op == "call_function" and plain and all(
            known[arg] or (isinstance(arg.meta.get("val"), torch.Tensor) and arg.op == "call_function") for arg in node.all_input_nodes))
    return {node for node, can in known.items() if can}


def _copy_inputs(program, nodes, graph, copies):
    """A weight may be several inputs; here it is one."""
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    first, inputs = {}, []
    for node in nodes:
        if node.op != "placeholder":
            continue
        spec = specs[node.name]
        twin = first.setdefault((spec.kind, spec.target), node) if spec.target else node
        if twin is not node:
            copies[node] = copies[twin]
            continue
        copies[node] = copy = graph.node_copy(node)
        copy.name = node.name  # torch.fx avoids names of builtins (input), torch.export does not
        inputs.append(spec)
    return inputs


def _copy_outputs(program, nodes, readable, graph, copies):
    values, outputs = [], []
    results = next(node for node in nodes if node.op == "output").args[0]
    for value, spec in zip(results, program.graph_signature.output_specs):
        if isinstance(value, torch.fx.Node) and value not in copies:
            continue
        values.append(copies[value] if isinstance(value, torch.fx.Node) else value)
        outputs.append(spec)
    taken = set(values)
    for node in nodes:  # what torch cannot write still reads its arguments
        if node.op == "call_function" and node not in readable:
            for value in (copies[arg] for arg in node.all_input_nodes if arg in copies):
                if value not in taken and isinstance(value.meta.get("val"), torch.Tensor):
                    taken.add(value)
                    values.append(value)
                    outputs.append(OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(value.name), None))
    graph.output(tuple(values)).meta["val"] = tuple(v.meta.get("val") if isinstance(v, torch.fx.Node) else v for v in values)
    return outputs


def _signature(inputs, outputs):
    users = sum(spec.kind == InputKind.USER_INPUT for spec in inputs)
    results = sum(spec.kind == OutputKind.USER_OUTPUT for spec in outputs)
    return ModuleCallEntry("", ModuleCallSignature(
        inputs=[], outputs=[], in_spec=pytree.tree_flatten((tuple(range(users)), {}))[1], out_spec=pytree.tree_flatten(tuple(range(results)))[1]))

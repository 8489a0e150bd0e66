"""Dynamic and enumerated shapes, as on ExecuTorch's page on the Core ML partitioner, on both surfaces."""

import re

import numpy as np
import pytest
import torch
from torch.export import Dim

from conftest import check_outputs
from surfaces import AddMulGelu, ENUMERATED, export, Lowered, Model, NEEDS_PACKAGE, of, page_program, Refused, refused_at_run_time, surface


# --- dynamic shapes


def range_of(feature):
    return [(r.lowerBound, r.upperBound) for r in feature.type.multiArrayType.shapeRange.sizeRanges]


def test_dynamic_shapes_become_range_dims_with_the_exports_bounds(surface, folder):
    module, x = torch.nn.Linear(8, 4), torch.randn(3, 8)
    lowered = surface.lower(export(module, x, dynamic_shapes=({0: Dim("n", min=2, max=9)},)), folder)
    assert range_of(lowered.spec.description.input[0]) == [(2, 9), (8, 8)]
    for n in (2, 5, 9):
        x = torch.randn(n, 8)
        check_outputs(lowered.run(x), [module(x).detach()], "float16")


@pytest.mark.parametrize("n", [1, 10])
def test_a_size_outside_the_range_is_an_error_that_names_input_dimension_and_range(surface, n, folder):
    lowered = surface.lower(export(torch.nn.Linear(8, 4), torch.randn(3, 8), dynamic_shapes=({0: Dim("n", min=2, max=9)},)), folder)
    text = refused_at_run_time(lowered, torch.randn(n, 8))
    assert re.search(rf"input 'input( \(in0\))?': dimension 0 is {n}, but the model takes (2 to|at most) 9", text), text


def test_inputs_that_share_a_symbol(surface, folder):
    n = Dim("n", min=2, max=6)
    program = export(AddMulGelu(), torch.randn(3, 4), torch.randn(3, 4), dynamic_shapes=({0: n}, {0: n}))
    lowered = surface.lower(program, folder)
    for size in (2, 6):
        x, y = torch.randn(size, 4), torch.randn(size, 4)
        check_outputs(lowered.run(x, y), [AddMulGelu()(x, y)], "float16")
    assert "3" in refused_at_run_time(lowered, torch.randn(3, 4), torch.randn(4, 4))


@pytest.mark.parametrize("derived", ["2*n", "n+1"])
def test_derived_dimensions_and_outputs_whose_shape_depends_on_them(surface, derived, folder):
    n = Dim("n", min=2, max=6)
    other = 2 * n if derived == "2*n" else n + 1
    size = (lambda k: 2 * k) if derived == "2*n" else (lambda k: k + 1)
    module = of(lambda x, y: (torch.cat([x, y]) * 2, torch.nn.functional.gelu(y[1:])))
    program = export(module, torch.randn(3, 4), torch.randn(size(3), 4), dynamic_shapes=(({0: n}, {0: other}),))
    lowered = surface.lower(program, folder)
    assert lowered.cpu_ops == []
    for k in (2, 5, 6):
        x, y = torch.randn(k, 4), torch.randn(size(k), 4)
        check_outputs(lowered.run(x, y), list(module(x, y)), "float16")


def test_operators_on_the_cpu_between_delegates_keep_working_with_dynamic_shapes(surface, folder):
    module = of(lambda x: torch.bitwise_or((torch.relu(x) * 3).to(torch.int32), 1).sum(1) + x.shape[0])
    program = export(module, torch.randn(3, 4), dynamic_shapes=(({0: Dim("n", min=2, max=50)},),))
    lowered = surface.lower(program, folder)
    assert lowered.cpu_ops == ["aten.bitwise_or.Scalar"] and len(lowered.report["delegates"]) == 2
    for n in (2, 17, 50):
        x = torch.randint(-9, 9, (n, 4)).float()
        [have] = lowered.run(x)
        assert np.array_equal(have, module(x).numpy())


def test_tensors_of_rank_6_never_reach_a_delegate(surface, folder):
    """What can be written with fewer axes is; the others stay outside."""
    module = of(lambda x: torch.relu(x.view(2, 2, 3, 2, 2, 3).flip((1, 3, 5)).reshape(12, 12)) * 2 + torch.bitwise_or(
        x.to(torch.int32).view(2, 2, 3, 2, 2, 3), 1).sum((0, 2, 4)).sum())
    x = torch.randn(12, 12)
    lowered = surface.lower(export(module, x), folder)
    assert "aten.bitwise_or.Scalar" in lowered.cpu_ops and "aten.flip.default" not in lowered.cpu_ops
    ranks = {output.type.tensorType.rank for spec in lowered.specs for f in spec.mlProgram.functions.values()
             for block in f.block_specializations.values() for op in block.operations for output in op.outputs}
    assert max(ranks) <= 5
    check_outputs(lowered.run(x), [module(x)], "float16")


def test_a_delegate_takes_tensors_whose_size_the_data_decides(surface, folder):
    def forward(x, mask):
        places = torch.nonzero(mask)
        torch._check(places.shape[0] >= 1)
        return x * 2 + places.to(torch.float32).sum()

    module = of(forward)
    x, mask = torch.randn(3, 4), torch.tensor([1, 0, 2])
    lowered = surface.lower(export(module, x, mask), folder)
    assert lowered.cpu_ops == ["aten.nonzero.default"]
    for given in (mask, torch.tensor([0, 1, 0]), torch.ones(3, dtype=torch.int64)):
        check_outputs(lowered.run(x, given), [module(x, given)], "float16")


def test_what_the_data_may_leave_empty_never_reaches_a_delegate(surface, folder):
    module = of(lambda x, mask: x * 2 + torch.nonzero(mask).to(torch.float32).sum())
    x, mask = torch.randn(3, 4), torch.tensor([1, 0, 2])
    lowered = surface.lower(export(module, x, mask), folder)
    assert "aten.nonzero.default" in lowered.cpu_ops and len(lowered.report["delegates"]) == 1
    for given in (mask, torch.zeros(3, dtype=torch.int64)):
        check_outputs(lowered.run(x, given), [module(x, given)], "float16")


# --- enumerated shapes


def check_page_shapes(lowered, model):
    for shapes in zip(*ENUMERATED.values()):
        inputs = [torch.randn(shape) for shape in shapes]
        check_outputs(lowered.run(*inputs), [model(*inputs).detach()], "float16")
    for x, y in [([1, 5, 10], [5, 11]), ([4, 6, 10], [3, 11]), ([2, 5, 10], [3, 11]), ([4, 6, 10], [4, 11])]:
        refused_at_run_time(lowered, torch.randn(x), torch.randn(y))


@NEEDS_PACKAGE
def test_the_pages_example_of_enumerated_shapes(folder):
    """The page's code; only the import lines differ."""
    import coremltools as ct
    import cortland.exir
    from cortland.compiler import CoreMLBackend
    from cortland.partition import CoreMLPartitioner

    model = Model()
    example_inputs = (
        torch.randn((4, 6, 10)),
        torch.randn((5, 11)),
    )

    enumerated_shapes = {"x": [[1, 5, 10], [4, 6, 10]], "y": [[3, 11], [5, 11]]}

    dynamic_shapes = [
        {
            0: torch.export.Dim.AUTO(min=1, max=4),
            1: torch.export.Dim.AUTO(min=5, max=6),
        },
        {0: torch.export.Dim.AUTO(min=3, max=5)},
    ]

    ep = torch.export.export(
        model.eval(), example_inputs, dynamic_shapes=dynamic_shapes
    )

    compile_specs = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=ct.target.iOS18
    )

    compile_specs.append(
        CoreMLBackend.generate_enumerated_shapes_compile_spec(
            ep,
            enumerated_shapes,
        )
    )

    partitioner = CoreMLPartitioner(
        compile_specs=compile_specs, lower_full_graph=True
    )

    delegated_program = cortland.exir.to_edge_transform_and_lower(
        ep,
        partitioner=[partitioner],
    )
    et_prog = delegated_program.to_executorch()

    with open(folder / "model.pte", "wb") as file:
        et_prog.write_to_file(file)
    check_page_shapes(Lowered(folder / "model.pte", delegated_program.report, []), model)


def test_enumerated_shapes_are_the_only_ones_accepted(surface, folder):
    model = Model()
    lowered = surface.lower(page_program(model), folder, enumerated_shapes=ENUMERATED, lower_full_graph=True, minimum_deployment_target="iOS18")
    shapes = {i.name: [list(s.shape) for s in i.type.multiArrayType.enumeratedShapes.shapes] for i in lowered.spec.description.input}
    assert shapes == ENUMERATED
    check_page_shapes(lowered, model)


def test_several_enumerated_inputs_need_ios18(surface, folder):
    program = page_program(Model())
    with pytest.raises(Refused, match="iOS18"):
        surface.lower(program, folder, enumerated_shapes=ENUMERATED, lower_full_graph=True, minimum_deployment_target="iOS17")
    lowered = surface.lower(program, folder, enumerated_shapes=ENUMERATED, lower_full_graph=True)
    assert lowered.report["target"] == "iOS18", "the smallest that can"


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_one_enumerated_input_works_everywhere(surface, target, folder):
    module = torch.nn.Linear(4, 3)
    program = export(module, torch.randn(3, 4), dynamic_shapes=({0: Dim.AUTO(min=1, max=8)},))
    lowered = surface.lower(program, folder, enumerated_shapes={"input": [[1, 4], [6, 4]]}, lower_full_graph=True, minimum_deployment_target=target)
    for n in (1, 6):
        x = torch.randn(n, 4)
        check_outputs(lowered.run(x), [module(x).detach()], "float16")
    assert "input 'input (in0)': its shape is [3, 4], but the model takes only [1, 4], [6, 4]" in refused_at_run_time(lowered, torch.randn(3, 4))


def test_enumerated_shapes_need_the_full_graph(surface, folder):
    with pytest.raises(Refused, match="enumerated shapes.*lower_full_graph"):
        surface.lower(page_program(Model()), folder, enumerated_shapes=ENUMERATED, minimum_deployment_target="iOS18")


@pytest.mark.parametrize("shapes, says", [
    ({"x": ENUMERATED["x"], "z": [[1], [2]]}, "no tensor input 'z'"),
    (ENUMERATED | {"y": [[3, 11]]}, "differ in length"),
    (ENUMERATED | {"y": [[3, 11], [6, 11]]}, "3 to 5"),
    ({"x": ENUMERATED["x"]}, "'y' has dynamic dimensions"),
])
def test_wrong_enumerated_shapes_are_errors_at_lowering(surface, shapes, says, folder):
    with pytest.raises(Refused, match=says):
        surface.lower(page_program(Model()), folder, enumerated_shapes=shapes, lower_full_graph=True, minimum_deployment_target="iOS18")


def test_a_static_input_cannot_be_enumerated(surface, folder):
    with pytest.raises(Refused, match="fixed shape"):
        surface.lower(export(torch.nn.Linear(4, 3), torch.randn(3, 4)), folder, enumerated_shapes={"input": [[3, 4], [4, 4]]}, lower_full_graph=True)

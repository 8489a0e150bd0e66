#!/usr/bin/env python3
"""Lowers models of timm and torchvision with random weights, runs them and compares with torch. Prints a row a model: what was
delegated and how far the outputs are from torch's, relative to the largest.

    build/venv/bin/python tools/survey.py [--target iOS17] [--table docs/models.md] [name...]     torchvision's as tv:resnet18
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import numpy as np
import torch

import models

CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
LIMIT = {"float32": 1e-3, "float16": 2e-2}
# One of each family; those that fit a small machine.
NAMES = """
beit_base_patch16_224 beitv2_base_patch16_224 botnet26t_256 caformer_s18 cait_xxs24_224 coat_lite_tiny coat_tiny coatnet_pico_rw_224
convit_tiny convmixer_768_32 convnext_atto convnextv2_atto crossvit_tiny_240 cspresnet50 darknet17 davit_tiny deit3_small_patch16_224
deit_tiny_patch16_224 densenet121 dla46_c dpn68 eca_nfnet_l0 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_lite0
efficientvit_b0 efficientvit_m0 ese_vovnet19b_dw eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 fbnetv3_b flexivit_small focalnet_tiny_srf
gcvit_xxtiny gernet_s ghostnet_050 ghostnetv2_100 gmlp_ti16_224 halonet26t hardcorenas_a hgnetv2_b0 hiera_tiny_224 hrnet_w18_small
inception_next_atto lambda_resnet26t lcnet_035 legacy_seresnet18 legacy_xception levit_128s mambaout_femto maxvit_rmlp_pico_rw_256
mixer_s16_224 mixnet_s mobilenetv3_small_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium mobileone_s0 mobilevit_xxs mobilevitv2_050
mvitv2_tiny nest_tiny nextvit_small nfnet_l0 pit_ti_224 poolformer_s12 pvt_v2_b0 rdnet_tiny regnety_002 repghostnet_050 repvgg_a0
repvit_m0_9 res2net50_26w_4s resmlp_12_224 resnest14d resnet26t resnetv2_18 rexnet_100 selecsls42b sequencer2d_s seresnet33ts shvit_s1
skresnet18 starnet_s1 swiftformer_xs swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 tiny_vit_5m_224 tinynet_e
tnt_s_patch16_224 tresnet_m twins_pcpvt_small twins_svt_small visformer_tiny vit_relpos_small_patch16_224 vit_small_patch16_dinov3
vit_srelpos_small_patch16_224 vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 xception41 xcit_nano_12_p16_224
tv:alexnet tv:convnext_tiny tv:densenet121 tv:efficientnet_b0 tv:efficientnet_v2_s tv:googlenet tv:inception_v3 tv:maxvit_t tv:mnasnet0_5
tv:mobilenet_v2 tv:mobilenet_v3_large tv:mobilenet_v3_small tv:regnet_x_400mf tv:regnet_y_400mf tv:resnet18 tv:resnet50 tv:resnext50_32x4d
tv:shufflenet_v2_x0_5 tv:shufflenet_v2_x1_0 tv:squeezenet1_0 tv:squeezenet1_1 tv:swin_t tv:swin_v2_t tv:vgg11 tv:vit_b_16
tv:wide_resnet50_2
""".split()


def build(name):
    """(module, input) of a model."""
    torch.manual_seed(models.SEED)
    torchvision = models.torchvision()
    if name.startswith("tv:"):
        name = name[len("tv:"):]
        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        module = getattr(torchvision.models, name)(weights=None, num_classes=10, **options)
        size = {"inception_v3": 299}.get(name, 224)
        return module.eval(), torch.randn(1, 3, size, size)
    import timm

    module = timm.create_model(name, pretrained=False, num_classes=10)
    return module.eval(), torch.randn(1, *module.default_cfg.get("input_size", (3, 224, 224)))


def run(*args):
    result = subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, text=True, timeout=600)
    if result.returncode:
        raise RuntimeError(next((line for line in result.stderr.splitlines() if line.startswith("error")), f"exit code {result.returncode}"))


def error_of(have, want):
    return float(abs(have - want).max() / max(abs(want).max(), 1e-30))  # some heads start at 0


def own_float16_error(module, x, want):
    """What torch itself loses in float16: random heads close to 0 amplify rounding."""
    with torch.no_grad():
        return error_of(module.half()(x.half()).float().numpy(), want)


def survey(name, target, folder):
    """A row: [name, delegates, operators on the CPU, error in float32, error in float16], and a remark on what is beyond the limit."""
    module, x = build(name)
    with torch.no_grad():
        torch.export.save(torch.export.export(module, (x,)), folder / "m.pt2")
        want = module(x).numpy()
    np.savez(folder / "in.npz", in0=x.numpy())
    row = [name]
    for precision in LIMIT:
        run("lower", folder / "m.pt2", "-o", folder / "m.pte", "--deployment-target", target, "--precision", precision,
            "--report", folder / "r.json")
        run("run", folder / "m.pte", "--inputs", folder / "in.npz", "--outputs", folder / "out.npz")
        report = json.loads((folder / "r.json").read_text())
        if len(row) == 1:
            row += [len(report["delegates"]), len(report["cpu_ops"])]
        row.append(error_of(np.load(folder / "out.npz")["out0"], want))
    if row[3] > LIMIT["float32"]:
        return row, "beyond the limit in float32"
    if row[4] <= LIMIT["float16"]:
        return row, ""
    own = own_float16_error(module, x, want)
    # nan: the model leaves float16's range in torch, too.
    return row, f"torch's own float16: {own:.0e}" if own != own or row[4] <= 2 * own else "beyond the limit in float16"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="iOS17")
    parser.add_argument("--table", type=Path, help="write the rows as a Markdown page")
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows, failed = [], 0
    for name in options.names or NAMES:
        try:
            with tempfile.TemporaryDirectory() as folder:
                row, remark = survey(name, options.target, Path(folder))
            good = not remark.startswith("beyond")
            text = f"| {row[0]} | {row[1]} | {row[2]} | {row[3]:.0e} | {row[4]:.0e} | {remark} |"
        except Exception as e:  # a row says why; the others go on
            good, text = False, f"| {name} | | | | | {str(e).splitlines()[0][:120]} |"
        failed += not good
        rows.append(text)
        print(text, flush=True)
        if options.table:
            options.table.write_text(PAGE.format(target=options.target, rows="\n".join(rows), good=len(rows) - failed, all=len(rows)))
    print(f"{len(rows) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


PAGE = """# Models

{good} of {all} models with random weights agree with torch at {target}: to 1e-3 of the largest output in float32 and 2e-2 in
float16, or to twice what torch's own float16 loses. Written by
`build/venv/bin/python tools/survey.py --table docs/models.md`.

| model | delegates | operators on the CPU | float32 | float16 | |
|---|---|---|---|---|---|
{rows}
"""

if __name__ == "__main__":
    main()

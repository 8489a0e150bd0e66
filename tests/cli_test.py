#!/usr/bin/env python3
"""The program on the committed digits classifier: every command, and what it refuses. Needs neither torch nor numpy.

`CORTLAND=path/to/cortland tests/cli_test.py [unittest options]`; without the variable build/release/cortland is tested.
"""

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import npz

CORTLAND = Path(os.environ.get("CORTLAND", ROOT / "build" / "release" / "cortland"))
DIGITS = ROOT / "tests" / "data" / "digits" / "digits.pt2"
RECORDED = npz.load(DIGITS.with_suffix(".npz"))
IMAGES = RECORDED["in0"]
# Largest difference allowed, as a part of the largest output.
LIMIT = {"float32": 1e-3, "float16": 2e-2}
TARGETS = ("iOS15", "iOS16", "iOS17", "iOS18")


def cortland(*args):
    return subprocess.run([str(CORTLAND), *map(str, args)], capture_output=True, text=True, errors="replace", timeout=120)


def first_images(count):
    width = len(IMAGES.values) // IMAGES.shape[0]
    return npz.Array(IMAGES.dtype, (count, *IMAGES.shape[1:]), IMAGES.values[:count * width])


def best(row):
    return max(range(len(row)), key=row.__getitem__)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def ok(self, *args):
        result = cortland(*args)
        self.assertEqual(result.returncode, 0, f"cortland {' '.join(map(str, args))}\n{result.stderr}")
        return result

    def files(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*"))

    def refused(self, *args, says=()):
        """A non-zero exit code that is no signal, one error on stderr, nothing on stdout, and no file more than before."""
        before = self.files()
        result = cortland(*args)
        command = f"cortland {' '.join(map(str, args))}\n{result.stderr}"
        self.assertTrue(0 < result.returncode < 126, f"exit code {result.returncode} of {command}")
        errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
        self.assertEqual(len(errors), 1, command)
        self.assertEqual(result.stdout, "", command)
        for word in says:
            self.assertIn(word, result.stderr, command)
        self.assertEqual(self.files(), before, f"something was written by {command}")

    def inputs(self, name="in.npz", **arrays):
        path = self.folder / name
        npz.save(path, arrays)
        return path

    def array(self):
        """A lone .npy file."""
        path = self.folder / "array.npy"
        with zipfile.ZipFile(self.inputs("for_array.npz", in0=IMAGES)) as file:
            path.write_bytes(file.read("in0.npy"))
        return path

    def lower(self, *options, name="m.pte"):
        path = self.folder / name
        self.ok("lower", DIGITS, "-o", path, *options)
        return path

    def run_program(self, program, **arrays):
        out = self.folder / "out.npz"
        self.ok("run", program, "--inputs", self.inputs(**arrays), "--outputs", out)
        return npz.load(out)

    def check_outputs(self, outputs, precision, count=360, dtype="<f4"):
        self.assertEqual(list(outputs), ["out0"])
        ours, torch = outputs["out0"], RECORDED["out0"]
        self.assertEqual((ours.dtype, ours.shape), (dtype, (count, 10)))
        limit = LIMIT[precision] * max(map(abs, torch.values))
        for have, want in zip(ours.values, torch.values):
            self.assertLess(abs(have - want), limit)
        self.assertEqual([best(r) for r in ours.rows()], [best(r) for r in torch.rows()[:count]])


class Lower(Case):
    def test_too_little_room_is_an_error_that_leaves_nothing(self):
        for command, output in (("lower", "m.pte"), ("convert", "m.mlpackage")):
            small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))  # bytes of a file
            result = subprocess.run([str(CORTLAND), command, str(DIGITS), "-o", str(self.folder / output)], capture_output=True, text=True,
                                    preexec_fn=small, restore_signals=False, timeout=120)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("error[file-access] cannot write", result.stderr)
            self.assertEqual(self.files(), [])

    def test_agrees_with_torch_and_is_fully_delegated(self):
        for target in TARGETS:
            for precision in LIMIT:
                with self.subTest(target=target, precision=precision):
                    report = self.folder / "r.json"
                    pte = self.lower("--deployment-target", target, "--precision", precision, "--report", report)
                    self.check_outputs(self.run_program(pte, in0=IMAGES), precision)
                    report = json.loads(report.read_text())
                    self.assertEqual(report["cpu_ops"], [])
                    self.assertEqual((report["target"], report["precision"]), (target, precision))
                    self.assertEqual(len(report["delegates"]), 1)
                    for key in ("name", "ops", "inputs", "outputs", "bytes"):
                        self.assertTrue(report["delegates"][0][key], key)
                    self.assertEqual(sum("conv2d" in op for op in report["delegates"][0]["ops"]), 3)

    def test_batch_sizes_within_the_exported_range(self):
        pte = self.lower()
        for count in (1, 7, 360):
            with self.subTest(count=count):
                self.check_outputs(self.run_program(pte, in0=first_images(count)), "float16", count)

    def test_inputs_by_name(self):
        self.check_outputs(self.run_program(self.lower(), image=IMAGES), "float16")

    def test_compute_units(self):
        for unit in ("all", "cpu_only", "cpu_and_gpu", "cpu_and_ne"):
            with self.subTest(unit=unit):
                self.check_outputs(self.run_program(self.lower("--compute-unit", unit), in0=IMAGES), "float16")

    def test_skipped_ops_stay_on_the_cpu_under_both_names(self):
        for skip, part, count in (("aten.conv2d.default", "conv", 3), ("aten.convolution.default", "conv", 3),
                                  ("aten.max_pool2d.default", "max_pool", 2)):
            with self.subTest(skip=skip):
                report = self.folder / "r.json"
                pte = self.lower("--skip-ops", skip, "--precision", "float32", "--report", report)
                cpu_ops = json.loads(report.read_text())["cpu_ops"]
                self.assertEqual(sum(part in op["op"] for op in cpu_ops), count)
                for op in cpu_ops:
                    self.assertTrue(op["node"] and op["reason"] and op["remedy"], op)
                    self.assertIn("train_digits.py", op["source"])
                self.check_outputs(self.run_program(pte, in0=IMAGES), "float32")

    def test_everything_skipped_runs_on_the_cpu(self):
        report = self.folder / "r.json"
        ops = ("conv2d.default", "batch_norm.default", "relu.default", "max_pool2d.default", "flatten.using_ints", "linear.default",
               "dropout.default")
        pte = self.lower("--skip-ops", ",".join("aten." + op for op in ops), "--report", report)
        self.assertEqual(json.loads(report.read_text())["delegates"], [])
        self.check_outputs(self.run_program(pte, in0=IMAGES), "float32")

    def test_same_bytes_on_every_run(self):
        self.assertEqual(self.lower(name="a.pte").read_bytes(), self.lower(name="b.pte").read_bytes())

    def test_replaces_an_older_output(self):
        (self.folder / "m.pte").write_text("old")
        self.check_outputs(self.run_program(self.lower(), in0=IMAGES), "float16")
        self.assertEqual([f for f in self.files() if "m.pte" in f], ["m.pte"])

    def test_deflated_archive(self):
        path = self.folder / "deflated.pt2"
        rewrite(path, lambda name, data: data, zipfile.ZIP_DEFLATED)
        self.ok("lower", path, "-o", self.folder / "m.pte")
        self.check_outputs(self.run_program(self.folder / "m.pte", in0=IMAGES), "float16")


class OtherCommands(Case):
    def test_convert_and_run_a_package(self):
        for precision in LIMIT:
            with self.subTest(precision=precision):
                path = self.folder / f"{precision}.mlpackage"
                self.ok("convert", DIGITS, "-o", path, "--precision", precision)
                self.assertTrue((path / "Manifest.json").is_file())
                self.check_outputs(self.run_program(path, in0=IMAGES), precision)
        size = [sum(p.stat().st_size for p in (self.folder / f"{p}.mlpackage").rglob("weight.bin")) for p in LIMIT]
        self.assertTrue(0.45 < size[1] / size[0] < 0.6, f"float32 and float16 weights: {size} bytes")

    def test_runs_a_package_that_coremltools_wrote(self):
        package = DIGITS.parent / "coremltools.mlpackage"
        for count in (1, 360):
            # Its output is float16: there coremltools keeps the type that the program computes in.
            self.check_outputs(self.run_program(package, in0=first_images(count)), "float16", count, "<f2")

    def test_extract(self):
        self.ok("extract", self.lower(), "-o", self.folder / "parts")
        found = list((self.folder / "parts").rglob("*.mlpackage"))
        self.assertEqual(len(found), 1)
        self.check_outputs(self.run_program(found[0], in0=IMAGES), "float16")

    def test_inspect(self):
        pte, package = self.lower(), self.folder / "m.mlpackage"
        self.ok("convert", DIGITS, "-o", package)
        for path in (DIGITS, pte, package):
            with self.subTest(path=path.suffix):
                self.assertIn("image", self.ok("inspect", path).stdout)
                self.assertIsInstance(json.loads(self.ok("inspect", path, "--json").stdout), dict)

    def test_inspect_mil(self):
        """A delegate's listing is that of its package."""
        pte = self.lower()
        self.ok("extract", pte, "-o", self.folder / "parts")
        package = next((self.folder / "parts").rglob("*.mlpackage"))
        listing = self.ok("inspect", package, "--mil").stdout
        self.assertIn("linear(", listing)
        self.assertEqual(self.ok("inspect", pte, "--mil").stdout, "// forward_0\n" + listing)
        self.refused("inspect", DIGITS, "--mil", says=["--mil"])

    def test_ops(self):
        text = self.ok("ops").stdout
        listed = json.dumps(json.loads(self.ok("ops", "--json").stdout))
        for op in ("aten.linear", "aten.gelu", "aten.conv2d"):
            self.assertIn(op, text)
            self.assertIn(op, listed)

    def test_ops_says_from_which_target_on(self):
        ops = {op["name"]: op for op in json.loads(self.ok("ops", "--json").stdout)["torch"]}
        gelu = ops["aten.gelu.default"]
        self.assertEqual((gelu["core_ml"], gelu["since"], gelu["dynamic"]), (True, "iOS15", True))
        self.assertEqual(gelu["types"], {"float16": "iOS15", "float32": "iOS15"})
        self.assertEqual(sorted(gelu["ranks"]), list("012345"))
        self.assertEqual(gelu["refuses"], ["unsupported-argument"])
        nonzero = ops["aten.nonzero.default"]
        self.assertEqual((nonzero["core_ml"], nonzero["since"], nonzero["refuses"]), (False, None, ["unsupported-shape"]))
        self.assertEqual([name for name, op in ops.items() if not op["checked"] and "since" in op], [])

    def test_bench_and_profile(self):
        images, package, out = self.folder / "in.npz", self.folder / "m.mlpackage", self.folder / "out.npz"
        npz.save(images, {"in0": IMAGES})
        self.ok("convert", DIGITS, "-o", package)
        for model in (self.lower(), package):
            with self.subTest(model=model.suffix):
                measured = json.loads(self.ok("bench", model, "--inputs", images, "--runs", 3, "--json").stdout)
                self.assertEqual(len(measured["runs_ms"]), 3)
                self.assertGreater(min(measured["runs_ms"]), 0)
                self.assertGreater(measured["peak_mb"], 1)
                self.assertIn("median of 20", self.ok("bench", model, "--inputs", images).stdout)
                self.assertIn("linear", self.ok("run", model, "--inputs", images, "--outputs", out, "--profile").stderr)

    def test_the_table_of_operators_is_what_ops_says(self):
        tool = subprocess.run([sys.executable, str(ROOT / "tools" / "operators.py"), "--program", str(CORTLAND)], capture_output=True, text=True)
        self.assertEqual((tool.returncode, tool.stderr), (0, ""))

    def test_the_table_of_rules_is_what_rules_says(self):
        self.assertIn("squeeze-mask", self.ok("rules").stdout)
        tool = subprocess.run([sys.executable, str(ROOT / "tools" / "device_rules.py"), "--program", str(CORTLAND)], capture_output=True, text=True)
        self.assertEqual((tool.returncode, tool.stderr), (0, ""))

    def test_help(self):
        for command in ("lower", "convert", "run", "bench", "inspect", "extract", "ops", "rules"):
            self.assertIn(command, self.ok("--help").stdout)
            self.assertIn("--help", self.ok(command, "--help").stdout)


class Library(Case):
    """The C++ library: the program of examples/, as built here and as somebody builds it who has the library installed."""

    ROOT = Path(__file__).resolve().parent.parent

    def check_example(self, program):
        result = subprocess.run([program, DIGITS, self.folder / "m.pte"], capture_output=True, text=True, timeout=120)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_outputs(self.run_program(self.folder / "m.pte", in0=IMAGES), "float16")
        self.assertEqual((self.folder / "m.pte").read_bytes(), self.lower("--deployment-target", "iOS18", name="cli.pte").read_bytes())
        result = subprocess.run([program, self.folder / "missing.pt2", self.folder / "x.pte"], capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing.pt2", result.stderr)
        self.assertFalse((self.folder / "x.pte").exists())

    def test_example(self):
        self.check_example(CORTLAND.parent / "examples" / "lower")

    def test_example_with_the_installed_library(self):
        run = lambda *command: subprocess.run([str(c) for c in command], check=True, capture_output=True, timeout=300)
        run("cmake", "--install", CORTLAND.parent, "--component", "library", "--prefix", self.folder / "prefix")
        project = self.folder / "project"
        project.mkdir()
        shutil.copy(self.ROOT / "examples" / "lower.cc", project)
        (project / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(app CXX)\nfind_package(cortland REQUIRED)\n"
                                                "add_executable(app lower.cc)\ntarget_link_libraries(app cortland::cortland)\n")
        run("cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={self.folder / 'prefix'}")
        run("cmake", "--build", project / "build")
        self.check_example(project / "build" / "app")


def rewrite(path, change, method=zipfile.ZIP_STORED):
    """The digits archive with `change(name, data)` applied to each entry."""
    with zipfile.ZipFile(DIGITS) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def replace_in_model(path, old, new):
    def change(name, data):
        if not name.endswith("models/model.json"):
            return data
        assert old in data, old
        return data.replace(old, new, 1)

    rewrite(path, change)


class Refusals(Case):
    def test_bad_options(self):
        out = self.folder / "m.pte"
        for options in (["--precision", "float8"], ["--deployment-target", "iOS12"], ["--compute-unit", "tpu"], ["--nonsense"]):
            with self.subTest(options=options):
                self.refused("lower", DIGITS, "-o", out, *options, says=[options[-1]])
        self.refused("lower", "-o", out)
        self.refused("lower", DIGITS)
        self.refused("nonsense")
        self.refused()

    def test_says_what_was_meant(self):
        m, out = self.lower(), self.folder / "o.npz"
        self.refused("lowr", says=["'lowr'", "did you mean lower?"])
        self.refused("bogus", says=["'bogus'", "check-passes"])
        self.refused("--bogus", says=["'--bogus'"])
        self.refused("lower", "--methods", "x", says=["'--methods'", "did you mean --method?"])
        self.refused("run", m, "--threads", "-1", "--outputs", out, says=["'-1'", "from 0 on"])
        self.refused("bench", m, "--runs", "0", says=["'0'", "from 1 on"])
        self.refused("run", m, "--precision-mode", "foo", "--outputs", out, says=["'foo'", "exact or fast"])
        self.refused("inspect", m, "--json", "--mil", says=["--json", "--mil"])
        self.refused("run", m, "--outputs", out, says=["'image'", "numpy.savez"])
        self.assertIn("did you mean aten.relu.default?", self.ok("lower", DIGITS, "-o", self.folder / "x.pte", "--skip-ops", "aten.relu").stderr)
        self.assertRegex(self.ok("--version").stdout, r"^cortland \d+\.\d+\.\d+\n$")

    def test_folders_that_are_no_package_are_kept(self):
        home, file = self.folder / "home", self.folder / "file"
        (home / "sub").mkdir(parents=True)
        (home / "k.txt").write_text("k")
        file.write_text("f")
        self.refused("convert", DIGITS, "-o", f"{home}/", says=["exists and is not empty", "name a new folder"])
        self.refused("convert", DIGITS, "-o", file, says=["name a new folder"])
        self.assertEqual(((home / "k.txt").read_text(), file.read_text()), ("k", "f"))
        (self.folder / "empty").mkdir()
        for _ in range(2):  # an empty folder, then a package
            self.assertRegex(self.ok("convert", DIGITS, "-o", self.folder / "empty").stdout, "empty: a Core ML model with 1 function, for iOS15")
        self.assertTrue((self.folder / "empty" / "Manifest.json").is_file())

    def test_outputs_replace_neither_inputs_nor_each_other(self):
        both, model, link = self.folder / "y.pte", self.folder / "m.pt2", self.folder / "link.pt2"
        shutil.copy(DIGITS, model)
        link.symlink_to(model)
        self.refused("lower", model, "-o", both, "--report", self.folder / "." / "y.pte", says=["--report", "y.pte"])
        for path in (model, link):
            self.refused("lower", model, "-o", path, says=["would replace"])
            self.refused("lower", "--method", f"forward={model}", "-o", both, "--report", path, says=["would replace"])
        self.assertEqual(model.read_bytes(), DIGITS.read_bytes())
        inputs = self.inputs(in0=IMAGES)
        self.refused("run", self.lower(), "--inputs", inputs, "--outputs", inputs, says=["would replace the inputs"])

    def test_surplus_arrays(self):
        package, out = self.folder / "m.mlpackage", self.folder / "out.npz"
        self.ok("convert", DIGITS, "-o", package)
        for model in (self.lower(), package):
            for name in ("in1", "image"):
                inputs = self.inputs(**{"in0": IMAGES, name: IMAGES})
                self.refused("run", model, "--inputs", inputs, "--outputs", out, says=[f"'{name}'", "'in0' (or 'image')"])
            self.refused("run", model, "--inputs", self.inputs(image=IMAGES, in7=IMAGES), "--outputs", out, says=["'in7'"])
            self.ok("run", model, "--inputs", self.inputs(in0=IMAGES, out0=IMAGES), "--outputs", out)

    def test_ranges_of_sizes(self):
        pte = self.lower()
        self.assertIn("[1..512, 1, 8, 8]", self.ok("inspect", pte).stdout)
        self.refused("run", pte, "--inputs", self.inputs(in0=npz.Array("<f4", (0, 1, 8, 8), ())), "--outputs", self.folder / "out.npz",
                     says=["'image (in0)'", "1 to 512"])

    def test_missing_files(self):
        missing = self.folder / "missing.pt2"
        for command, out in (("lower", "x.pte"), ("convert", "x.mlpackage"), ("extract", "parts")):
            self.refused(command, missing, "-o", self.folder / out, says=["missing.pt2"])
        self.refused("inspect", missing, says=["missing.pt2"])
        self.refused("run", missing, "--inputs", missing, "--outputs", self.folder / "out.npz", says=["missing"])
        pte = self.lower()
        self.refused("run", pte, "--inputs", self.folder / "missing.npz", "--outputs", self.folder / "out.npz", says=["missing.npz"])

    def test_output_folder_is_missing(self):
        self.refused("lower", DIGITS, "-o", self.folder / "no" / "m.pte", says=["m.pte"])
        self.refused("lower", DIGITS, "-o", self.folder / "m.pte", "--report", self.folder / "no" / "r.json", says=["r.json"])

    def test_wrong_kind_of_file(self):
        pte, package = self.lower(), self.folder / "m.mlpackage"
        self.refused("lower", pte, "-o", self.folder / "x.pte", says=["m.pte", "an ExecuTorch program already"])
        self.ok("convert", DIGITS, "-o", package)
        for command, wants in (("lower", ".pt2"), ("convert", ".pt2"), ("extract", ".pte")):
            self.refused(command, package, "-o", self.folder / "x", says=["a Core ML package", wants])
        self.refused("run", package, "--method", "foo", "--outputs", self.folder / "o.npz", says=["'foo'", "only 'main'"])
        self.refused("run", pte, "--inputs", self.array(), "--outputs", self.folder / "o.npz", says=["one array", "numpy.savez"])
        self.refused("extract", DIGITS, "-o", self.folder / "parts", says=["digits.pt2"])
        self.refused("run", DIGITS, "--inputs", self.inputs(in0=IMAGES), "--outputs", self.folder / "out.npz", says=["digits.pt2"])

    def test_truncated_archive(self):
        data = DIGITS.read_bytes()
        path = self.folder / "short.pt2"
        for length in (0, 1, 4, 30, 64, 1000, len(data) // 2, len(data) * 9 // 10, len(data) - 100, len(data) - 22, len(data) - 1):
            with self.subTest(length=length):
                path.write_bytes(data[:length])
                self.refused("lower", path, "-o", self.folder / "x.pte", says=["short.pt2"])
                self.refused("convert", path, "-o", self.folder / "x.mlpackage", says=["short.pt2"])

    def test_truncated_pte(self):
        pte = self.lower()
        inputs = self.inputs(in0=IMAGES)
        data = pte.read_bytes()
        path = self.folder / "short.pte"
        for length in (0, 1, 8, 40, 200, len(data) // 2, len(data) - 1000):
            with self.subTest(length=length):
                path.write_bytes(data[:length])
                self.refused("run", path, "--inputs", inputs, "--outputs", self.folder / "out.npz")

    def test_damaged_files_never_crash(self):
        pte, package = self.lower(), self.folder / "m.mlpackage"
        self.ok("convert", DIGITS, "-o", package)
        inputs = self.inputs(in0=first_images(2))
        model = next(package.rglob("*.mlmodel"))
        chance = random.Random(1)
        for original, damaged, command in (
                (DIGITS, self.folder / "d.pt2", lambda p: ("lower", p, "-o", self.folder / "x.pte")),
                (pte, self.folder / "d.pte", lambda p: ("run", p, "--inputs", inputs, "--outputs", self.folder / "o.npz")),
                (model, model, lambda p: ("run", package, "--inputs", inputs, "--outputs", self.folder / "o.npz"))):
            data = original.read_bytes()
            for _ in range(25):
                changed = bytearray(data)
                for _ in range(chance.choice((1, 4, 40))):
                    # Structure sits at both ends, weights in the middle: aim at the former.
                    at = chance.choice((chance.randrange(len(data)), len(data) - 1 - chance.randrange(min(50000, len(data)))))
                    changed[at] = chance.randrange(256)
                damaged.write_bytes(changed)
                result = cortland(*command(damaged))
                self.assertTrue(0 <= result.returncode < 126, f"{command(damaged)}: exit code {result.returncode}\n{result.stderr}")

    def test_unknown_op(self):
        path = self.folder / "unknown.pt2"
        replace_in_model(path, b"torch.ops.aten.relu.default", b"torch.ops.mylib.frobnicate.default")
        for out, command in (("x.pte", "lower"), ("x.mlpackage", "convert")):
            self.refused(command, path, "-o", self.folder / out, says=["mylib.frobnicate.default", "train_digits.py"])

    def test_program_that_lies_about_itself(self):
        changes = {
            "not JSON": (b'{"graph_module"', b'{"graph_module'),
            "schema": (b'"schema_version": {"major": 8', b'"schema_version": {"major": 99'),
            "undefined value": (b'"name": "input", "arg": {"as_tensor": {"name": "image"}}',
                                b'"name": "input", "arg": {"as_tensor": {"name": "nobody"}}'),
        }
        for name, (old, new) in changes.items():
            with self.subTest(name=name):
                path = self.folder / "lie.pt2"
                replace_in_model(path, old, new)
                self.refused("lower", path, "-o", self.folder / "x.pte")

    def test_weights_are_missing(self):
        path = self.folder / "empty.pt2"
        rewrite(path, lambda name, data: b"" if re.search(r"weights/weight_\d+$", name) else data)
        self.refused("lower", path, "-o", self.folder / "x.pte")

    def test_whole_graph_asked_for_but_an_op_is_skipped(self):
        self.refused("lower", DIGITS, "-o", self.folder / "x.pte", "--lower-full-graph", "--skip-ops", "aten.relu.default",
                     says=["aten.relu.default"])

    def test_wrong_inputs(self):
        ints = npz.Array("<i8", IMAGES.shape, tuple(int(v) for v in IMAGES.values))
        wrong = {
            "height": npz.Array("<f4", (360, 1, 4, 16), IMAGES.values),
            "rank": npz.Array("<f4", (360, 64), IMAGES.values),
            "channels": npz.Array("<f4", (180, 2, 8, 8), IMAGES.values),
            "batch over the exported range": npz.Array("<f4", (720, 1, 8, 8), IMAGES.values * 2),
            "dtype": ints,
        }
        package = self.folder / "m.mlpackage"
        self.ok("convert", DIGITS, "-o", package)
        for program in (self.lower(), package):
            for name, array in wrong.items():
                with self.subTest(name=name, program=program.suffix):
                    self.refused("run", program, "--inputs", self.inputs(in0=array), "--outputs", self.folder / "out.npz")
            with self.subTest(name="missing", program=program.suffix):
                self.refused("run", program, "--inputs", self.inputs(other=IMAGES), "--outputs", self.folder / "out.npz")

    def test_damaged_inputs(self):
        pte = self.lower()
        inputs = self.inputs(in0=IMAGES)
        data = inputs.read_bytes()
        for length in (0, 10, len(data) // 2, len(data) - 5):
            with self.subTest(length=length):
                inputs.write_bytes(data[:length])
                self.refused("run", pte, "--inputs", inputs, "--outputs", self.folder / "out.npz", says=["in.npz"])


if __name__ == "__main__":
    unittest.main()

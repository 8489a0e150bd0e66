#!/usr/bin/env python3
"""Reads every #include "folder/file" in src/ against the table in cmake/Layers.cmake: a folder may include itself, what its line
names, and what those name in turn; its tests what is named for them too. `layers_test.py [root]`."""

import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {"utils", "util", "common", "misc", "helpers"}
GENERATED = (".pb.h", "_generated.h")


def read_table(cmake, keyword="DEPS"):
    """folder -> the folders its line (add_layer and its like) names, in the order of the file."""
    text = re.sub(r"#.*", "", cmake)
    table = {}
    for name, arguments in re.findall(r"\badd_(?!dependencies)\w+\(\s*(\w+)([^)]*)\)", text):
        words = arguments.split()
        table[name] = []
        if keyword in words:
            for word in words[words.index(keyword) + 1:]:
                if word.isupper():
                    break
                table[name].append(word)
    return table


def closure(table):
    """folder -> every folder that it may include. A line may name only folders above it, so there are no cycles."""
    allowed = {}
    for name, deps in table.items():
        allowed[name] = {name}
        for dep in deps:
            allowed[name] |= allowed.get(dep, {dep})
    return allowed


def table_errors(table):
    seen, errors = set(), []
    for name, deps in table.items():
        errors += [f"cmake/Layers.cmake: {name} names {d}, which no earlier line adds" for d in deps if d not in seen]
        seen.add(name)
    return errors


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r'\s*#\s*include\s*"([^"]+)"', line):
            yield number, match.group(1)


def include_errors(path, folder, text, allowed, folders):
    """`path` is only for the message. Includes of generated files and of the same folder without a path are fine."""
    errors = []
    for number, name in includes(text):
        head, slash, _ = name.partition("/")
        if not slash or head == folder or (head not in folders and name.endswith(GENERATED)):
            continue
        if head not in folders:
            errors.append(f'{path}:{number}: "{name}": there is no folder src/{head}')
        elif head not in allowed[folder]:
            errors.append(f'{path}:{number}: "{name}": cmake/Layers.cmake does not let {folder} include {head}')
    return errors


class Layers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cmake = (ROOT / "cmake" / "Layers.cmake").read_text()
        cls.table, for_tests = read_table(cmake), read_table(cmake, "TEST_DEPS")
        cls.allowed = closure(cls.table)
        cls.allowed_in_tests = {f: a.union(*(cls.allowed[d] for d in for_tests[f])) for f, a in cls.allowed.items()}
        cls.folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}

    def test_table_names_only_earlier_folders(self):
        self.assertTrue(self.table)
        self.assertEqual(table_errors(self.table), [])

    def test_every_folder_with_sources_has_a_line(self):
        used = {f for f in self.folders if any((ROOT / "src" / f).rglob("*.cc"))}
        self.assertEqual(sorted(used - self.table.keys()), [], "add a line to cmake/Layers.cmake")

    def test_includes(self):
        errors = []
        for path in sorted((ROOT / "src").rglob("*")):
            if path.suffix not in (".cc", ".h", ".def"):
                continue
            folder = path.relative_to(ROOT / "src").parts[0]
            if folder in self.allowed:
                allowed = self.allowed_in_tests if path.name.endswith("_test.cc") else self.allowed
                errors += include_errors(path.relative_to(ROOT), folder, path.read_text(), allowed, self.folders)
        self.assertEqual(errors, [], "\n" + "\n".join(errors))

    def test_folder_names_say_what_is_inside(self):
        bad = [str(p.relative_to(ROOT)) for p in (ROOT / "src").rglob("*") if p.is_dir() and p.name in FORBIDDEN]
        self.assertEqual(bad, [])


class Rules(unittest.TestCase):
    """The checks themselves, on made-up folders."""

    TABLE = 'add_layer(base LIBS fmt::fmt)  # add_layer(no)\nadd_layer(tensor DEPS base)\nadd_layer(mil\n  DEPS tensor SOURCES x.cc)\n'

    def errors(self, folder, text):
        table = read_table(self.TABLE)
        return include_errors("f.cc", folder, text, closure(table), set(table))

    def test_reads_the_table(self):
        self.assertEqual(read_table(self.TABLE), {"base": [], "tensor": ["base"], "mil": ["tensor"]})

    def test_reads_what_tests_may_use(self):
        text = "add_layer(base)\nadd_layer(tensor DEPS base)\nadd_layer(mil DEPS base TEST_DEPS tensor LIBS fmt::fmt)"
        self.assertEqual(read_table(text), {"base": [], "tensor": ["base"], "mil": ["base"]})
        self.assertEqual(read_table(text, "TEST_DEPS")["mil"], ["tensor"])

    def test_allows_what_a_line_names_and_what_that_names(self):
        self.assertEqual(self.errors("mil", '#include "base/a.h"\n#include "tensor/b.h"\n#include "mil/c.h"\n#include "d.h"'), [])

    def test_refuses_upwards(self):
        self.assertIn("does not let base include mil", self.errors("base", '\n#  include "mil/op.h"')[0])

    def test_refuses_an_unknown_folder_but_not_a_generated_file(self):
        self.assertIn("no folder", self.errors("base", '#include "nowhere/a.h"')[0])
        self.assertEqual(self.errors("base", '#include "schemas/Model.pb.h"'), [])

    def test_refuses_a_line_that_names_a_later_folder(self):
        self.assertEqual(len(table_errors(read_table("add_layer(a DEPS b)\nadd_layer(b DEPS a)"))), 1)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        ROOT = Path(sys.argv.pop(1))
    unittest.main()

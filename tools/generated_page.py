"""Pages of the documentation that are made from what the program says of itself: compares one with this build, or writes it anew."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "release" / "cortland"


def main(description, page, command, render):
    """The exit code of a tool that keeps docs/<page>: `render` makes its text of what `cortland <command> --json` prints."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the page")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the program to ask")
    args = parser.parse_args()
    listing = json.loads(subprocess.run([str(args.program), command, "--json"], check=True, capture_output=True, text=True).stdout)
    path, text = ROOT / "docs" / page, render(listing)
    if args.update:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        print(f"docs/{page} is not what `cortland {command}` says: run tools/{Path(sys.argv[0]).name} --update", file=sys.stderr)
        return 1
    return 0


def table(head, rows):
    """Rows of cells as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

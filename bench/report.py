"""Tables and a plot of what bench/run.py measured."""

import os
import platform
import re
import statistics
from pathlib import Path

NODE_MS, LIMIT_TIMES, FASTER = 0.1, 2, 100  # the targets of lowering
ENGINES = ("Cortland float16", "Cortland float16 exact", "Cortland float16 fast", "Cortland int4", "Cortland int4 exact", "Cortland int4 fast",
           "Cortland float32", "PyTorch eager", "ONNX Runtime", "XNNPACK")


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def number(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def show(s, scale=1):
    """Median, and what it lies between."""
    return f"{number(s['median'] * scale)} ({number(s['min'] * scale)} to {number(s['max'] * scale)})"


def machine(threads):
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, "load": os.getloadavg()[0]}


# --- lowering

def lowering_line(r):
    ours, limit = r["cortland"]["seconds"], r["limit"]["seconds"]
    line = f"lowering {show(ours, 1e3)} ms, limit {show(limit, 1e3)} ms, {ours['median'] / limit['median']:.2f}x"
    if "upstream" in r:
        line += f"; upstream {show(r['upstream']['seconds'])} s, {r['upstream']['seconds']['median'] / ours['median']:.0f}x"
    return line


def missed(r):
    """Which targets a model misses, in words. A small one may take its time for each node instead of the limit's."""
    seconds, limit = r["cortland"]["seconds"]["median"], r["limit"]["seconds"]["median"]
    out = []
    if seconds > LIMIT_TIMES * limit and seconds * 1e3 > NODE_MS * r["nodes"]:
        out.append("limit")
    if "upstream" in r and r["upstream"]["seconds"]["median"] < FASTER * seconds:
        possible = r["upstream"]["seconds"]["median"] >= FASTER * limit
        out.append("100x" if possible else "100x, as the limit does")
    if r["cortland"]["peak_mb"]["max"] > 0.25 * r["mb"] + 100:
        out.append("memory")
    return out


def lowering_table(results):
    rows = ["| model | weights MB | nodes | limit ms | Cortland ms | times the limit | ms a node | ExecuTorch s | times faster | peak MB | ExecuTorch's peak MB | missed |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    for name, r in results.items():
        ours, limit, theirs = r["cortland"]["seconds"]["median"], r["limit"]["seconds"]["median"], r.get("upstream")
        rows.append("| " + " | ".join([
            name, number(r["mb"]), str(r["nodes"]), show(r["limit"]["seconds"], 1e3), show(r["cortland"]["seconds"], 1e3), f"{ours / limit:.2f}",
            f"{ours * 1e3 / r['nodes']:.3f}",
            show(theirs["seconds"]) if theirs else r["missing"].get("upstream", "")[:80], f"{theirs['seconds']['median'] / ours:.0f}" if theirs else "",
            f"{r['cortland']['peak_mb']['max']:.0f}", f"{theirs['peak_mb']['max']:.0f} ({r['import_mb']:.0f} imported)" if theirs else "",
            ", ".join(missed(r)) or "-"]) + " |")
    return "\n".join(rows)


# --- inference

def engines_of(results):
    found = {side for r in results.values() for side in r["sides"]} | {side for r in results.values() for side in r["missing"]}
    return [e for e in ENGINES if e in found]


def best_peer(r):
    """The name and time of the fastest peer, or nothing."""
    peers = [(s["run_ms"]["median"], side) for side, s in r["sides"].items() if not side.startswith("Cortland")]
    return min(peers, default=None)


def best_of_ours(r):
    return min(((s["run_ms"]["median"], side) for side, s in r["sides"].items() if side.startswith("Cortland")), default=None)


def inference_table(results):
    engines = engines_of(results)
    rows = ["| model | " + " | ".join(engines) + " | best peer / best of ours |", "|---|" + "--:|" * (len(engines) + 1)]
    for name, r in results.items():
        peer, ours = best_peer(r), best_of_ours(r)
        cells = [show(r["sides"][e]["run_ms"]) if e in r["sides"] else "-" for e in engines]
        rows.append(f"| {name} | " + " | ".join(cells) + f" | {f'{peer[0] / ours[0]:.2f}' if peer and ours else ''} |")
    notes = [f"- {name}, {side}: {reason.strip()[:200]}" for name, r in results.items() for side, reason in r["missing"].items()]
    return "\n".join(rows) + ("\n\nNot measured:\n" + "\n".join(notes) if notes else "")


def load_table(results):
    engines = engines_of(results)
    rows = ["| model | " + " | ".join(engines) + " |", "|---|" + "--:|" * len(engines)]
    for name, r in results.items():
        cells = []
        for e in engines:
            s = r["sides"].get(e)
            cells.append(f"{s['load_ms']['median']:.0f} ms, {s['peak_mb'] - s['import_mb']:.0f} MB" if s else "-")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


# --- both

def tables(result):
    parts = []
    m = result["machine"]
    parts.append(f"Measured on {m['cores']} cores of {m['cpu']}, {m['threads']} threads for every side. "
                 f"The machine's load average over the minute before was {m['load']:.1f}.")
    if result["lowering"]:
        parts += ["### Lowering", lowering_table(result["lowering"])]
    if result["inference"]:
        parts += ["### Inference: milliseconds a run", inference_table(result["inference"]),
                  "### Inference: load with the first run, and memory above what importing took", load_table(result["inference"])]
    return "\n\n".join(parts) + "\n"


def write(result, path):
    """Replaces what stands between the markers of the page, and the plot next to it."""
    text = path.read_text()
    begin, end = "<!-- tables: made by bench/run.py -->", "<!-- end of tables -->"
    if begin not in text or end not in text:
        raise SystemExit(f"{path} has no place for the tables: {begin} ... {end}")
    replaced = re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: f"{begin}\n\n{tables(result)}\n{end}", text, flags=re.DOTALL)
    path.write_text(replaced)
    plot(result, path.with_suffix(".svg"))


def plot(result, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "cortland", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), constrained_layout=True)
    lowering = result["lowering"]
    bars(axes[0], list(lowering), {label: [lowering[m].get(side, {}).get("seconds", {}).get("median") for m in lowering]
                                   for side, label in (("limit", "limit: read, convert, write"), ("cortland", "Cortland"), ("upstream", "ExecuTorch 1.5, import left out"))})
    axes[0].set(title="Lowering, seconds", yscale="log")
    inference = result["inference"]
    bars(axes[1], list(inference), {e: [inference[m]["sides"].get(e, {}).get("run_ms", {}).get("median") for m in inference] for e in engines_of(inference)})
    axes[1].set(title=f"One run, milliseconds, {result['machine']['threads']} threads", yscale="log")
    figure.savefig(path, metadata={"Date": None})


def bars(axis, groups, series):
    width = 0.8 / max(1, len(series))
    for i, (label, values) in enumerate(series.items()):
        at = [g + i * width for g, v in enumerate(values) if v is not None]
        axis.bar(at, [v for v in values if v is not None], width, label=label)
    axis.set_xticks([g + 0.4 - width / 2 for g in range(len(groups))], groups, rotation=35, ha="right")
    if groups:
        axis.legend(fontsize=7)

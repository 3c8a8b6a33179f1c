# SPDX-License-Identifier: MIT
"""The results as a Markdown table and as SVG bars, one file a case; nothing but text is needed."""
import html
import os
import re

COLOURS = {"popper": "#2f6f9f", "popper-pam": "#6aa2c8", "popper-deferred": "#1f3f6f", "popa3d": "#b5651d", "dovecot": "#6b8e23", "mailutils": "#8b5a8c", "limit": "#999999"}


def table(results):
    names = []
    for result in results:
        names += [name for name in result["medians"] if name not in names]
    lines = ["| case | unit | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for result in results:
        cells = []
        for name in names:
            value = result["medians"].get(name)
            ratio = result["ratios"].get(name)
            cells.append("" if value is None else f"{value:.4g}" + ("" if name == "popper" or ratio is None else f" ({ratio:.2f})"))
        lines.append(f"| {result['case']} | {result['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def bars(result):
    medians = result["medians"]
    most = max(medians.values()) or 1
    height = 40 + 26 * len(medians)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{height}" font-family="sans-serif" font-size="13">',
           f'<text x="8" y="20" font-weight="bold">{html.escape(result["case"])} ({html.escape(result["unit"])}, {"more" if result["more_is_better"] else "less"} is better)</text>']
    for place, (name, value) in enumerate(medians.items()):
        y, width = 34 + 26 * place, 400 * value / most
        out.append(f'<text x="8" y="{y + 14}">{html.escape(name)}</text><rect x="110" y="{y}" width="{width:.1f}" height="18" fill="{COLOURS.get(name, "#777777")}"/>'
                   f'<text x="{116 + width:.1f}" y="{y + 14}">{value:.4g}</text>')
    return "\n".join(out) + "\n</svg>\n"


def write_all(folder, results):
    with open(os.path.join(folder, "table.md"), "w") as file:
        file.write(table(results))
    for result in results:
        name = re.sub(r"[^a-z0-9]+", "-", result["case"].lower()).strip("-")
        with open(os.path.join(folder, f"{name}.svg"), "w") as file:
            file.write(bars(result))

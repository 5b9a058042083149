"""Writes a capture's row into the table of README.md: row.py README FILE ORIGIN SHOWS."""

import sys

readme, file, origin, shows = sys.argv[1:]
row = f"| `{file}` | {origin} | {shows} |\n"
with open(readme) as text:
    lines = text.readlines()
places = [at for at, line in enumerate(lines) if line.startswith(f"| `{file}` |")]
if places:
    lines[places[0]] = row
else:
    lines.insert(max(at for at, line in enumerate(lines) if line.startswith("| `")) + 1, row)
with open(readme, "w") as text:
    text.writelines(lines)

#!/usr/bin/env python3
"""Draws a terminal's screen, with its colours, as a PNG.

    tmux capture-pane -e -p -t PANE | scripts/picture.py OUT.png [--columns 100] [--rows 30]

Reads the characters and SGR escape sequences that `tmux capture-pane -e` prints. Blocks and lines
are drawn as areas, so that they join; all else with DejaVu Sans Mono, and with WenQuanYi Micro Hei
what that does not have. Needs Pillow (Debian: python3-pil, fonts-dejavu-core, fonts-wqy-microhei).
"""
import argparse
import re
import sys
import unicodedata

from PIL import Image, ImageDraw, ImageFont

FONTS = "/usr/share/fonts/truetype/"
PLAIN = FONTS + "dejavu/DejaVuSansMono.ttf"
BOLD = FONTS + "dejavu/DejaVuSansMono-Bold.ttf"
WIDE = FONTS + "wqy/wqy-microhei.ttc"
SIZE = 20
CELL = (12, 25)

# The 16 colours of xterm, darkened where they would be too bright on a dark ground.
NAMED = ["#1c1c22", "#d7534f", "#6fb35a", "#d0a53f", "#5a8fd8", "#b07cc6", "#4fb0b5", "#d0d0d0",
         "#77777f", "#f0716c", "#8fd078", "#ecc85e", "#7fb0f2", "#cd9ce0", "#72d2d6", "#ffffff"]
GROUND, TEXT = "#16161c", "#d8d8dc"


def indexed(number):
    """A colour of the 256."""
    if number < 16:
        return NAMED[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    levels = [0, 95, 135, 175, 215, 255]
    return "#" + "".join(f"{levels[number // step % 6]:02x}" for step in (36, 6, 1))


class Style:
    """What SGR sequences have set so far."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.front = self.back = None
        self.bold = self.dim = self.inverse = self.underline = False

    def apply(self, text):
        codes = [int(code or 0) for code in re.split("[;:]", text)]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.reset()
            elif code in (1, 2):
                self.bold, self.dim = self.bold or code == 1, self.dim or code == 2
            elif code == 22:
                self.bold = self.dim = False
            elif code in (4, 24):
                self.underline = code == 4
            elif code in (7, 27):
                self.inverse = code == 7
            elif code in (39, 49):
                self.set(code == 39, None)
            elif code in (38, 48):
                if codes.pop(0) == 5:
                    self.set(code == 38, indexed(codes.pop(0)))
                else:
                    red, green, blue = (codes.pop(0) for _ in range(3))
                    self.set(code == 38, f"#{red:02x}{green:02x}{blue:02x}")
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.set(True, NAMED[code - 30 if code < 90 else code - 82])
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.set(False, NAMED[code - 40 if code < 100 else code - 92])

    def set(self, front, colour):
        if front:
            self.front = colour
        else:
            self.back = colour

    def colours(self):
        front, back = self.front or TEXT, self.back or GROUND
        if self.dim:
            front = mixed(front, back)
        return (back, front) if self.inverse else (front, back)


def mixed(one, other):
    parts = [(int(one[i:i + 2], 16) * 3 + int(other[i:i + 2], 16) * 2) // 5 for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def draw_cell(draw, fonts, column, row, char, style):
    width, height = CELL
    cells = 2 if unicodedata.east_asian_width(char) in "WF" else 1
    left, top = column * width, row * height
    right, bottom = left + cells * width - 1, top + height - 1
    front, back = style.colours()
    if back != GROUND:
        draw.rectangle((left, top, right, bottom), fill=back)
    code = ord(char)
    if 0x2581 <= code <= 0x2588:
        eighths = code - 0x2580
        draw.rectangle((left, bottom + 1 - round(height * eighths / 8), right, bottom), fill=front)
    elif 0x2589 <= code <= 0x258F:
        eighths = 0x2590 - code
        draw.rectangle((left, top, left + round(width * eighths / 8) - 1, bottom), fill=front)
    elif char == "─":
        draw.rectangle((left, top + height // 2, right, top + height // 2 + 1), fill=front)
    elif char == "│":
        draw.rectangle((left + width // 2, top, left + width // 2 + 1, bottom), fill=front)
    elif char != " ":
        font = fonts["wide" if cells == 2 else "bold" if style.bold else "plain"]
        draw.text((left, top + height - 6), char, fill=front, font=font, anchor="ls")
    if style.underline:
        draw.rectangle((left, bottom - 2, right, bottom - 2), fill=front)
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=30)
    arguments = parser.parse_args()

    fonts = {"plain": ImageFont.truetype(PLAIN, SIZE), "bold": ImageFont.truetype(BOLD, SIZE)}
    lines = sys.stdin.read().split("\n")[:arguments.rows]
    if any(unicodedata.east_asian_width(char) in "WF" for line in lines for char in line):
        fonts["wide"] = ImageFont.truetype(WIDE, SIZE)
    size = (arguments.columns * CELL[0], arguments.rows * CELL[1])
    image = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(image)
    style = Style()
    for row, line in enumerate(lines):
        column = 0
        for sequence, char in re.findall("\x1b\\[([0-9;:]*)m|([^\x1b])", line):
            if char:
                if not unicodedata.combining(char):
                    column += draw_cell(draw, fonts, column, row, char, style)
            else:
                style.apply(sequence)
    margin = CELL[0]
    framed = Image.new("RGB", (size[0] + 2 * margin, size[1] + 2 * margin), GROUND)
    framed.paste(image, (margin, margin))
    framed.quantize(64, method=Image.Quantize.FASTOCTREE).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()

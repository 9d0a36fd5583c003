"""The colours of all that the program draws: reports, pictures of answers, markers."""

from __future__ import annotations

INK, MUTED, GRID, PANEL = '#1c2431', '#5a6676', '#dde3ea', '#fffffe'
ACCENT, TRUTH = '#2868a8', '#b06f0b'
SERIES = ('#2868a9', '#c4601d', '#7a4fb0', '#0c7f86', '#b03a6f', '#6b7a1c')

# By marker and word as well as by colour: (word, colour, marker).
MARKS: dict[bool | None, tuple[str, str, str]] = {
    True: ('right', '#17784a', 'o'),
    None: ('truth unknown', '#626d7b', 's'),
    False: ('wrong', '#c0342a', 'x'),
}

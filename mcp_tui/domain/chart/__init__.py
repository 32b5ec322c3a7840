"""Charts as plain text: ticks, scales, sampling, canvases, and the pictures made of them.

Nothing here knows a widget or a colour. A picture is lines of pieces of text, each with the role
that it plays; the console's one chart gives roles their styles, and a command prints the text.
"""

"""A captured terminal screen (`tmux capture-pane -e -p`) on stdin, as SVG on stdout."""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.text import Text

TITLE = "kserve-installer install kfserving-0.5.1"


def main() -> None:
    screen = Text.from_ansi(sys.stdin.read().rstrip("\n"))
    width = max(line.cell_len for line in screen.split())
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(screen)
    # whoever looks at the picture need not load fonts from elsewhere
    sys.stdout.write(re.sub(r"@font-face\s*{[^}]*}\s*", "", console.export_svg(title=TITLE)))


if __name__ == "__main__":
    main()

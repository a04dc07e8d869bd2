"""What a shell has to read before it completes, for packages to put where shells look (click makes it)."""

from __future__ import annotations

from pathlib import Path

from click.shell_completion import ShellComplete, get_completion_class

from postbearer.cli.root import postbearer

PLACES = {  # below share/
    "bash": "bash-completion/completions/postbearer",
    "zsh": "zsh/site-functions/_postbearer",
    "fish": "fish/vendor_completions.d/postbearer.fish",
}


def write_completions(folder: Path) -> list[Path]:
    """Write a script for each shell below `folder`, as below ``share``; their paths."""
    written = []
    for shell, place in PLACES.items():
        kind = get_completion_class(shell)
        assert kind is not None, shell
        made = kind(postbearer, {}, "postbearer", "_POSTBEARER_COMPLETE")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ShellComplete.source(made), encoding="utf-8")  # bash's own would run bash
        written.append(path)
    return written

"""A package that somebody else wrote, as pip leaves it."""

from __future__ import annotations

from pathlib import Path


def install(site: Path, module: str, source: str, entries: str) -> Path:
    """Put `module` with the entry points `entries` into the folder `site`, which is made."""
    about = site / f"{module}-1.dist-info"
    about.mkdir(parents=True)
    (site / f"{module}.py").write_text(source)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(entries)
    return site

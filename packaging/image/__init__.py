"""The container image: Debian's Python, and the environment that the Debian package has."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from contents import DEBIAN, HOME, Contents, minor_of, place_environment, place_shared, version_of

from image.debian import unpack_debian
from image.oci import ImageWriter

HERE = Path(__file__).parent
SOURCE = "https://github.com/postbearer/postbearer"
MODES = {"data": 0o1777, "tmp": 0o1777}  # any user may run it; a named volume takes the mode of its folder
SECOND = 10**9  # nanoseconds


def build_image(contents: Contents, out: Path) -> Path:
    """Write the archive into the folder `out`; its path."""
    told = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    architecture, version = told.stdout.strip(), version_of(contents.wheel)
    built = out / f"postbearer-{version}-image-{architecture}.tar"
    image = ImageWriter(built, contents.epoch)
    with tempfile.TemporaryDirectory() as made:
        debian, ours = Path(made, "root"), Path(made, "ours")
        debian.mkdir()
        unpack_debian(debian)
        for name in ("proc", "sys", "dev", "run", "tmp", "root"):
            (debian / name).mkdir(exist_ok=True)
        image.add_layer(_files(debian), MODES)
        place_environment(ours, contents.site, minor_of(contents.python))
        place_shared(ours, contents.wheel, replace(DEBIAN, units=None))
        start = ours / HOME.relative_to("/") / "bin" / "container"
        program = (HERE / "entrypoint.py").read_text()
        start.write_text(program.replace("#!/usr/bin/python3", f"#!{HOME}/bin/python3 -P"))
        for each in ours.rglob("*"):
            if each.is_file() and not each.is_symlink():
                each.chmod(0o755 if each.read_bytes()[:2] == b"#!" else 0o644)
        (ours / "data").mkdir()
        image.add_layer(_files(ours), MODES)
    image.finish(f"postbearer:{version}", architecture, _settings(version))
    return built


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for path in root.rglob("*"):
        if path.name != "__pycache__" and path.parent.name != "__pycache__":
            yield str(path.relative_to(root)), path


def _settings(version: str) -> dict[str, object]:
    return {
        "User": "10001:0",
        "Entrypoint": ["/usr/lib/postbearer/bin/container"],
        "Cmd": ["serve"],
        "Env": [
            "PATH=/usr/bin",
            "HOME=/data",
            "POSTBEARER_STATE=/data/state",
            "LANG=C.UTF-8",
            "PYTHONDONTWRITEBYTECODE=1",
        ],
        "WorkingDir": "/data",  # no Volumes: Docker would make one that goes with the container (--rm)
        "ExposedPorts": {"2525/tcp": {}, "2580/tcp": {}, "2581/tcp": {}},
        "StopSignal": "SIGTERM",
        "Healthcheck": {  # Docker's own; Podman reads it with --format docker
            "Test": ["CMD", "/usr/bin/postbearer", "status", "--relay-only"],
            "Interval": 30 * SECOND,
            "Timeout": 10 * SECOND,
            "StartPeriod": 30 * SECOND,
            "Retries": 3,
        },
        "Labels": {
            "org.opencontainers.image.title": "postbearer",
            "org.opencontainers.image.description": "Mail relay for servers that accept OAuth 2.0 only",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.source": SOURCE,
        },
    }

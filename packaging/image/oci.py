"""An image as the Open Container Initiative has it (image-spec 1.1), and as `docker load` reads it, too."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TYPE = "application/vnd.oci.image"


class ImageWriter:
    """Writes the archive at `path`. All times in it are `epoch`, in seconds since 1970."""

    def __init__(self, path: Path, epoch: int) -> None:
        self._file = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `finish`
        self._epoch = epoch
        self._layers: list[dict[str, Any]] = []
        self._uncompressed: list[str] = []

    def add_layer(self, files: Iterable[tuple[str, Path]], modes: Mapping[str, int]) -> None:
        """Files and folders by their names in the image; root's all, and as its `modes` say where they do."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, path in sorted(files):
                archive.add(path, name, recursive=False, filter=lambda info: self._plain(info, modes))
        content = layer.getvalue()
        packed = gzip.compress(content, 6, mtime=0)
        self._uncompressed.append(f"sha256:{hashlib.sha256(content).hexdigest()}")
        self._layers.append(self._blob(packed, f"{_TYPE}.layer.v1.tar+gzip"))

    def finish(self, name: str, architecture: str, settings: Mapping[str, Any]) -> None:
        """Write what is said of the layers."""
        created = datetime.fromtimestamp(self._epoch, UTC).isoformat().replace("+00:00", "Z")
        config = {
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": self._uncompressed},
            "history": [{"created": created, "created_by": "./dev package"} for _ in self._layers],
        }
        described = self._blob(_json(config), f"{_TYPE}.config.v1+json")
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": described,
            "layers": self._layers,
            "annotations": settings["Labels"],
        }
        entry = self._blob(_json(manifest), f"{_TYPE}.manifest.v1+json")
        entry["platform"] = {"architecture": architecture, "os": "linux"}
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        index = {"schemaVersion": 2, "mediaType": f"{_TYPE}.index.v1+json", "manifests": [entry]}
        self._write("index.json", _json(index))
        self._write("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        older = [
            {
                "Config": _place(described),
                "RepoTags": [name],
                "Layers": [_place(each) for each in self._layers],
            }
        ]
        self._write("manifest.json", _json(older))  # read by Docker before 25
        self._file.close()

    def _blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        described = {"mediaType": media_type, "digest": digest, "size": len(content)}
        self._write(_place(described), content)
        return described

    def _write(self, name: str, content: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(content), self._epoch, 0o644
        self._file.addfile(info, io.BytesIO(content))

    def _plain(self, info: tarfile.TarInfo, modes: Mapping[str, int]) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = self._epoch
        runs = info.isdir() or info.mode & 0o100
        info.mode = modes.get(info.name, 0o777 if info.issym() else 0o755 if runs else 0o644)
        return info


def _place(described: Mapping[str, Any]) -> str:
    return f"blobs/{described['digest'].replace(':', '/')}"


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

"""Archives made byte by byte, for tests of the archive layer."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

MANIFEST = {
    "createdOn": "01/01/2026 00:00:00",
    "runtime": "python",
    "model": {"modelName": "m", "handler": "h.py", "modelVersion": "1.0"},
    "archiverVersion": "0.12.0",
}


def zip_bytes(members, method=zipfile.ZIP_DEFLATED):
    """A zip file; ``members`` are pairs of name (or ZipInfo) and contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return out.getvalue()


def tar_bytes(members, mode="w:gz"):
    """A tar; ``members`` are pairs of name (or TarInfo) and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as packed:
        for member, content in members:
            entry = tarfile.TarInfo(member) if isinstance(member, str) else member
            if content is not None:
                entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content or b""))
    return out.getvalue()


def model_zip(manifest=MANIFEST, **files):
    """A model archive; a manifest that is text is written as it is, None leaves it out."""
    members = [(name.replace("__", "."), text) for name, text in files.items()]
    if manifest is not None:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        members.append(("MAR-INF/MANIFEST.json", text))
    return zip_bytes(members)


def tree(folder: Path) -> list[str]:
    """Everything below ``folder``, links not followed."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

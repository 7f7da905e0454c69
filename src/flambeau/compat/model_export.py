"""The classes that tools written against the Python package of the model archiver call.

Re-exported by ``model_archiver`` alone; a thin face of the packing modules. Nothing of flambeau uses it.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.archive.manifest import MAR_INF, RuntimeType
from flambeau.archive.mar import (
    ARCHIVER_VERSION,
    ModelArchiverConfig,
    archive_path,
    collect,
    created_on,
    manifest_text,
    model_entry,
    write,
)
from flambeau.archive.packing import Contents, PackingError, check_folder, check_free, check_name
from flambeau.compat.export import Export, copy_out, each, wanted

if TYPE_CHECKING:
    import zipfile


class Model:
    """The ``model`` object of a manifest, built by hand."""

    def __init__(  # noqa: PLR0917 -- signature of the old package
        self,
        model_name: str,
        serialized_file: str | None,
        handler: str,
        model_file: str | None = None,
        model_version: str | None = None,
        extensions: object = None,
        requirements_file: str | None = None,
        config_file: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.serialized_file = serialized_file and Path(serialized_file).name
        self.handler = Path(handler).name
        self.model_file = model_file
        self.model_version = model_version
        self.extensions = extensions
        self.requirements_file = requirements_file
        self.config_file = config_file and Path(config_file).name
        entry = model_entry(
            ModelArchiverConfig(
                model_name=model_name,
                handler=handler,
                version=model_version or "",
                serialized_file=serialized_file,
                model_file=model_file,
                requirements_file=requirements_file,
                config_file=config_file,
            )
        )
        self.model_dict = entry | ({"extensions": extensions} if extensions else {})

    def __to_dict__(self) -> dict[str, Any]:
        return self.model_dict

    def __str__(self) -> str:
        return json.dumps(self.model_dict)

    __repr__ = __str__


class Manifest:
    """MANIFEST.json of a model archive, built by hand."""

    def __init__(self, runtime: str, model: Model) -> None:
        self.creation_time = created_on()
        self.runtime = RuntimeType(runtime)
        self.model = model
        self.archiver_version = ARCHIVER_VERSION
        self.manifest_dict = {
            "createdOn": self.creation_time,
            "runtime": self.runtime.value,
            "model": model.model_dict,
            "archiverVersion": self.archiver_version,
        }

    def __to_dict__(self) -> dict[str, Any]:
        return self.manifest_dict

    def __str__(self) -> str:
        return json.dumps(self.manifest_dict, indent=2)

    __repr__ = __str__


class ModelExport(Export):
    """``ModelExportUtils`` of the old package."""

    @staticmethod
    def get_archive_export_path(export_file_path: str, model_name: str, archive_format: str) -> str:
        """Where the archive goes."""
        return str(archive_path(export_file_path, model_name, archive_format))

    @staticmethod
    def check_mar_already_exists(
        model_name: str,
        export_file_path: str | None,
        overwrite: bool,  # noqa: FBT001 -- signature of the old package
        archive_format: str = "default",
    ) -> str:
        """The folder to write to. Raises PackingError when the archive is there already."""
        folder = export_file_path or os.getcwd()  # noqa: PTH109 -- a text, as before
        check_free(archive_path(folder, model_name, archive_format), force=overwrite)
        return folder

    @staticmethod
    def find_unique(files: list[str], suffix: str) -> str | None:
        """The one file with that suffix, or None. Raises PackingError when there are more."""
        found = [file for file in files if file.endswith(suffix)]
        if len(found) > 1:
            raise PackingError(f"there is more than one {suffix} file: {', '.join(found)}")
        return found[0] if found else None

    @staticmethod
    def generate_model(modelcfg: ModelArchiverConfig) -> Model:
        """The ``model`` object of the manifest."""
        return Model(
            model_name=modelcfg.model_name,
            serialized_file=modelcfg.serialized_file,
            handler=modelcfg.handler,
            model_file=modelcfg.model_file,
            model_version=modelcfg.version,
            requirements_file=modelcfg.requirements_file,
            config_file=modelcfg.config_file,
        )

    @staticmethod
    def generate_manifest_json(config: ModelArchiverConfig) -> str:
        """MANIFEST.json for ``config``."""
        return manifest_text(config)

    @staticmethod
    def copy_artifacts(model_name: str, runtime: str, **kwargs: str | None) -> str:
        """A new temporary folder, called like the model, with copies of the files named."""
        folder = Path(tempfile.mkdtemp(), model_name)
        config = ModelArchiverConfig(
            model_name=model_name,
            handler=kwargs.get("handler") or "base_handler",
            version="",
            serialized_file=kwargs.get("serialized_file"),
            model_file=kwargs.get("model_file"),
            extra_files=kwargs.get("extra_files"),
            runtime=runtime,
            requirements_file=kwargs.get("requirements-file"),
            config_file=kwargs.get("config_file"),
        )
        copy_out(collect(config, folder), folder)
        return str(folder)

    @staticmethod
    def archive(
        export_file: str,
        model_name: str,
        model_path: str,
        manifest: str,
        archive_format: str = "default",
    ) -> None:
        """Pack the folder ``model_path``."""
        target = archive_path(export_file, model_name, archive_format)
        contents = Contents(MAR_INF, leave_out=target)
        contents.add_extra(model_path)
        write(target, contents, manifest, (archive_format, model_name))

    @staticmethod
    def archive_dir(
        path: str,
        dst: zipfile.ZipFile | tarfile.TarFile | str,
        archive_format: str,  # noqa: ARG004 -- signature of the old package; ``dst`` says it
        model_name: str,
    ) -> None:
        """Add the files below ``path`` to an open archive, or copy them to a folder."""
        contents = Contents(MAR_INF, leave_out=Path(os.devnull))
        contents.add_extra(path)
        if isinstance(dst, str):
            copy_out(contents, Path(dst))
        elif isinstance(dst, tarfile.TarFile):
            each(contents, lambda file, name: dst.add(file, f"{model_name}/{name}"))
        else:
            each(contents, dst.write)

    @staticmethod
    def file_filter(current_file: str, files_to_exclude: set[str]) -> bool:
        """True when a file of that name belongs into an archive."""
        return wanted(current_file, files_to_exclude, ".mar")

    @staticmethod
    def check_model_name_regex_or_exit(model_name: str) -> None:
        """Raise PackingError unless the name is allowed."""
        check_name("Model", model_name)

    @staticmethod
    def validate_inputs(model_name: str, export_path: str) -> None:
        """Raise PackingError unless name and folder can be used."""
        check_name("Model", model_name)
        check_folder(export_path)

"""Finding an adapter: a local folder, or a Hugging Face id."""

from __future__ import annotations

from pathlib import Path

from loma_memory.adapter.settings import SETTINGS_FILE
from loma_memory.errors import AdapterError


def locate(name: str | Path) -> Path:
    """The local folder of an adapter; a hub id is downloaded.

    Raises:
        AdapterError: there is none.
    """
    folder = Path(name)
    if (folder / SETTINGS_FILE).is_file():
        return folder
    if folder.exists():
        raise AdapterError(f"no memory adapter at {folder}: {SETTINGS_FILE} is missing")
    if str(name).count("/") != 1 or str(name).startswith((".", "/")):
        raise AdapterError(f"no memory adapter at {name}: no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AdapterError(f"no memory adapter {name!r}, here or on the hub: {reason}") from None

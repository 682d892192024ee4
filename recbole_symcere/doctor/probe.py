"""What needs torch, in a process of its own, so that the doctor outlives what kills it.

    python -m recbole_symcere.doctor.probe FOLDER ENCODER SELF_TEST

Writes to FOLDER/told.json after each step: what is being done, and what was found so far.
"""

import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from recbole_symcere.doctor.findings import Finding, found, note, trouble

__all__ = ["TOLD", "main"]

TOLD = "told.json"
_DRIVER = Path("/proc/driver/nvidia/version")


def main(folder: str, encoder: str, self_test: str) -> None:
    """Look at torch, BLAS, RecBole and the encoder, then run the self-test if it is wanted."""
    warnings.simplefilter("ignore")  # of other packages; nothing that a user could mend
    steps: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("devices", look_at_devices),
        ("BLAS", look_at_blas),
        ("RecBole", look_at_recbole),
        ("encoder", lambda: look_at_encoder(encoder)),
    ]
    if self_test == "True":
        steps.append(("self-test", lambda: look_at_self_test(Path(folder), encoder)))
    findings: list[Finding] = []
    for about, look in steps:
        _tell(folder, about, findings)
        try:
            findings += look()
        except Exception as error:  # noqa: BLE001 # each step is told, whatever it ends in
            findings.append(trouble(about, one_line(error)))
    _tell(folder, "", findings)


def _tell(folder: str, doing: str, findings: list[Finding]) -> None:
    told = json.dumps({"doing": doing, "findings": findings})
    aside = Path(folder, f"{TOLD}.new")
    aside.write_text(told, encoding="utf-8")
    aside.replace(Path(folder, TOLD))


def one_line(error: BaseException) -> str:
    """Kind and last line of an error; a message of several lines ends with what matters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def look_at_devices() -> list[Finding]:
    """GPUs with memory and bfloat16, Apple's, torch's threads."""
    import torch

    threads = f"torch has {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    if torch.cuda.is_available():
        gpus = [_gpu(n) for n in range(torch.cuda.device_count())]
        return [found("devices", f"{'; '.join(gpus)}; {threads}")]
    if torch.backends.mps.is_available():
        return [found("devices", f"MPS (Apple), which RecBole doesn't use; {threads}")]
    if not _DRIVER.is_file():
        return [found("devices", f"no GPU; {threads}")]
    if torch.version.cuda is None:
        said, remedy = "torch is a build for CPUs", "install the build for your CUDA"
    else:
        said = f"torch, built for CUDA {torch.version.cuda}, sees none"
        remedy = "compare that with nvidia-smi's CUDA version; see that CUDA_VISIBLE_DEVICES fits"
    return [note("devices", f"this machine has an NVIDIA GPU, but {said}; {threads}", remedy)]


def _gpu(n: int) -> str:
    import torch

    of = torch.cuda.get_device_properties(n)
    with torch.cuda.device(n):
        free, whole = torch.cuda.mem_get_info()
        bfloat16 = "" if torch.cuda.is_bf16_supported(including_emulation=False) else "no "
    return f"{of.name}, {whole / 1e9:.0f} GB ({free / 1e9:.0f} GB free), {bfloat16}bfloat16"


def look_at_blas() -> list[Finding]:
    """Who multiplies matrices for NumPy and torch."""
    import numpy as np
    import torch

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    told = torch.__config__.show()
    kind = re.search(r"BLAS_INFO=(\w+)", told)
    version = re.search(r"(?:Math Kernel Library|oneAPI MKL) Version (\S+)", told)
    of_torch = " ".join(x[1] for x in (kind, version) if x) or "unknown"
    return [found("BLAS", f"NumPy {blas['name']} {blas['version']}; torch {of_torch}")]


def look_at_recbole() -> list[Finding]:
    """Whether RecBole can be imported, as we change it."""
    from recbole_symcere.plugin.in_force import not_in_force
    from recbole_symcere.plugin.register import registered

    missing = not_in_force()
    if missing:
        return [
            trouble(
                "RecBole",
                f"it is imported, but not in force: {', '.join(missing)}",
                "import recbole_symcere before anything of RecBole's, and don't reload it",
            )
        ]
    return [found("RecBole", f"it is imported, our {len(registered())} changes in force")]


def look_at_encoder(encoder: str) -> list[Finding]:
    """Whether a text encoder is here; nothing is downloaded."""
    from recbole_symcere.text.source import NoEncoderError, resolve_folder

    try:
        folder = resolve_folder(encoder, download=False)
    except NoEncoderError as error:
        return [trouble("encoder", f"{encoder} isn't there", str(error))]
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return [found("encoder", f"{encoder}, weights of {size / 1e6:,.0f} MB")]


def look_at_self_test(folder: Path, encoder: str) -> list[Finding]:
    """A small run from reviews to lists."""
    from recbole_symcere.doctor.self_test import run_self_test

    started = time.perf_counter()
    said = run_self_test(folder, encoder)
    return [found("self-test", f"{said}; {time.perf_counter() - started:.0f} s")]


if __name__ == "__main__":
    main(*sys.argv[1:])

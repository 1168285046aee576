"""Which machine, software and commit figures were made on."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.processes import PROJECT


def describe() -> dict[str, object]:
    """Return the machine's processor, cores, memory, system, Python and load, and the date."""
    facts = _pairs(Path("/proc/cpuinfo"))
    memory = _pairs(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0]
    flags = set(facts.get("flags", "").split())
    return {
        "processor": facts.get("model name", platform.processor() or platform.machine()),
        "instructions": [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16") if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory) / 1024**2, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _pairs(path: Path) -> dict[str, str]:
    """Return the first value of each name in a file of ``name: value`` lines, nothing where the system has no such file."""
    found: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found


def commit() -> str:
    """Return the commit checked out, marked where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"

"""Where a run was trained, and with what, for its page."""

from __future__ import annotations

import shlex

from nnscratch.runs.meta import Meta


def environment_of(meta: Meta) -> dict[str, str]:
    """Where and with what a run was trained, as far as it says."""
    there, data = meta.machine, meta.dataset
    pairs = {
        "Command": shlex.join(meta.command),
        "Seed": meta.seed,
        "Data": data.origin,
        "Data, SHA-256": data.digest,
        "Processor": there.cpu,
        "Cores": there.cores,
        "Threads": there.threads,
        "BLAS and kernel": there.kernel,
        "NumPy": there.numpy,
        "Python": there.python,
        "nnscratch": there.nnscratch,
        "Git commit": there.git_commit,
        "Platform": there.platform,
    }
    return {name: str(value) for name, value in pairs.items() if value not in (None, "")}

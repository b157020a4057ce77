"""A model card written from what a run knows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_card(
    path: Path,
    *,
    name: str,
    files: Sequence[Path],
    config: Mapping[str, Any],
    facts: Mapping[str, object],
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Write a card in Markdown: files with hashes, facts of the run, measures, configuration.

    Args:
        path: the card.
        name: of the network.
        files: the exported ONNX files.
        config: of the run.
        facts: what it did.
        metrics: what was measured; None: nothing was.
    """
    lines = [f"# {name}", "", "| File | Bytes | SHA-256 |", "|---|---|---|"]
    for file in files:
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        lines.append(f"| `{file.name}` | {len(content):,} | `{digest}` |")
    lines += [
        "",
        "| Run | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in facts.items()),
    ]
    lines += ["", "| Measured | |", "|---|---|"]
    lines += [f"| {key} | {value:.4g} |" for key, value in (metrics or {}).items()] or [
        "| nothing | run the `benchmarks/` of its kind with these files |"
    ]
    lines += ["", "```json", json.dumps(config, indent=1), "```", ""]
    path.write_text("\n".join(lines), encoding="utf-8")

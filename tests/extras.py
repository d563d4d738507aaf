"""Install the package, and each of its extras, alone in a clean environment, and use it.

    python tests/extras.py [NAME...]

With uv on the path it takes minutes, with pip half an hour. Exit status 1 if one cannot be used.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTHING = "nothing"  # the package without extras
# What each is there for, in a line that fails without it.
USED_BY = {
    NOTHING: "from orderdp_theory import Design, inclusion_probabilities as g; g(Design(9, 5, 3))",
    "train": "from orderdp_train.cli.app import commands; commands()",
    "mnist": "from orderdp_train import load_data; load_data('mnist5k')",
    "elpv": "from orderdp_train import load_data; load_data('elpv')",
    "accelerate": "from orderdp_train.integrations.accelerate import prepare",
    "transformers": "from orderdp_train.integrations.transformers import SelectiveTrainer",
    "lightning": "from orderdp_train.integrations.lightning import SelectionCallback",
    "lora": "import peft; from orderdp_train.integrations.transformers import SelectiveTrainer",
    "torchdata": "import torchdata.stateful_dataloader, orderdp_train",
    "cluster": "import ray, orderdp_train",
    "notebooks": "import nbclient, ipywidgets; from orderdp_theory import figures",
    "docs": "import sphinx, furo, myst_nb; import orderdp_theory",
    "dev": "import pytest, hypothesis, beartype, twine, build; import orderdp_train",
}


def usable(extra: str, folder: Path) -> bool:
    source = str(ROOT) if extra == NOTHING else f"{ROOT}[{extra}]"
    python = folder / "bin" / "python"
    if shutil.which("uv"):
        commands = [
            ["uv", "venv", "--quiet", "--python", sys.executable, str(folder)],
            ["uv", "pip", "install", "--quiet", "--python", str(python), source],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", source],
        ]
    commands += [[str(python), "-c", USED_BY[extra]]]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return all(subprocess.run(c, cwd=folder.parent, env=clean).returncode == 0 for c in commands)


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {NOTHING, *project["optional-dependencies"]}
    if declared != set(USED_BY):
        sys.exit(f"error: no use is stated for {', '.join(declared ^ set(USED_BY))}")
    failed = []
    for extra in sys.argv[1:] or USED_BY:
        with tempfile.TemporaryDirectory() as folder:
            works = usable(extra, Path(folder) / "venv")
        print(f"{extra}: {'works' if works else 'FAILS'}", flush=True)
        failed += [] if works else [extra]
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

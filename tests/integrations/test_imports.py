"""A framework is imported by its own module only, and only when that is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = ("masked_autoencoder.py",)  # which transformers builds
FRAMEWORKS = {"accelerate", "transformers", "lightning", "peft", "torchdata"}


def test_the_package_imports_no_framework():
    code = (
        "import sys; sys.modules.update(dict.fromkeys("
        f"{sorted(FRAMEWORKS)!r})); import orderdp_train, orderdp_train.cli, "
        "orderdp_train.integrations, orderdp_train.training.loop"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_only_its_own_module_names_a_framework():
    for path in (ROOT / "orderdp_train").rglob("*.py"):
        named = {
            word
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.lstrip().startswith(("import ", "from "))
            for word in [line.split()[1].split(".")[0]]
            if word in FRAMEWORKS
        }
        assert not named or path.parent.name == "integrations" or path.name in MODELS, path

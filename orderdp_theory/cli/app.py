"""The command line `orderdp-theory`: one module a command."""

from importlib import import_module

from orderdp_theory.common.command import examples, new_app, run

COMMANDS = ("weights", "verify", "prove", "figures", "bound", "choose", "poster")

app = new_app(
    "orderdp-theory",
    "Exact theory of OrderDP: inclusion probabilities, claims, proofs, bounds and figures.",
)
for _name in COMMANDS:
    _module = import_module(f"orderdp_theory.cli.{_name}")
    app.command(_name, epilog=examples(_module.EXAMPLES))(getattr(_module, _name))


def main() -> None:
    """Entry point of the console script."""
    run(app)

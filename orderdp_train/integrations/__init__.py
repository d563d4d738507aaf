"""Selection rules inside other people's trainers: one module a framework, imported only by name.

Nothing here is imported by the rest of the package, and each module needs the extra of its name.
"""

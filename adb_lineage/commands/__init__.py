"""The commands of `adb-lineage`, a module each.

A command module has `NAME`, `HELP`, `configure(parser)` and `run(arguments) -> int` (the exit status). It prints its
result on stdout and anything else on stderr, and lets `AdbLineageError` pass: the dispatcher prints it as one line.
"""

"""`python -m adb_lineage` is `adb-lineage`."""
import sys

from adb_lineage.cli import main

sys.exit(main())

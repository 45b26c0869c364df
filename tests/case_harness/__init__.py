"""Cases as data: YAML files under tests/cases, run on real Spark in a process of their own. See cases/README.md."""

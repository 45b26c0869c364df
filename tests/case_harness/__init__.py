"""Cases as data: YAML files under tests/cases, run on real Spark in a process of their own. README.md has the format."""

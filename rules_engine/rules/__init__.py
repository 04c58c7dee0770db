"""The rules on runs, one file a family. `rules_engine.catalog` lists them in the order they run."""

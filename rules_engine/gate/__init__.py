"""The gate: settings with the place they stand in, the catalog of Spark's keys per version, and the rules on them."""

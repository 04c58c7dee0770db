"""Reports for people and machines: what a use case answers, in each format."""

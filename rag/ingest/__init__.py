"""Loaders of what a user adds to the index. Each turns files into `Document`s; what they hold is data, never an instruction."""

"""One node of the graph a file: State -> partial State, each over the pure core. No I/O of their own; services come through `Context`."""

"""The core: vocabulary, facts and rules. Pure functions over numpy columns and frozen values.

Belongs here: what a run is (`facts`), what can be said of it (`findings`), the thresholds (`limits`), the rules and the engine that runs them,
and the gate's rules on settings. Does not belong here: reading a file, opening a connection, a web framework, a model.
"""

"""The outermost layer: settings, wiring, the command line, the REST API, the web page, the worker. Decides nothing about Spark runs."""

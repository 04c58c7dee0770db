"""The REST API, one file a noun. Errors are RFC 9457 problem documents."""

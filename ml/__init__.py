"""Numbers from models: the replay simulator, the runtime predictor, prices. No I/O besides its own data files."""

"""Conversations about runs: tools over analysed runs, answers with and without a model, threads that are kept."""

"""One script a figure. Each prints its baseline beside ours and writes results/*.json."""

"""Knowledge: our topic cards, the index and the search over them, and the words around findings. Adds no number to a report."""

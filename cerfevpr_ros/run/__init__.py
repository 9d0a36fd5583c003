"""`make run`: the whole line with real nodes, from images to a report."""

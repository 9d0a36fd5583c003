"""Where images come from: folders, bags and the drawn route."""

"""A user's own module that happens to have the name of ours."""

MINE = True

"""One program for each kind of stage; they know nothing of each other."""

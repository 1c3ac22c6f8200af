"""The log store: every app's lines in one stream that outlives its processes."""

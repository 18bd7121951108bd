"""Pictures, tables and the HTML page of a run, made from plain arrays and mappings."""

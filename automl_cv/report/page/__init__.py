"""The report as one HTML page: sections in a table, their plots, and the templates around them."""

"""From the figure to a file: DOT, SVG, PNG, PDF, by Graphviz or the built-in layout."""

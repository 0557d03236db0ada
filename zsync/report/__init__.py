"""How plans and results are shown: text, HTML, progress."""

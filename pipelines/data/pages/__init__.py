"""What the HTML reports have in common: their frame, their style, and the pieces that they are made of."""

MINIMA = {}

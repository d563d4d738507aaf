"""The colours of every figure."""

# Okabe and Ito's palette, told apart with every common form of colour blindness; the yellow is too
# light for lines on white and is left out.
BLACK, GREY = "#1a1a1a", "#767676"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
PINK, SKY, AMBER = "#cc79a7", "#56b4e9", "#e69f00"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, AMBER, BLACK)

# Tol's muted palette, for what else needs a colour of its own.
INDIGO, WINE, OLIVE = "#332288", "#882255", "#999933"
TEAL, PURPLE, FOREST, ROSE = "#44aa99", "#aa4499", "#117733", "#cc6677"

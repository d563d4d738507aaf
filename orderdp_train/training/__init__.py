"""Training: the recipe, the loop, the sampler for other loops, several processes."""

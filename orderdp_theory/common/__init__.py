"""What theory and training both need: files, errors of commands, the look of figures."""

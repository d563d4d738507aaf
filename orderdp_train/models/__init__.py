"""Models by name: convolutional ones, transformers for images and for text, masked autoencoders."""

from orderdp_train.models.by_name import GPT, SmallCNN, build_model, head_of, model_for
from orderdp_train.models.masked_autoencoder import MaskedAutoencoder, load_encoder

__all__ = [
    "GPT",
    "MaskedAutoencoder",
    "SmallCNN",
    "build_model",
    "head_of",
    "load_encoder",
    "model_for",
]

"""Names of Meta's for parameters that transformers names otherwise."""

_PAIRS = (
    ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    (".point_embed.", ".point_embeddings."),
    ("mask_embed.conv1.", "mask_downscaling.0."),
    ("mask_embed.layer_norm1.", "mask_downscaling.1."),
    ("mask_embed.conv2.", "mask_downscaling.3."),
    ("mask_embed.layer_norm2.", "mask_downscaling.4."),
    ("mask_embed.conv3.", "mask_downscaling.6."),
    ("upscale_conv1.", "output_upscaling.0."),
    ("upscale_layer_norm.", "output_upscaling.1."),
    ("upscale_conv2.", "output_upscaling.3."),
    (".layer_norm", ".norm"),
)


def metas_name(name):
    """Return Meta's name for a parameter of a prompt encoder or mask decoder."""
    if "_mlps." in name or "_head." in name:
        begin, _, end = name.rpartition(".layers.0.")
        name = f"{begin}.layers.1.{end}" if begin else name
        name = name.replace(".proj_in.", ".layers.0.").replace(".proj_out.", ".layers.2.")
    for theirs, metas in _PAIRS:
        name = name.replace(theirs, metas)
    return name

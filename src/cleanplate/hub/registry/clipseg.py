"""Open-vocabulary segmenters, prompted by a phrase."""

from cleanplate.hub.registry.entry import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Checkpoint,
    Licence,
    Model,
    ModelFile,
    Preprocessing,
)

# Files of this commit of the publisher's repository.
_FILES = (
    "https://huggingface.co/CIDAS/clipseg-rd64-refined/resolve/"
    "999e0328d9e10b484360c477313983f9afdd7050/"
)

ENTRIES = (
    Model(
        name="clipseg_rd64.phrasecut",
        kind="segmenter",
        family="clipseg",
        files=(
            ModelFile(role="text", filename="clipseg_rd64_text.onnx"),
            ModelFile(role="segment", filename="clipseg_rd64_segment.onnx"),
            ModelFile(role="merges", filename="clipseg_rd64_merges.txt"),
        ),
        checkpoints=(
            Checkpoint(
                filename="clipseg_rd64_refined.safetensors",
                url=f"{_FILES}model.safetensors",
                size_bytes=603_049_496,
                checksum="sha256:d00ca85d6b859f9d07b7cfb8ef26fe9771cb275b34c9368f2ecf603139307f55",
            ),
            Checkpoint(
                filename="clipseg_rd64_refined_merges.txt",
                url=f"{_FILES}merges.txt",
                size_bytes=524_619,
                checksum="sha256:9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a",
            ),
        ),
        converter="clipseg",
        pages=("https://huggingface.co/CIDAS/clipseg-rd64-refined",),
        labels=(),
        preprocessing=Preprocessing(size_hw=(352, 352), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        licence=Licence(
            spdx="Apache-2.0",
            commercial="unclear",
            note="tagged Apache-2.0 where the weights are published (CIDAS on Hugging Face); the "
            "authors' repository excludes the weights from its MIT licence and states no other",
        ),
        source="CLIPSeg, Lüddecke and Ecker 2022, arXiv:2112.10003; encoders CLIP ViT-B/16, "
        "Radford et al. 2021, arXiv:2103.00020; weights published by CIDAS",
        recipe="trained by the authors: a decoder of 64 channels with refining convolutions on "
        "frozen CLIP encoders, 352 px squares, phrases of PhraseCut",
        training_photos="PhraseCut on Visual Genome, photos from Flickr under mixed terms; CLIP's "
        "encoders: 400 million images from the web of unstated terms",
        contract="text: ids (N, L) int64, L up to 77, byte pairs between start 49406 and end 49407;"
        " returns embeddings (N, 512). segment: pixels (1, 3, 352, 352) float32, RGB scaled "
        "whatever its aspect, ImageNet mean and deviation, and embeddings (N, 512); returns logits "
        "(N, 352, 352), to be put through a sigmoid. merges: text, one joined pair a line",
        choose="objects in no list of classes, described in English: 'red car', 'graffiti'; masks "
        "are coarse (352 px for the full photo), small objects are missed, it neither counts nor "
        "negates, and touching objects are one object",
    ),
)

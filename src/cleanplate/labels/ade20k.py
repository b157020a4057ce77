"""The 150 classes of the ADE20K scene parsing benchmark.

Source: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017; the benchmark's
`objectInfo150.txt`, of whose several names for a class the first is the label here.
"""

ADE20K_LABELS = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain",
    "chair", "car", "water", "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field",
    "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp", "bathtub", "railing",
    "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
    "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case",
    "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind",
    "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus",
    "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth",
    "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister",
    "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain",
    "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool", "barrel", "basket",
    "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
    "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen",
    "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan",
    "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass",
    "clock", "flag",
)  # fmt: skip
"""In their published order; id = position + 1, 0 is what was not labelled."""

ADE20K_STUFF = frozenset(
    (
        "wall", "building", "sky", "floor", "tree", "ceiling", "road", "windowpane", "grass",
        "sidewalk", "earth", "door", "mountain", "plant", "curtain", "water", "house", "sea", "rug",
        "field", "fence", "rock", "railing", "base", "column", "counter", "sand", "skyscraper",
        "fireplace", "grandstand", "path", "stairs", "runway", "screen door", "stairway", "river",
        "bridge", "blind", "hill", "countertop", "kitchen island", "hovel", "tower", "awning",
        "dirt track", "land", "bannister", "escalator", "stage", "canopy", "swimming pool",
        "waterfall", "step", "lake", "hood", "pier",
    )
)  # fmt: skip
"""Labels that are the scene rather than objects in it: ground, water, sky, plants that cover, and
what is built or fixed in a building. Removing all of these would leave no photo."""

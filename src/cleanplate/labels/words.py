"""Everyday words by what they mean, across the label sets."""

GROUPS = tuple(
    tuple(word.strip() for word in group.split(","))
    for group in (
        # The first words are the names that label sets use; plurals are listed where they are
        # irregular, regular ones are found by `resolve_labels`.
        "aeroplane, airplane, plane, aircraft, jet, airliner",
        "bicycle, bike, cycle, pushbike",
        "bird, pigeon, seagull, gull, duck, goose, geese",
        "boat, ship, sailboat, yacht, vessel, dinghy, canoe, kayak, ferry",
        "bus, coach, minibus",
        "car, automobile, auto, van, taxi, cab, suv",
        "truck, lorry, lorries, pickup",
        "cat, kitten, kitty",
        "chair, armchair, stool, seat",
        "cow, cattle, bull, calf, calves, ox, oxen",
        "diningtable, dining table, table, desk",
        "dog, puppy, puppies, pup, hound",
        "horse, pony, ponies, foal",
        "motorbike, motorcycle, minibike, scooter, moped",
        "person, people, human, pedestrian, man, men, woman, women, child, children, kid, boy, "
        "girl, baby, babies, guy, lady, ladies, tourist, passerby, passersby, crowd",
        "pottedplant, potted plant, plant, houseplant, flowerpot",
        "sheep, lamb, ram, ewe",
        "sofa, couch, couches, settee",
        "train, locomotive, tram",
        "tvmonitor, tv, television, television receiver, telly, monitor, screen, display",
        "cell phone, phone, mobile, smartphone, cellphone",
        "traffic light, traffic signal, stoplight",
        "donut, doughnut",
        "hair drier, hair dryer, hairdryer",
        "refrigerator, fridge",
        "handbag, purse",
        "sports ball, ball, football",
        "signboard, sign, billboard, poster",
        "streetlight, street lamp, lamppost",
        "ashcan, trash can, garbage can, bin, dustbin, wastebin, rubbish bin",
    )
)
"""Words that mean the same or a kind of it, each in one group only."""

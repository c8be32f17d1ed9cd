"""Names in earlier records, model files and settings, and what they are called now: what was written stays readable."""

ALGORITHMS = {
    "alternate_teachers": "admt",
    "copy_paste": "bcp",
    "cross_consistency": "cct",
    "cross_pseudo": "cps",
    "dropout_twice": "rdrop",
    "dual_task": "dtc",
    "entropy_minimum": "entropy",
    "interpolation": "ict",
    "mutual_decoders": "mcnet",
    "pyramid": "urpc",
    "virtual_adversarial": "vat",
    "weak_to_strong": "fixmatch",
}

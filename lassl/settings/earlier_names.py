"""Earlier names -> present names, so that older records, model files and settings stay readable."""

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

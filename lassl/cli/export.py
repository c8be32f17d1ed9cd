"""`lassl export`: writes one file with a trained model and everything that prediction needs."""

import argparse

from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import check_free
from lassl.predict.model_file import read_exported, write_exported
from lassl.predict.onnx_file import write_onnx
from lassl.predict.scan_files import make_folder

SUFFIXES = {"lassl": ".pt", "onnx": ".onnx"}  # other tools recognize the file by them


def run(arguments: argparse.Namespace) -> int:
    """Read the model, collect what prediction needs, write the file; returns the exit code, 0. Raises LasslError."""
    source, target, suffix = find_model(arguments.model), arguments.output, SUFFIXES[arguments.format]
    if target.suffix != suffix:
        raise LasslError(f"{target}: found the suffix '{target.suffix}', expected {suffix} for this --format")
    if target.resolve() == source.resolve():
        raise LasslError(f"{target}: this is the model itself, which would be overwritten; give another file with -o")
    check_free([target], arguments.overwrite)
    if arguments.half and arguments.format != "lassl":
        raise LasslError("--half: works only with --format lassl; leave one of the two out")
    make_folder(target.parent)
    if arguments.format == "onnx":
        write_onnx(target, read_exported(source))
    else:
        write_exported(target, read_exported(source), half=arguments.half)
    print(target)
    return 0

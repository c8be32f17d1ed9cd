"""A trained model -> predicted masks, scores and the record of a run."""

import json
import time
from collections.abc import Sequence

import pandas as pd
import torch
import yaml
from torch import Tensor, nn

from lassl import metrics, model, precision
from lassl.cohort import open_prepared
from lassl.config import Config, Run
from lassl.files import text_hash, whole_folder, write_text
from lassl.inference import largest_component, sliding_window, upsample
from lassl.machine import keep_memory, machine, peak_memory_mib
from lassl.pooling import pooled_image
from lassl.precision import Precision
from lassl.progress import bar
from lassl.volumes import Array, write


def evaluate(config: Config, run: Run) -> None:
    """Score a run's model on the test cases; writes masks, metrics, case scores and record. Raises LasslError."""
    prepared = open_prepared(config.data.prepared)
    trained = model.load(run.model)
    where = precision.choose(config.compute)
    networks = [where.module(n).eval() for n in trained.chosen(config.evaluate.network)]
    keep_memory()
    started = time.perf_counter()
    rows = []
    with whole_folder(run.predictions) as folder:
        for case in bar(prepared.split.test, "evaluate", "case", len(prepared.split.test)):
            mask = predict(networks, prepared.read_image(case), config, where)
            rows.append({"case": case, **vars(metrics.score(mask, prepared.read_label(case) > 0))})
            write(folder / f"{case}.nrrd", prepared.paste(case, mask))
    measured = {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mib": peak_memory_mib(where.device),
        **machine(where.device),
    }
    record = trained.record | {"evaluation": {**config.evaluate.model_dump(mode="json"), **measured}}
    write_results(run, pd.DataFrame(rows), record)


def predict(networks: Sequence[nn.Module], image: Array, config: Config, where: Precision) -> Array:
    """Segment an image (X, Y, Z): the networks' mean probability at native resolution above one half."""
    pooled = torch.from_numpy(pooled_image(image, config.patches.pool)).to(where.device)

    def foreground(network: nn.Module) -> Tensor:
        def logits(windows: Tensor) -> Tensor:
            with where.autocast():
                result: Tensor = network(where.tensor(windows))
            return result

        evaluate = config.evaluate
        return sliding_window(logits, pooled, config.patches.size, evaluate.stride, evaluate.batch)

    probability = torch.stack([foreground(n) for n in networks]).mean(0)
    mask = upsample(probability, config.patches.pool, image.shape).cpu().numpy() > 0.5
    return largest_component(mask) if config.evaluate.largest_component else mask


def write_results(run: Run, cases: pd.DataFrame, record: dict[str, object]) -> None:
    """Write the headline figures, the scores of each case and the record, each whole or not at all."""
    table = cases.to_csv(index=False, float_format="%.6f")
    headline = {k: round(v, 4) if isinstance(v, float) else v for k, v in metrics.summarize(cases).items()}
    write_text(run.metrics, json.dumps(headline, indent=2) + "\n")
    write_text(run.cases, table)
    write_text(run.record, yaml.safe_dump(record | {"cases_sha256": text_hash(table)}, sort_keys=False))

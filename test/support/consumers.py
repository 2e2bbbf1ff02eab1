"""Real readers of our exports: `python consumers.py NAME` takes JSON on stdin and writes what the reader made of it."""

import contextlib
import io
import json
import os
import sys
import tempfile


def write(path, content):
    """Writes text, or JSON, with the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content))
    return path


def coco(folder, given):
    """pycocotools: the mask of every annotation."""
    from pycocotools.coco import COCO

    data = COCO(write(f"{folder}/data.json", given["truth"]))
    return [
        {
            "image": data.imgs[one["image_id"]]["file_name"],
            "category": data.cats[one["category_id"]]["name"],
            "area": int(data.annToMask(one).sum()),
            "columns": data.annToMask(one).T.tolist(),
        }
        for one in data.loadAnns(data.getAnnIds())
    ]


def coco_eval(folder, given):
    """pycocotools: average precision of a list of results against a data set, by masks and by boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(write(f"{folder}/truth.json", given["truth"]))
    found = truth.loadRes(write(f"{folder}/found.json", given["results"]))
    scores = {}
    for kind in ("segm", "bbox"):
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        scores[kind] = evaluation.stats[0]
    return scores


def evaluate(dataset, metrics):
    """TrackEval's scores of one tracker on one data set."""
    import trackeval

    quiet = ("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES")
    settings = {**dict.fromkeys(quiet, False), "USE_PARALLEL": False, "BREAK_ON_ERROR": True, "LOG_ON_ERROR": None}
    of = trackeval.metrics
    # As the script for YouTube-VIS has it.
    track_map = {"USE_TIME_RANGES": False, "AREA_RANGES": [[0, 128**2], [128**2, 256**2], [256**2, 1e10]]}
    known = {"CLEAR": of.CLEAR, "HOTA": of.HOTA, "TrackMAP": lambda: of.TrackMAP(track_map)}
    scores, _ = trackeval.Evaluator(settings).evaluate(
        [dataset(trackeval.datasets)], [known[name]() for name in metrics]
    )
    return next(iter(scores.values()))["ours"]


def trackeval_mot(folder, given):
    """TrackEval: text of a tracker against a sequence of ground truth."""
    sequence = f"{folder}/gt/X-train/clip"
    write(f"{sequence}/gt/gt.txt", given["truth"])
    write(f"{sequence}/seqinfo.ini", given["seqinfo"])
    write(f"{folder}/results/X-train/ours/data/clip.txt", given["results"])
    write(f"{folder}/maps/X-train.txt", "name\nclip\n")
    config = {
        "GT_FOLDER": f"{folder}/gt",
        "TRACKERS_FOLDER": f"{folder}/results",
        "SEQMAP_FOLDER": f"{folder}/maps",
        "BENCHMARK": "X",
        "PRINT_CONFIG": False,
    }
    scores = evaluate(lambda datasets: datasets.MotChallenge2DBox(config), ["CLEAR", "HOTA"])["clip"]["pedestrian"]
    clear = scores["CLEAR"]
    return {
        "mota": clear["MOTA"],
        "boxes": clear["CLR_TP"] + clear["CLR_FN"],
        "hota": float(scores["HOTA"]["HOTA"].mean()),
    }


def trackeval_ytvis(folder, given):
    """TrackEval: a list of results against a data set of videos."""
    write(f"{folder}/gt/youtube_vis_train/train.json", given["truth"])
    write(f"{folder}/results/youtube_vis_train/ours/data/results.json", given["results"])
    config = {
        "GT_FOLDER": f"{folder}/gt/",
        "TRACKERS_FOLDER": f"{folder}/results/",
        "SPLIT_TO_EVAL": "train",
        "PRINT_CONFIG": False,
    }
    scores = evaluate(lambda datasets: datasets.YouTubeVIS(config), ["HOTA", "TrackMAP"])
    classes = given["truth"]["categories"]
    return {
        "sequences": [name for name in scores if name != "COMBINED_SEQ"],
        "hota": {one["name"]: float(scores["COMBINED_SEQ"][one["name"]]["HOTA"]["HOTA"].mean()) for one in classes},
        "map": {
            one["name"]: float(scores["COMBINED_SEQ"][one["name"]]["TrackMAP"]["AP_all"].mean()) for one in classes
        },
    }


def motmetrics_mot(folder, given):
    """motmetrics: both texts as its command line loads them."""
    import motmetrics
    import numpy as np

    np.asfarray = lambda values: np.asarray(values, dtype=float)  # motmetrics 1.4.0 is older than NumPy 2
    truth, found = (write(f"{folder}/{name}.txt", given[name]) for name in ("truth", "results"))
    load = motmetrics.io.loadtxt
    truth = load(truth, fmt="mot15-2D", min_confidence=1)
    pairs = motmetrics.utils.compare_to_groundtruth(truth, load(found, fmt="mot15-2D"), "iou", distth=0.5)
    summary = motmetrics.metrics.create().compute(pairs, metrics=["mota", "idf1", "num_objects"], name="clip")
    return {**summary.loc["clip"].to_dict(), "corner": truth[["X", "Y"]].iloc[0].tolist()}


def datumaro_mot(folder, given):
    """Datumaro: the boxes of a sequence of ground truth."""
    import datumaro

    write(f"{folder}/gt/gt.txt", given["truth"])
    write(f"{folder}/gt/labels.txt", given["labels"])
    write(f"{folder}/seqinfo.ini", given["seqinfo"])
    data = datumaro.Dataset.import_from(folder, "mot_seq")
    names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
    return {
        "frames": len(data),
        "size": list(next(iter(data)).media.size),
        "boxes": [
            [int(item.id), box.attributes.get("track_id"), names[box.label], box.get_bbox(), box.attributes["ignored"]]
            for item in data
            for box in item.annotations
        ],
    }


def datumaro_coco(folder, given):
    """Datumaro, and so CVAT: data sets of two days as one."""
    import datumaro

    days = []
    for day, content in enumerate(given["days"]):
        os.makedirs(f"{folder}/{day}/images")
        write(f"{folder}/{day}/annotations/instances_day{day}.json", content)
        days.append(datumaro.Dataset.import_from(f"{folder}/{day}", "coco_instances"))
    data = datumaro.Dataset.from_extractors(*days)
    names = [one.name for one in data.categories()[datumaro.AnnotationType.label]]
    return {
        "names": names,
        "items": {
            item.id: [
                [one.type.name, names[one.label], float(one.get_area()), one.attributes["score"]]
                for one in sorted(item.annotations, key=lambda one: (one.id, one.type.name))
            ]
            for item in data
        },
    }


READERS = [coco, coco_eval, trackeval_mot, trackeval_ytvis, motmetrics_mot, datumaro_mot, datumaro_coco]
reader = {one.__name__: one for one in READERS}[sys.argv[1]]
with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
    seen = reader(scratch, json.load(sys.stdin))
json.dump(seen, sys.stdout)

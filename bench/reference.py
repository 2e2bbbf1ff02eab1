"""The Python reference for the benchmark: transformers' Sam3Model with its Sam3Processor."""

import json
import sys
import time
from io import BytesIO
from pathlib import Path

from bench.protocol import STARTED, Reference, memory_mb, serve


def import_torchvision() -> None:
    """Import torchvision even where its own kernels do not fit this torch.

    The processor wants torchvision for resizing, which torch itself does. A torchvision built for CUDA beside a torch
    for the CPU fails at import only because the two operators below are then undeclared; text prompts use neither.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import_torchvision.library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            import_torchvision.library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401


class Images(Reference):
    def load(self, *, model: str, device: str, dtype: str, threads: int) -> dict:
        import_torchvision()
        import torch
        from transformers import CLIPTokenizerFast, Sam3ImageProcessor, Sam3Model, Sam3Processor
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.torch, self.device, self.dtype = torch, device, getattr(torch, dtype)
        base_mb = memory_mb("VmRSS")
        imported = time.perf_counter()
        side = json.loads((Path(model) / "config.json").read_text())["detector_config"]["vision_config"]
        side = side["backbone_config"]["image_size"]
        self.processor = Sam3Processor(
            Sam3ImageProcessor(size={"height": side, "width": side}),
            CLIPTokenizerFast(tokenizer_file=str(Path(model) / "tokenizer.json"), model_max_length=32),
            target_size=side,
        )
        self.model = Sam3Model.from_pretrained(model, dtype=self.dtype).to(device).eval()
        self.synchronize()
        ready = time.perf_counter()
        return {"ms": (ready - imported) * 1e3, "startToReadyMs": (ready - STARTED) * 1e3, "baseMb": base_mb}

    def segment(self, *, image: str, texts: list[str], instances: int) -> dict:
        """JPEG bytes to binary masks of the best instances at the image's own size, one call of the reference a text."""
        from PIL import Image

        data = Path(image).read_bytes()
        begun = time.perf_counter()
        counts = []
        for text in texts:
            photo = Image.open(BytesIO(data)).convert("RGB")
            inputs = self.processor(images=photo, text=text, return_tensors="pt")
            inputs = {
                name: value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)
                for name, value in inputs.items()
                if name != "original_sizes"
            }
            with self.torch.inference_mode():
                outputs = self.model(**inputs)
                # What passes a threshold with random weights is all queries or none: take as many as asked for.
                best = outputs.pred_logits[0].topk(min(instances, outputs.pred_logits.shape[1])).indices
                for name in ("pred_logits", "pred_boxes", "pred_masks"):
                    outputs[name] = outputs[name][:, best]
                results = self.processor.post_process_instance_segmentation(
                    outputs, threshold=-1.0, mask_threshold=0.5, target_sizes=[photo.size[::-1]]
                )
            counts.append(len(results[0]["masks"].to("cpu")))
        return {"ms": (time.perf_counter() - begun) * 1e3, "instances": counts}


if __name__ == "__main__":
    serve(Images())

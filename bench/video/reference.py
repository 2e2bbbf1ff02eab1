"""The Python reference for videos: transformers' Sam3TrackerVideoModel (clicks) and Sam3VideoModel (texts).

Frames are read and resized before the clock starts, so that no processor (and no torchvision) is needed; masks are resized to the
video and cut at 0, as the processors do.
"""

import json
import time
from pathlib import Path

from bench.protocol import STARTED, Reference, serve


class Videos(Reference):
    def load(self, *, kind: str, model: str, device: str, dtype: str, threads: int) -> dict:
        import torch
        import transformers
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch, self.device, self.dtype, self.kind, self.folder = torch, device, getattr(torch, dtype), kind, model
        name = "Sam3TrackerVideoModel" if kind == "clicks" else "Sam3VideoModel"
        loaded, report = getattr(transformers, name).from_pretrained(model, dtype=self.dtype, output_loading_info=True)
        # A weight that is not found would be left random without an error.
        missing = [name for name in report["missing_keys"] if "rotary" not in name]
        if missing:
            raise RuntimeError(f"{name} finds no weights for {missing[:5]} in {model}")
        self.model = loaded.to(device).eval()
        config = json.loads((Path(model) / "config.json").read_text())
        self.side = config["detector_config"]["vision_config"]["backbone_config"]["image_size"]
        return {"startToReadyMs": (time.perf_counter() - STARTED) * 1e3}

    def start(self, *, clip: str, objects: int, points: list, text: str, options: dict) -> dict:
        """A session over the frames of a folder, with one click for each object, or one text."""
        frames = self._read(clip)
        self.frame_index, self.objects = 0, objects
        shared = {
            "video": frames,
            "video_height": self.height,
            "video_width": self.width,
            "inference_device": self.device,
            "inference_state_device": self.device,
            "video_storage_device": self.device,
            "dtype": self.dtype,
        }
        if self.kind == "clicks":
            self._start_clicks(shared, points)
        else:
            self._start_text(shared, text, options)
        return {}

    def _read(self, clip: str):
        """Frames of the folder as the network wants them: [F,3,S,S] in -1..1."""
        import numpy
        from PIL import Image

        frames = []
        for file in sorted(Path(clip).glob("*.jpg")):
            image = Image.open(file).convert("RGB")
            self.width, self.height = image.size
            pixels = numpy.array(image.resize((self.side, self.side), Image.Resampling.BILINEAR))
            frames.append(self.torch.from_numpy(pixels).permute(2, 0, 1))
        return (self.torch.stack(frames).float() / 255 - 0.5) / 0.5

    def _start_clicks(self, shared: dict, points: list) -> None:
        from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoInferenceSession

        torch = self.torch
        self.session = Sam3TrackerVideoInferenceSession(**shared)
        scale = torch.tensor([self.side / self.width, self.side / self.height])
        for number, point in enumerate(points[: self.objects]):
            click = (torch.tensor([[[point]]], dtype=torch.float32) * scale).to(self.device)
            inputs = {"point_coords": click, "point_labels": torch.ones(1, 1, 1, dtype=torch.int32, device=self.device)}
            self.session.add_point_inputs(self.session.obj_id_to_idx(number), 0, inputs)
        self.session.obj_with_new_inputs = list(range(self.objects))

    def _start_text(self, shared: dict, text: str, options: dict) -> None:
        from transformers import CLIPTokenizerFast
        from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

        for name, value in options.items():
            if not hasattr(self.model, name):
                raise RuntimeError(f"Sam3VideoModel has no option {name}")
            setattr(self.model, name, value)
        self.session = Sam3VideoInferenceSession(**shared)
        tokenizer = CLIPTokenizerFast(tokenizer_file=str(Path(self.folder) / "tokenizer.json"), model_max_length=32)
        tokens = tokenizer(text, return_tensors="pt", padding="max_length", max_length=32).to(self.device)
        prompt = self.session.add_prompt(text)
        self.session.prompt_input_ids[prompt] = tokens.input_ids
        self.session.prompt_attention_masks[prompt] = tokens.attention_mask

    def frame(self) -> dict:
        """The next frame, to binary masks at the video's size on the host."""
        torch = self.torch
        begun = time.perf_counter()
        output = self.model(inference_session=self.session, frame_idx=self.frame_index)
        self.frame_index += 1
        low = output.pred_masks if self.kind == "clicks" else self._text_masks(output)
        if low is not None:
            size = (self.height, self.width)
            masks = torch.nn.functional.interpolate(low.float(), size=size, mode="bilinear", align_corners=False) > 0
            masks.cpu()
        tracked = self.objects if self.kind == "clicks" else len(output.object_ids)
        return {"ms": (time.perf_counter() - begun) * 1e3, "objects": tracked}

    def _text_masks(self, output):
        masks = [mask.reshape(1, 1, *mask.shape[-2:]) for mask in output.obj_id_to_mask.values()]
        return self.torch.cat(masks) if masks else None


if __name__ == "__main__":
    serve(Videos())

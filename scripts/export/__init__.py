"""SAM 3 in plain PyTorch, and the export of it as a TorchScript program.

Read in this order: program.py (the methods), vision_encoder.py, detr_encoder.py, detr_decoder.py, mask_decoder.py
(text-prompted detection), then prompt_encoder.py, sam_mask_decoder.py (clicks), memory_encoder.py, memory_attention.py (video).
"""

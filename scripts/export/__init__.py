"""SAM 3 and SAM 3.1 in plain PyTorch, and the export of them as TorchScript programs.

Read in this order: program_base.py and program.py (the methods), vision_encoder.py, detr_encoder.py, detr_decoder.py, mask_decoder.py
(text-prompted detection), then prompt_encoder.py, sam_mask_decoder.py (clicks), memory_encoder.py, memory_attention.py (video); for SAM 3.1
multiplex_program.py, propagation_decoder.py, multiplex_memory.py.
"""
